import type { Clock } from '../base/clock.ts'
import type { SocketAddress } from '../spi/index.ts'
import type { Reason } from './reasons.ts'

/** How long it is believed that connects to an address stay on TCP/IP, and of how many addresses. */
const MISS_MS = 500
const MAX_MISSES = 1024

interface Miss {
  readonly reason: Reason
  readonly until: number
}

/**
 * Remembers where nobody switched listens, or does not want us, because asking costs a provider system calls and the connect its time. A
 * listener that is switched offers its rendezvous from the start, so the memory is wrong only when it is replaced.
 */
export class Misses {
  readonly #clock: Clock
  readonly #misses = new Map<string, Miss>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  note(destination: SocketAddress, reason: Reason): void {
    if (this.#misses.size >= MAX_MISSES) this.#misses.clear()
    this.#misses.set(key(destination), { reason, until: this.#clock.now() + MISS_MS })
  }

  /** The host's addresses or the providers have changed: nothing is known any more. */
  clear(): void {
    this.#misses.clear()
  }

  /** Why a connect to `destination` stays on TCP/IP without being tried. */
  reasonFor(destination: SocketAddress): Reason | undefined {
    if (this.#misses.size === 0) return undefined
    const miss = this.#misses.get(key(destination))
    if (miss === undefined || this.#clock.now() < miss.until) return miss?.reason
    this.#misses.delete(key(destination))
    return undefined
  }
}

function key(destination: SocketAddress): string {
  return `${destination.address} ${String(destination.port)}`
}
