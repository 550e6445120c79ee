/** Which event is legal when, for a SAN socket over shared memory; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** `accepted`: made by an accept, connected from the start. */
  open: { bind: 'bound', accepted: 'connected', takeOver: 'connecting', close: 'closed' },
  bound: { listen: 'listening', connect: 'connecting', close: 'closed' },
  listening: { close: 'closed' },
  connecting: { accepted: 'connected', refused: 'bound', close: 'lingering' },
  connected: { peerGone: 'disconnected', leave: 'left', peerLeft: 'parked', close: 'lingering' },
  /** Another process has the connection; only the slot is left. */
  left: { close: 'lingering' },
  /** The peer has moved: waits for its next process. */
  parked: { rejoined: 'connected', peerGone: 'disconnected', close: 'lingering' },
  disconnected: { close: 'lingering' },
  /** Closed here; the slot and its memory wait until the peer is through with them. */
  lingering: { released: 'closed' },
  closed: {},
} as const satisfies Record<string, Record<string, string>>

export type ShmSocketState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type ShmSocketEvent = KeysOf<(typeof TRANSITIONS)[ShmSocketState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: ShmSocketState, event: ShmSocketEvent): ShmSocketState | undefined {
  const row: Partial<Record<ShmSocketEvent, ShmSocketState>> = TRANSITIONS[state]
  return row[event]
}
