/**
 * Keeps the process alive while a connection has something to wait for: a handle that is ref'd and reads, or has a write
 * to finish, as libuv's own handles do.
 */
export class Liveness {
  readonly #keepAlive: (on: boolean) => void
  #count = 0

  constructor(keepAlive: (on: boolean) => void) {
    this.#keepAlive = keepAlive
  }

  hold(): void {
    this.#count += 1
    if (this.#count === 1) this.#keepAlive(true)
  }

  release(): void {
    this.#count -= 1
    if (this.#count === 0) this.#keepAlive(false)
  }
}
