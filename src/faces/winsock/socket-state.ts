import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for an application's Winsock socket; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** `accepted`: made for a connection that accept has taken. */
  created: {
    bind: 'bound',
    connect: 'connecting',
    reserve: 'reserved',
    accepted: 'connected',
    close: 'closed',
  },
  bound: { listen: 'listening', connect: 'connecting', close: 'closed' },
  listening: { close: 'closed' },
  /** An AcceptEx is to give it a connection; `release`: it did not. */
  reserved: { accepted: 'connected', release: 'created', close: 'closed' },
  connecting: { connected: 'connected', failed: 'failed', close: 'closed' },
  /** `withdraw`: the AcceptEx that gave it the connection was taken back before the first data. */
  connected: { withdraw: 'created', close: 'closed' },
  /** The connect has failed, or was cancelled; such a socket can only be closed. */
  failed: { close: 'closed' },
  closed: {},
} as const satisfies Table

export type WinsockState = StateOf<typeof TRANSITIONS>
export type WinsockEvent = EventOf<typeof TRANSITIONS>
