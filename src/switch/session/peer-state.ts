import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for what a session knows of its peer; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** It can signal. */
  there: { left: 'gone', vanished: 'lost' },
  /** It has closed, or its process has died: what its memory says is its last word. */
  gone: { left: 'gone', vanished: 'lost' },
  /** The transport failed, or the provider: nobody knows what became of it. */
  lost: { left: 'lost', vanished: 'lost' },
} as const satisfies Table

export type PeerState = StateOf<typeof TRANSITIONS>
export type PeerEvent = EventOf<typeof TRANSITIONS>
