import type { EventOf, StateOf, Table } from '../base/machine.ts'

/** Which event is legal when, for a session that another process has packed; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The provider asks the peer for new memory. */
  joining: { joined: 'confirming', end: 'over' },
  /** The session stands, and waits until the peer has found it. */
  confirming: { end: 'over' },
  over: {},
} as const satisfies Table

export type ResumeState = StateOf<typeof TRANSITIONS>
export type ResumeEvent = EventOf<typeof TRANSITIONS>
