import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for the hand-over of a session to another process; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** `ask`: we want to hand our end over. `asked`: the peer wants to hand over its own. */
  running: { ask: 'asking', asked: 'parked' },
  /** Waits until the peer stands still. `asked`: both want to, and the initiator goes first. */
  asking: { answered: 'moved', refused: 'running', asked: 'parked' },
  /** Stands still, with everything unread put by. `resumed`: over new memory; `withdrawn`: over the same. */
  parked: { resumed: 'running', withdrawn: 'running', close: 'closing' },
  /** Closed while it stood still: whoever goes on with the other end is to hear of it. `gone`: nobody does. */
  closing: { resumed: 'told', withdrawn: 'told', gone: 'told' },
  told: {},
  /** In the next process: waits until the peer has found the new memory. */
  resuming: { confirmed: 'running' },
  /** Another process has our end. */
  moved: {},
} as const satisfies Table

export type MovingState = StateOf<typeof TRANSITIONS>
export type MovingEvent = EventOf<typeof TRANSITIONS>
