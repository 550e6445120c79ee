import type { EventOf, StateOf, Table } from '../base/machine.ts'

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
} as const satisfies Table

export type SocketState = StateOf<typeof TRANSITIONS>
export type SocketEvent = EventOf<typeof TRANSITIONS>
