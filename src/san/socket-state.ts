import type { EventOf, StateOf, Table } from '../base/machine.ts'

/** Which event is legal when, for a SAN socket, whatever carries it; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** `accepted`: made by an accept, connected from the start. `takeOver`: of a connection that another process has left. */
  open: { bind: 'bound', accepted: 'connected', takeOver: 'connecting', close: 'closed' },
  bound: { listen: 'listening', connect: 'connecting', close: 'closed' },
  listening: { close: 'closed' },
  connecting: { accepted: 'connected', refused: 'bound', close: 'closed' },
  connected: { peerGone: 'disconnected', leave: 'left', close: 'closed' },
  /** Another process has the connection. */
  left: { close: 'closed' },
  /** What the peer wrote stays readable. */
  disconnected: { close: 'closed' },
  /** What lingers behind it, until the peer is through, is the connection's. */
  closed: {},
} as const satisfies Table

export type SanSocketState = StateOf<typeof TRANSITIONS>
export type SanSocketEvent = EventOf<typeof TRANSITIONS>
