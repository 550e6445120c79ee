import { Fifo } from '../../base/fifo.ts'

/** Varies every order that the specification leaves open; from a seed, so that what it found can be found again. */
export interface Chaos {
  /** A whole number from 0 to `below` - 1. */
  pick(below: number): number
  /** True once in `times`. */
  once(times: number): boolean
}

export interface DispatcherOptions {
  /** Runs a job soon, in a turn of its own. */
  readonly schedule: (job: () => void) => void
  /** No request is over before its function has returned (for tests of clients). */
  readonly alwaysPending?: boolean
  readonly chaos?: Chaos
  /** Hears what callbacks and completion routines throw (WSK-EVT-7). */
  readonly onError?: (error: unknown) => void
}

export interface Job {
  /** Jobs of one lane run in order. */
  readonly lane: object
  run(): void
}

/** Jobs that run in one turn, so that a client that always has more to do leaves room for everything else. */
const JOBS_PER_TURN = 256

/**
 * Runs the client's code: completion routines and event callbacks. What the client starts from inside them is completed after
 * they have returned, so that nothing recurses however long a chain of requests gets (WSK-IRP-11).
 */
export class Dispatcher {
  readonly chaos: Chaos | undefined
  readonly #options: DispatcherOptions
  readonly #jobs = new Fifo<Job>()
  #wild: Job[] = []
  #depth = 0
  #scheduled = false

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.chaos = options.chaos
  }

  /** True when a request may be over before its function returns. */
  get mayCompleteInline(): boolean {
    if (this.#depth > 0 || this.#options.alwaysPending === true) return false
    return this.chaos?.once(2) !== true
  }

  /** Runs `job` after whatever runs now, and after the jobs of its lane that wait already. */
  post(job: Job): void {
    if (this.chaos === undefined) this.#jobs.push(job)
    else this.#wild.push(job)
    if (this.#depth === 0) this.#drainSoon()
  }

  /** Something happened outside: `job` says what, then everything that follows from it runs. */
  event(job: () => void): void {
    this.#depth += 1
    try {
      job()
    } finally {
      this.#depth -= 1
    }
    if (this.#depth === 0) this.#drain()
  }

  /** Calls the client; what it throws is its own, and `fallback` is what it answers then. */
  client<T>(call: () => T, fallback: T): T {
    this.enterClient()
    try {
      return call()
    } catch (error) {
      this.report(error)
      return fallback
    } finally {
      this.leaveClient()
    }
  }

  /** The client's code runs until {@link leaveClient}; for what is done often. */
  enterClient(): void {
    this.#depth += 1
  }
  leaveClient(): void {
    this.#depth -= 1
    if (this.#depth === 0 && this.#waiting > 0) this.#drainSoon()
  }

  get #waiting(): number {
    return this.chaos === undefined ? this.#jobs.length : this.#wild.length
  }

  #drainSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(this.#scheduledDrain)
  }

  readonly #scheduledDrain = (): void => {
    this.#scheduled = false
    this.#drain()
  }

  #drain(): void {
    this.#depth += 1
    let left = JOBS_PER_TURN
    for (let job = this.#take(); job !== undefined; job = this.#take()) {
      try {
        job.run()
      } catch (error) {
        this.report(error)
      }
      left -= 1
      if (left === 0 || this.chaos?.once(4) === true) break
    }
    this.#depth -= 1
    if (this.#waiting === 0 || this.#scheduled) return
    this.#scheduled = true
    this.#options.schedule(this.#scheduledDrain)
  }

  #take(): Job | undefined {
    if (this.chaos === undefined) return this.#jobs.shift()
    const lanes = new Set<object>()
    const first = this.#wild.filter(({ lane }) => !lanes.has(lane) && lanes.add(lane))
    const job = first[first.length === 0 ? 0 : this.chaos.pick(first.length)]
    this.#wild = this.#wild.filter((other) => other !== job)
    return job
  }

  /** Tells whoever hears it what the client's code threw. */
  report(error: unknown): void {
    if (this.#options.onError !== undefined) {
      this.#options.onError(error)
      return
    }
    // As for any callback that throws: the process hears of it, and the socket goes on.
    queueMicrotask(() => {
      throw error
    })
  }
}
