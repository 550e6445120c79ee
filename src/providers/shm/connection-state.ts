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
} as const satisfies Record<string, Record<string, string>>

export type ConnectionState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type ConnectionEvent = KeysOf<(typeof TRANSITIONS)[ConnectionState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: ConnectionState, event: ConnectionEvent): ConnectionState | undefined {
  const row: Partial<Record<ConnectionEvent, ConnectionState>> = TRANSITIONS[state]
  return row[event]
}
