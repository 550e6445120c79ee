import { invariant } from '../../base/invariant.ts'

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>
type KeysOf<T> = T extends unknown ? keyof T & string : never

/** Follows a transition table: the only place where a state changes. */
export class Machine<T extends Table> {
  readonly #table: T
  #state: keyof T & string

  constructor(table: T, start: keyof T & string) {
    this.#table = table
    this.#state = start
  }

  get state(): keyof T & string {
    return this.#state
  }

  is(...states: readonly (keyof T & string)[]): boolean {
    return states.includes(this.#state)
  }

  can(event: KeysOf<T[keyof T]>): boolean {
    return this.#table[this.#state]?.[event] !== undefined
  }

  move(event: KeysOf<T[keyof T]>): void {
    const to = this.#table[this.#state]?.[event]
    invariant(to, `${event} is legal in state ${this.#state}`)
    this.#state = to
  }
}
