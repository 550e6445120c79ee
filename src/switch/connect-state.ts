import type { EventOf, StateOf, Table } from '../base/machine.ts'

/** Which event is legal when, for the connect of a companion; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The peer's switch is to answer, soon. `deferred`: it has asked its application. */
  asking: { deferred: 'judging', end: 'over' },
  /** The patience is the application's from here on. */
  judging: { end: 'over' },
  over: {},
} as const satisfies Table

export type ConnectState = StateOf<typeof TRANSITIONS>
export type ConnectEvent = EventOf<typeof TRANSITIONS>
