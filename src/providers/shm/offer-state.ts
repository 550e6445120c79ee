/** Which event is legal when, for a listener that shares its address; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** Neither head nor member: TCP/IP serves alone for the moment. */
  outside: { led: 'head', asked: 'joining', missed: 'waiting', left: 'alone', close: 'closed' },
  joining: { admitted: 'member', headGone: 'waiting', refused: 'alone', close: 'closed' },
  member: { headGone: 'outside', refused: 'alone', close: 'closed' },
  head: { close: 'closed' },
  /** Somebody else was quicker, or is leaving: looks again after a while. */
  waiting: { look: 'outside', close: 'closed' },
  /** Not let in, or the head is gone and we may not lead: TCP/IP serves alone. */
  alone: { close: 'closed' },
  closed: {},
} as const satisfies Record<string, Record<string, string>>

export type OfferState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
export type OfferEvent = KeysOf<(typeof TRANSITIONS)[OfferState]>

/** The state that `event` leads to, or undefined where it is illegal. */
export function next(state: OfferState, event: OfferEvent): OfferState | undefined {
  const row: Partial<Record<OfferEvent, OfferState>> = TRANSITIONS[state]
  return row[event]
}
