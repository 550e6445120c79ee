/** Which event is legal when, for a link over a fabric; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The endpoint is being connected. An acceptor may hear from its opener before it is told that it is connected. */
  opening: { connected: 'up', failed: 'down' },
  up: { failed: 'down' },
  /** No endpoint any more; the memory stays while connections hold it. */
  down: { unheld: 'released' },
  released: {},
} as const satisfies Record<string, Record<string, string>>

export type LinkState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type LinkEvent = KeysOf<(typeof TRANSITIONS)[LinkState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: LinkState, event: LinkEvent): LinkState | undefined {
  const row: Partial<Record<LinkEvent, LinkState>> = TRANSITIONS[state]
  return row[event]
}
