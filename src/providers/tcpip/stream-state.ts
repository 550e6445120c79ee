import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for a connection over TCP/IP; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  open: { localEnd: 'draining', remoteEnd: 'halfOpen', reset: 'reset', close: 'closed' },
  /** We have sent our end. */
  draining: { remoteEnd: 'finished', reset: 'reset', close: 'closed' },
  /** The peer's end has been read. */
  halfOpen: { localEnd: 'finished', reset: 'reset', close: 'closed' },
  finished: { reset: 'reset', close: 'closed' },
  reset: { close: 'closed' },
  closed: {},
} as const satisfies Table

export type TcpStreamState = StateOf<typeof TRANSITIONS>
export type TcpStreamEvent = EventOf<typeof TRANSITIONS>
