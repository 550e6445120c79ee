/** What an empty one keeps; more room than this is given back. */
const KEPT_ROOM = 1024
const FIRST_ROOM = 4

/** First in, first out, with O(1) at both ends whatever its length: a ring, so that what goes in and out allocates nothing. */
export class Fifo<T> {
  /** As many as a power of two. */
  #ring: (T | undefined)[] = []
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item
    this.#length += 1
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length -= 1
    if (this.#length === 0 && this.#ring.length > KEPT_ROOM) {
      this.#ring = []
      this.#head = 0
    }
    return item
  }

  peek(): T | undefined {
    return this.#ring[this.#head]
  }

  /** Puts `item` in the place of the first one; there must be one. */
  replaceFirst(item: T): void {
    if (this.#length > 0) this.#ring[this.#head] = item
  }

  clear(): void {
    this.#ring = []
    this.#head = 0
    this.#length = 0
  }

  /** Takes the first item that `matches` out of its place; undefined when none does. */
  take(matches: (item: T) => boolean): T | undefined {
    let found: T | undefined
    for (let left = this.#length; left > 0; left--) {
      const item = this.shift() as T
      if (found === undefined && matches(item)) found = item
      else this.push(item)
    }
    return found
  }

  /** Takes out whatever does not `stay`. */
  keep(stays: (item: T) => boolean): void {
    for (let left = this.#length; left > 0; left--) {
      const item = this.shift() as T
      if (stays(item)) this.push(item)
    }
  }

  #grow(): void {
    const { length } = this.#ring
    const ring = [...this.#ring.slice(this.#head), ...this.#ring.slice(0, this.#head)]
    ring.length = Math.max(FIRST_ROOM, length * 2)
    this.#ring = ring.fill(undefined, length)
    this.#head = 0
  }
}
