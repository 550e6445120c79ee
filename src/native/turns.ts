import { AsyncResource } from 'node:async_hooks'
import { Fifo } from '../base/fifo.ts'
import type { NativeCall, Poller, PollerStats, ShmNative, Watcher } from './shm.ts'
import { invariant } from '../base/invariant.ts'

/** A link as the loop sees it. */
export interface Notifiable {
  /** Takes one notification; false when there is none. */
  dispatchOne(): boolean
  /** True: both ends are in this loop, and its notifications run as jobs, in the order in which they were made. */
  readonly withinLoop: boolean
}

/** Makes, or finds that there is none, a call of native code that runs outside of any callback. */
type Prepare = () => NativeCall | undefined

class Outside {
  readonly prepare: Prepare

  constructor(prepare: Prepare) {
    this.prepare = prepare
  }
}

/**
 * This event loop's share of the work: runs notifications and local jobs, one per callback from native code, so that
 * ticks and microtasks run between them as they do between libuv's own events.
 */
export class Turns {
  readonly #native: ShmNative
  readonly #spinNanoseconds: number
  readonly #jobs = new Fifo<(() => void) | Outside>()
  readonly #urgent = new Fifo<() => void>()
  /** No callback of ours belongs to whoever happened to cause its making: `AsyncLocalStorage` must find nothing. */
  readonly #outside = new AsyncResource('SOCKSWITCH', { requireManualDestroy: true })
  readonly #links: (Notifiable | undefined)[] = []
  #poller: Poller | undefined
  #draining = false
  #preferLinks = false
  #next = 0

  constructor(native: ShmNative, spinNanoseconds: number) {
    this.#native = native
    this.#spinNanoseconds = spinNanoseconds
  }

  /** Makes the poller; throws when that cannot be. */
  start(): void {
    this.#poller ??= this.poller
  }

  get poller(): Poller {
    this.#poller ??= this.#outside.runInAsyncScope(
      () => new this.#native.Poller(this.#spinNanoseconds, this.#drain),
    )
    return this.#poller
  }

  /** Calls `onReadable` whenever `fd` is readable or at its end. */
  watch(fd: number, onReadable: () => void): Watcher {
    return this.#outside.runInAsyncScope(() => new this.#native.Watcher(fd, onReadable))
  }

  get stats(): PollerStats | undefined {
    return this.#poller?.stats()
  }

  /** Runs `job` soon, in a callback of its own. */
  readonly schedule = (job: () => void): void => {
    this.#add(job)
  }

  /**
   * Makes the call that `prepare` answers soon, outside of any callback: ticks and microtasks run after each callback of native
   * code that it causes, not after all of them.
   */
  readonly scheduleOutside = (prepare: Prepare): void => {
    this.#add(new Outside(prepare))
  }

  #add(job: (() => void) | Outside): void {
    this.#jobs.push(job)
    if (!this.#draining && this.#jobs.length === 1) this.poller.wake()
  }

  /** Runs `job` before whatever else waits, in a callback of its own. */
  readonly soon = (job: () => void): void => {
    this.#urgent.push(job)
    if (!this.#draining) this.poller.wake()
  }

  add(link: Notifiable): number {
    let index = this.#links.indexOf(undefined)
    if (index < 0) index = this.#links.length
    this.#links[index] = link
    return index
  }

  remove(index: number): void {
    invariant(this.#links[index], `link ${index} is watched`)
    this.#links[index] = undefined
  }

  // Jobs and links in turn, so that neither starves the other; links round robin.
  readonly #drain = (): boolean | NativeCall => {
    this.#draining = true
    try {
      const urgent = this.#urgent.shift()
      if (urgent !== undefined) {
        urgent()
        return this.#jobsLeft
      }
      this.#preferLinks = !this.#preferLinks
      if (this.#preferLinks && this.#dispatchLink()) return this.#jobsLeft
      const job = this.#jobs.shift()
      if (job instanceof Outside) return job.prepare() ?? this.#jobsLeft
      if (job !== undefined) job()
      else if (!this.#preferLinks) this.#dispatchLink()
    } finally {
      this.#draining = false
    }
    return this.#jobsLeft
  }

  get #jobsLeft(): boolean {
    return this.#jobs.length > 0 || this.#urgent.length > 0
  }

  #dispatchLink(): boolean {
    const count = this.#links.length
    for (let i = 0; i < count; i++) {
      this.#next = this.#next + 1 < count ? this.#next + 1 : 0
      const link = this.#links[this.#next]
      if (link?.withinLoop === false && link.dispatchOne()) return true
    }
    return false
  }
}
