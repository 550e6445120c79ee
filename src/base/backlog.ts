import { Fifo } from './fifo.ts'

/** What a queue of requests signals; the event object of whoever listens. */
interface Signal {
  set(): void
  reset(): void
}

/** The queue of a `listen` that leaves its length to the provider. */
const DEFAULT_LENGTH = 511

/** What waits at one listening socket, never more than its backlog, and the event that tells of it. */
export class Backlog<T> {
  readonly #waiting = new Fifo<T>()
  #length: number
  #pended = 0
  #event: Signal | null = null
  #occurred = false

  /** @param length How many may wait; not a positive 31-bit number: the default. */
  constructor(length: number) {
    this.#length = effective(length)
  }

  get length(): number {
    return this.#waiting.length
  }

  /** One that was taken waits on, elsewhere: it counts against the backlog until {@link unpend}. */
  pend(): void {
    this.#pended += 1
  }

  unpend(): void {
    this.#pended -= 1
  }

  /** False when the queue is full: the request is to be refused at once, and no event is raised. */
  offer(request: T): boolean {
    if (this.#waiting.length + this.#pended >= this.#length) return false
    this.#waiting.push(request)
    this.#signal()
    return true
  }

  take(): T | undefined {
    return this.#waiting.shift()
  }

  peek(): T | undefined {
    return this.#waiting.peek()
  }

  /** Changes the limit; returns the newest requests beyond it. */
  setBacklog(length: number): T[] {
    this.#length = effective(length)
    const kept: T[] = []
    const dropped: T[] = []
    for (let request = this.#waiting.shift(); request !== undefined; request = this.#waiting.shift()) {
      ;(kept.length + this.#pended < this.#length ? kept : dropped).push(request)
    }
    for (const request of kept) this.#waiting.push(request)
    return dropped
  }

  select(event: Signal | null): void {
    this.#event = event
    if (this.#waiting.length > 0) this.#signal()
  }

  /** After an accept: reset, then look again, so that no signal for a request that is left gets lost (RACE-4). */
  rearm(): void {
    this.#event?.reset()
    if (this.#waiting.length > 0) this.#signal()
  }

  /** True when requests have come since the last call; resets `event` in the same step. */
  enumerate(event: Signal | null): boolean {
    const occurred = this.#occurred
    this.#occurred = false
    event?.reset()
    return occurred
  }

  #signal(): void {
    this.#occurred = true
    this.#event?.set()
  }
}

function effective(length: number): number {
  return length >= 0x7fffffff || length < 1 ? DEFAULT_LENGTH : length
}
