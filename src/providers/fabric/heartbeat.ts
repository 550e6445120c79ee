import type { Cancel, Clock } from '../../base/clock.ts'

/** So many questions without an answer, a heartbeat apart, are the peer's death. */
const MAX_UNANSWERED = 3

/** Whose heart beats. */
export interface Beating {
  /** Each time; false when that was the last. */
  beat(): boolean
  /** Asks the peer whether it is there; false where there is nobody to ask yet. */
  ask(): boolean
  /** The peer does not answer. */
  dead(): void
}

/**
 * Neither provider of libfabric reports a host that lost its power or its wire. What counts are questions, not time: a loop that
 * was busy itself has not heard the answers either.
 */
export class Heartbeat {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #whose: Beating
  #heard = false
  #unanswered = 0
  #cancel: Cancel | undefined

  constructor(clock: Clock, everyMs: number, whose: Beating) {
    this.#clock = clock
    this.#everyMs = everyMs
    this.#whose = whose
  }

  start(): void {
    this.#cancel = this.#clock.after(this.#everyMs, () => {
      if (!this.#whose.beat()) return
      if (this.#heard) this.#unanswered = 0
      else if (this.#unanswered === MAX_UNANSWERED) {
        this.#whose.dead()
        return
      } else if (this.#whose.ask()) this.#unanswered += 1
      this.#heard = false
      this.start()
    })
  }

  /** The peer has said something. */
  heard(): void {
    this.#heard = true
  }

  stop(): void {
    this.#cancel?.()
  }
}
