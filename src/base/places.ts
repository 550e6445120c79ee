/** So many of something, and no more. */
export class Places {
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

  /** One more, if there is room; it is given back with {@link give}. */
  take(): boolean {
    if (this.#taken >= this.#max) return false
    this.#taken += 1
    return true
  }

  give(): void {
    this.#taken -= 1
  }
}
