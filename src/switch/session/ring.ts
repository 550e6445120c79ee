import type { MemoryRegion } from '../../spi/index.ts'

/** A ring of a power-of-two number of bytes inside a memory region; positions are cursors that wrap at 2³². */
export interface Ring {
  readonly bytes: Uint8Array
  /** First byte of the ring in `bytes`. */
  readonly base: number
  readonly size: number
}

export function ringIn(region: MemoryRegion, from: number, size: number): Ring {
  return { bytes: region.bytes, base: region.offset + from, size }
}

/** Up to this many bytes a loop is faster than making a view and calling `set`. */
const LOOP_BYTES = 48

/** Copies `source[from, to)` into the ring at `cursor`; the caller has checked that it fits. */
export function copyIn(ring: Ring, cursor: number, source: Uint8Array, from: number, to: number): void {
  const at = cursor & (ring.size - 1)
  const first = Math.min(to - from, ring.size - at)
  copy(source, from, ring.bytes, ring.base + at, first)
  if (from + first < to) copy(source, from + first, ring.bytes, ring.base, to - from - first)
}

/** Copies `length` bytes at `cursor` out of the ring into `target` at `to`. */
export function copyOut(ring: Ring, cursor: number, target: Uint8Array, to: number, length: number): void {
  const at = cursor & (ring.size - 1)
  const first = Math.min(length, ring.size - at)
  copy(ring.bytes, ring.base + at, target, to, first)
  if (first < length) copy(ring.bytes, ring.base, target, to + first, length - first)
}

function copy(source: Uint8Array, from: number, target: Uint8Array, to: number, length: number): void {
  if (length <= LOOP_BYTES) {
    for (let i = 0; i < length; i++) target[to + i] = source[from + i] as number
  } else {
    const isAll = length === source.length
    target.set(isAll ? source : source.subarray(from, from + length), to)
  }
}
