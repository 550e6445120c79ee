import type { Reason } from './reasons.ts'

/** Counts what became of connections and listeners since the switch started. */
export class Stats {
  connects = 0
  accepts = 0
  refusals = 0
  readonly #reasons = new Map<Reason, number>()

  stayed(reason: Reason): void {
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1)
  }

  /** How many stayed on TCP/IP, by reason. */
  get reasons(): Readonly<Partial<Record<Reason, number>>> {
    return Object.fromEntries(this.#reasons)
  }
}
