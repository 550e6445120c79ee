import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for one end of a connection over shared memory; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  standing: { peerGone: 'over', peerLeft: 'parked', leave: 'left', close: 'closed' },
  /** The peer has moved: waits for its next process. */
  parked: { rejoined: 'standing', peerGone: 'over', close: 'closed' },
  /** Another process has the connection; only the slot is left. */
  left: { close: 'closed' },
  over: { close: 'closed' },
  /** The slot and its memory linger until the peer is through with them. */
  closed: {},
} as const satisfies Table

export type ConnectionState = StateOf<typeof TRANSITIONS>
export type ConnectionEvent = EventOf<typeof TRANSITIONS>
