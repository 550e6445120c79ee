/** Which event is legal when, for a SAN socket over a fabric; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** `accepted`: made by an accept, connected from the start. */
  open: { bind: 'bound', accepted: 'connected', close: 'closed' },
  bound: { listen: 'listening', connect: 'connecting', close: 'closed' },
  listening: { close: 'closed' },
  connecting: { accepted: 'connected', refused: 'bound', close: 'lingering' },
  connected: { peerGone: 'disconnected', close: 'lingering' },
  disconnected: { close: 'lingering' },
  /** Closed here; what was written goes on its way, and the slot waits until the peer is through with it. */
  lingering: { released: 'closed' },
  closed: {},
} as const satisfies Record<string, Record<string, string>>

export type FabricSocketState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type FabricSocketEvent = KeysOf<(typeof TRANSITIONS)[FabricSocketState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: FabricSocketState, event: FabricSocketEvent): FabricSocketState | undefined {
  const row: Partial<Record<FabricSocketEvent, FabricSocketState>> = TRANSITIONS[state]
  return row[event]
}
