import type { Quota } from '../../base/quota.ts'
import type { ShmNative } from '../../native/shm.ts'
import type { SegmentUse } from './messages.ts'

/** One piece of shared memory, mapped here: ours to write, or the peer's to read. */
export interface Segment {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  readonly words: Int32Array
}

export function viewSegment(buffer: ArrayBuffer): Segment {
  return { buffer, bytes: new Uint8Array(buffer), words: new Int32Array(buffer) }
}

/** The segments of one side of a link, numbered from 0, and among them the ones that hold slots. */
export class SegmentTable {
  readonly #segments: Segment[] = []
  readonly #slots: Segment[] = []
  readonly #rings = new Map<number, Segment>()
  readonly #budget: Quota
  #bytes = 0

  constructor(budget: Quota) {
    this.#budget = budget
  }

  get count(): number {
    return this.#segments.length
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Room for `bytes` more under the limit; taken when true. */
  reserve(bytes: number): boolean {
    if (!this.#budget.take(bytes)) return false
    this.#bytes += bytes
    return true
  }

  unreserve(bytes: number): void {
    this.#budget.give(bytes)
    this.#bytes -= bytes
  }

  /** Adds the next segment, whose bytes are reserved already; segment 0 holds the first slots. */
  add(segment: Segment, use: SegmentUse): number {
    const index = this.#segments.length
    this.#segments.push(segment)
    if (use === 'slots') this.#slots.push(segment)
    else this.#rings.set(index, segment)
    return index
  }

  slots(group: number): Segment | undefined {
    return this.#slots[group]
  }

  get slotGroups(): number {
    return this.#slots.length
  }

  rings(index: number): Segment | undefined {
    return this.#rings.get(index)
  }

  release(native: ShmNative): void {
    for (const segment of this.#segments) native.unmap(segment.buffer)
    this.#segments.length = 0
    this.#slots.length = 0
    this.#rings.clear()
    this.#budget.give(this.#bytes)
    this.#bytes = 0
  }
}

/** Closes descriptors that a message brought. */
export function closeAll(native: ShmNative, fds: readonly number[]): void {
  for (const fd of fds) native.close(fd)
}
