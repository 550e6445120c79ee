import type { EventOf, StateOf, Table } from '../base/machine.ts'

/** Which event is legal when, for a link between two event loops; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** It is being made. An acceptor may hear from its opener before it is told that it is connected. */
  opening: { connected: 'up', failed: 'down' },
  up: { failed: 'down' },
  /** It carries nothing any more; the memory stays while connections hold it. */
  down: { unheld: 'released' },
  released: {},
} as const satisfies Table

export type LinkState = StateOf<typeof TRANSITIONS>
export type LinkEvent = EventOf<typeof TRANSITIONS>
