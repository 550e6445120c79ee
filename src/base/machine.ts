import { invariant } from './invariant.ts'

/** Which event is legal in which state, and the state it leads to. The only place that knows. */
export type Table = Readonly<Record<string, Readonly<Record<string, string>>>>

type KeysOf<T> = T extends unknown ? keyof T & string : never
export type StateOf<T extends Table> = keyof T & string
export type EventOf<T extends Table> = KeysOf<T[keyof T]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next<T extends Table>(
  table: T,
  state: StateOf<T>,
  event: EventOf<T>,
): StateOf<T> | undefined {
  return table[state]?.[event]
}

/** The state that `event` leads to. One that is illegal is a bug, and throws; `whose` names the machine then. */
export function step<T extends Table>(
  whose: string,
  table: T,
  state: StateOf<T>,
  event: EventOf<T>,
): StateOf<T> {
  const to = next(table, state, event)
  if (to === undefined) invariant(false, `${event} is legal in ${whose} state ${state}`)
  return to
}

/** Follows a transition table: the only place where a state changes. */
export class Machine<T extends Table> {
  readonly #table: T
  #state: StateOf<T>

  constructor(table: T, start: StateOf<T>) {
    this.#table = table
    this.#state = start
  }

  get state(): StateOf<T> {
    return this.#state
  }

  is(...states: readonly StateOf<T>[]): boolean {
    return states.includes(this.#state)
  }

  can(event: EventOf<T>): boolean {
    return next(this.#table, this.#state, event) !== undefined
  }

  move(event: EventOf<T>): void {
    this.#state = step('socket', this.#table, this.#state, event)
  }
}
