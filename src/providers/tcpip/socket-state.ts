import type { EventOf, StateOf, Table } from '../../base/machine.ts'

/** Which event is legal when, for a TCP/IP socket of an application; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  idle: { listen: 'listening', connect: 'connecting', close: 'closed' },
  listening: { close: 'closed' },
  connecting: { settled: 'spent', close: 'closed' },
  /** Its connection is a stream's business, or came to nothing. */
  spent: { close: 'closed' },
  closed: {},
} as const satisfies Table

export type TcpSocketState = StateOf<typeof TRANSITIONS>
export type TcpSocketEvent = EventOf<typeof TRANSITIONS>
