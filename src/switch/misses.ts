import type { Clock } from '../base/clock.ts'
import type { SocketAddress } from '../spi/index.ts'

/** How long it is believed that nobody switched listens at an address, and for how many addresses. */
const MISS_MS = 500
const MAX_MISSES = 1024

/**
 * Remembers where nobody switched listens, because asking costs a provider system calls and the connect its time. A
 * listener that is switched offers its rendezvous from the start, so the memory is wrong only when it is replaced.
 */
export class Misses {
  readonly #clock: Clock
  readonly #until = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(destination: SocketAddress): void {
    if (this.#until.size >= MAX_MISSES) this.#until.clear()
    this.#until.set(key(destination), this.#clock.now() + MISS_MS)
  }

  /** The host's addresses or the providers have changed: nothing is known any more. */
  clear(): void {
    this.#until.clear()
  }

  has(destination: SocketAddress): boolean {
    if (this.#until.size === 0) return false
    const until = this.#until.get(key(destination))
    if (until === undefined) return false
    if (this.#clock.now() < until) return true
    this.#until.delete(key(destination))
    return false
  }
}

function key(destination: SocketAddress): string {
  return `${destination.address} ${String(destination.port)}`
}
