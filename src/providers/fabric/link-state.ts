import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for a link over a fabric; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The endpoint is being connected. An acceptor may hear from its opener before it is told that it is connected. */
  opening: { connected: 'up', failed: 'down' },
  up: { failed: 'down' },
  /** No endpoint any more; the memory stays while connections hold it. */
  down: { unheld: 'released' },
  released: {},
} as const satisfies Table

export type LinkState = StateOf<typeof TRANSITIONS>
export type LinkEvent = EventOf<typeof TRANSITIONS>
