/** More ranges than this are joined into one that covers them all. */
const MAX_RANGES = 4

/** A few ranges of memory that were written; touching ones join. Bounded: it may cover more than was added. */
export class RangeSet {
  readonly #starts: number[] = []
  readonly #ends: number[] = []

  get count(): number {
    return this.#starts.length
  }

  /** Bytes covered. */
  get bytes(): number {
    let sum = 0
    for (let i = 0; i < this.#starts.length; i++) sum += this.end(i) - this.start(i)
    return sum
  }

  start(index: number): number {
    return this.#starts[index] ?? 0
  }

  end(index: number): number {
    return this.#ends[index] ?? 0
  }

  /** Adds `[from, to)`; an empty range is nothing. */
  add(from: number, to: number): void {
    if (from >= to) return
    let start = from
    let end = to
    for (let i = this.#starts.length - 1; i >= 0; i--) {
      const joins = this.#starts.length >= MAX_RANGES || (this.start(i) <= end && this.end(i) >= start)
      if (!joins) continue
      start = Math.min(start, this.start(i))
      end = Math.max(end, this.end(i))
      this.#starts.splice(i, 1)
      this.#ends.splice(i, 1)
    }
    this.#starts.push(start)
    this.#ends.push(end)
  }

  removeFirst(): void {
    this.#starts.shift()
    this.#ends.shift()
  }

  clear(): void {
    this.#starts.length = 0
    this.#ends.length = 0
  }
}
