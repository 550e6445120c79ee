/** So much of something, and no more: connections, bytes. */
export class Quota {
  readonly #max: number
  #taken = 0

  constructor(max: number) {
    this.#max = max
  }

  get taken(): number {
    return this.#taken
  }

  get max(): number {
    return this.#max
  }

  /** So much more, if there is room; it is given back with {@link give}. */
  take(amount = 1): boolean {
    if (this.#taken + amount > this.#max) return false
    this.#taken += amount
    return true
  }

  give(amount = 1): void {
    this.#taken -= amount
  }
}
