/**
 * What data are in: a chain of segments, of which `length` bytes from `offset` of the first one on. The descriptor may be
 * thrown away once the function has returned, the segments belong to the request until it is over.
 *
 * @source WSK_BUF
 */
export interface WskBuf {
  readonly chain: readonly Uint8Array[]
  /** Lies inside the first segment; not used when there is none. */
  readonly offset: number
  readonly length: number
}

/** A whole segment, or the part of it that is said. */
export function wskBuf(bytes: Uint8Array, offset = 0, length = bytes.length - offset): WskBuf {
  return { chain: [bytes], offset, length }
}

/** The segments that `buf` describes, without copying; undefined when it describes more than it has (WSK-SEND-6). */
export function segmentsOf(buf: WskBuf): Uint8Array[] | undefined {
  const { chain, offset, length } = buf
  if (!isCount(offset) || !isCount(length)) return undefined
  if (chain.length === 0) return length === 0 ? [] : undefined
  const first = chain[0] as Uint8Array
  if (offset > first.length) return undefined
  if (chain.length === 1) return segmentsOfOne(first, offset, length)
  const segments: Uint8Array[] = []
  let left = length
  let from = offset
  for (const segment of chain) {
    if (left === 0) break
    const part = partOf(segment, from, left)
    from = 0
    left -= part.length
    if (part.length > 0) segments.push(part)
  }
  return left === 0 ? segments : undefined
}

function segmentsOfOne(segment: Uint8Array, offset: number, length: number): Uint8Array[] | undefined {
  if (offset + length > segment.length) return undefined
  return length === 0 ? [] : [partOf(segment, offset, length)]
}

// Cutting costs more than the look whether there is anything to cut.
function partOf(segment: Uint8Array, from: number, length: number): Uint8Array {
  if (from === 0 && segment.length <= length) return segment
  const { buffer, byteOffset } = segment
  return new Uint8Array(buffer, byteOffset + from, Math.min(length, segment.length - from))
}

/** All that `buf` describes, copied together. */
export function bytesOf(buf: WskBuf): Buffer {
  return Buffer.concat(segmentsOf(buf) ?? [])
}

function isCount(value: number): boolean {
  return Number.isInteger(value) && value >= 0
}

/** Where a function puts what C would write through a pointer. */
export interface Out<T> {
  value: T | undefined
}

export function out<T>(): Out<T> {
  return { value: undefined }
}

/** Room for a list; too little of it is `STATUS_BUFFER_OVERFLOW`, and `needed` says how much it takes. */
export class WskList<T> {
  readonly capacity: number
  items: readonly T[] = []
  /** How many there were. */
  needed = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  /** @returns false when there is no room. */
  fill(items: readonly T[]): boolean {
    this.needed = items.length
    if (items.length > this.capacity) return false
    this.items = items
    return true
  }
}
