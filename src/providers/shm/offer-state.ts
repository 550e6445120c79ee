import type { EventOf, StateOf, Table } from '../../base/machine.ts'

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
} as const satisfies Table

export type OfferState = StateOf<typeof TRANSITIONS>
export type OfferEvent = EventOf<typeof TRANSITIONS>
