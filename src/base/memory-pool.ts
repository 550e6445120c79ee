/** A piece of a ring segment. */
export interface Piece {
  readonly segment: number
  readonly offset: number
  readonly bytes: number
}

/**
 * Hands out power-of-two pieces of equally large segments, splitting and joining buddies. Knows numbers only: who makes
 * the segments says so with {@link addSegment}.
 */
export class MemoryPool {
  readonly #segmentBytes: number
  /** Free pieces by size; the keys of each set are `segment * segmentBytes + offset`. */
  readonly #free = new Map<number, Set<number>>()

  constructor(segmentBytes: number) {
    this.#segmentBytes = segmentBytes
  }

  addSegment(segment: number): void {
    this.#put(this.#segmentBytes, segment * this.#segmentBytes)
  }

  /** A piece of exactly `bytes` (a power of two from one page to a segment), or undefined when no segment has one. */
  take(bytes: number): Piece | undefined {
    let size = bytes
    while (size <= this.#segmentBytes && (this.#free.get(size)?.size ?? 0) === 0) size *= 2
    if (size > this.#segmentBytes) return undefined
    const set = this.#free.get(size)
    const place = set?.values().next().value
    if (set === undefined || place === undefined) return undefined
    set.delete(place)
    while (size > bytes) {
      size /= 2
      this.#put(size, place + size)
    }
    return { segment: Math.floor(place / this.#segmentBytes), offset: place % this.#segmentBytes, bytes }
  }

  give(piece: Piece): void {
    let place = piece.segment * this.#segmentBytes + piece.offset
    let size = piece.bytes
    while (size < this.#segmentBytes) {
      const buddy = Math.floor(place / size) % 2 === 0 ? place + size : place - size
      if (this.#free.get(size)?.delete(buddy) !== true) break
      place = Math.min(place, buddy)
      size *= 2
    }
    this.#put(size, place)
  }

  #put(size: number, place: number): void {
    let set = this.#free.get(size)
    if (set === undefined) this.#free.set(size, (set = new Set()))
    set.add(place)
  }
}
