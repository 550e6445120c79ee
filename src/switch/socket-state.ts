/** Which event is legal when, for an application's socket as the switch sees it; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  idle: { connect: 'choosing', listen: 'listening', close: 'closed' },
  listening: { close: 'closed' },
  choosing: { companion: 'connecting', stay: 'onTcp', close: 'closed' },
  /** The companion connects; hello and answer ride along. */
  connecting: { agreed: 'onSan', failed: 'onTcp', refused: 'closed', close: 'closed' },
  /** No way back from here (WSD-CONN-11). */
  onSan: { close: 'closed' },
  onTcp: { close: 'closed' },
  closed: {},
} as const satisfies Record<string, Record<string, string>>

export type SocketState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type SocketEvent = KeysOf<(typeof TRANSITIONS)[SocketState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: SocketState, event: SocketEvent): SocketState | undefined {
  const row: Partial<Record<SocketEvent, SocketState>> = TRANSITIONS[state]
  return row[event]
}
