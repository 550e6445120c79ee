import type { EventObject } from '../spi/index.ts'

/** Runs a job soon, in a turn of its own. */
export type Schedule = (job: () => void) => void

/** A manual-reset event that calls its waiter in a turn of its own, once for however many signals came before it. */
export class NetworkEvent implements EventObject {
  readonly #schedule: Schedule
  readonly #waiter: () => void
  #set = false
  #scheduled = false

  constructor(schedule: Schedule, waiter: () => void) {
    this.#schedule = schedule
    this.#waiter = waiter
  }

  get isSet(): boolean {
    return this.#set
  }

  set(): void {
    this.#set = true
    if (this.#scheduled) return
    this.#scheduled = true
    this.#schedule(() => {
      this.#scheduled = false
      if (this.#set) this.#waiter()
    })
  }

  reset(): void {
    this.#set = false
  }
}
