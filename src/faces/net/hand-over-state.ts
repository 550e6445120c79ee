import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for a socket on its way to another process; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The descriptor is on its way. `taker`: a switched process has it. `owned`: somebody uses it as it is. */
  offered: { taker: 'suspending', owned: 'bridged' },
  /** The peer of the session is asked to stand still. `kept`: it will not move. `released`: our descriptor is closed. */
  suspending: { packed: 'moved', kept: 'kept', released: 'released' },
  /** The same, when nothing more will be told of the descriptor. */
  released: { packed: 'moved', kept: 'kept' },
  /** The taker is told to use the descriptor. */
  kept: { owned: 'bridged' },
  moved: {},
  bridged: {},
} as const satisfies Table

export type HandOverState = StateOf<typeof TRANSITIONS>
export type HandOverEvent = EventOf<typeof TRANSITIONS>
