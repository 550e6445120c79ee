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
} as const satisfies Record<string, Record<string, string>>

export type SessionState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type SessionEvent = KeysOf<(typeof TRANSITIONS)[SessionState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: SessionState, event: SessionEvent): SessionState | undefined {
  const row: Partial<Record<SessionEvent, SessionState>> = TRANSITIONS[state]
  return row[event]
}
