import type { Cancel, Clock } from '../../src/base/clock.ts'

/** A clock that a test turns. */
export class ManualClock implements Clock {
  #now = 0
  readonly #waiting = new Set<{ readonly at: number; readonly action: () => void }>()

  now(): number {
    return this.#now
  }

  after(delayMs: number, action: () => void): Cancel {
    const entry = { at: this.#now + delayMs, action }
    this.#waiting.add(entry)
    return () => {
      this.#waiting.delete(entry)
    }
  }

  /** Lets `ms` pass and makes what was due, in the order of its time. */
  advance(ms: number): void {
    this.#now += ms
    const due = [...this.#waiting].filter(({ at }) => at <= this.#now).sort((one, other) => one.at - other.at)
    for (const entry of due) {
      this.#waiting.delete(entry)
      entry.action()
    }
  }
}
