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
} as const satisfies Record<string, Record<string, string>>

export type TcpStreamState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type TcpStreamEvent = KeysOf<(typeof TRANSITIONS)[TcpStreamState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: TcpStreamState, event: TcpStreamEvent): TcpStreamState | undefined {
  const row: Partial<Record<TcpStreamEvent, TcpStreamState>> = TRANSITIONS[state]
  return row[event]
}
