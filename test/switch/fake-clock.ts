import type { Cancel, Clock } from '../../src/base/clock.ts'

interface Timer {
  readonly at: number
  readonly action: () => void
}

/** Time that passes when the test says so. */
export class FakeClock implements Clock {
  #now = 0
  readonly #timers = new Set<Timer>()

  /** Timers that have neither run nor been cancelled. */
  get pending(): number {
    return this.#timers.size
  }

  now(): number {
    return this.#now
  }

  after(delayMs: number, action: () => void): Cancel {
    const timer = { at: this.#now + delayMs, action }
    this.#timers.add(timer)
    return () => {
      this.#timers.delete(timer)
    }
  }

  /** Lets `ms` pass; what is due runs in its order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= end).sort((one, other) => one.at - other.at)
      if (next === undefined) break
      this.#timers.delete(next)
      this.#now = next.at
      next.action()
    }
    this.#now = end
  }
}

/** More turns than the longest chain of events in any of these tests. */
const TURNS = 16

/** Lets the event loop turn until everything that was set going over loopback has arrived. */
export async function settle(turns = TURNS): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
