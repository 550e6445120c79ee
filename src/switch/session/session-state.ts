import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for a session; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The acceptor waits until the initiator goes through with it. */
  negotiating: { agreed: 'open', reset: 'reset', close: 'closed' },
  open: { localEnd: 'draining', remoteEnd: 'halfOpen', reset: 'reset', close: 'closed' },
  /** We have sent our end. */
  draining: { remoteEnd: 'finished', reset: 'reset', close: 'closed' },
  /** The peer's end has been read. */
  halfOpen: { localEnd: 'finished', reset: 'reset', close: 'closed' },
  finished: { reset: 'reset', close: 'closed' },
  reset: { close: 'closed' },
  closed: {},
} as const satisfies Table

export type SessionState = StateOf<typeof TRANSITIONS>
export type SessionEvent = EventOf<typeof TRANSITIONS>
