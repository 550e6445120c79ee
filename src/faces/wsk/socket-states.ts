import type { Table } from '../../base/machine.ts'

/**
 * Which event is legal when, for the sockets of each category; docs/states.md is drawn from these tables. `die`: the socket is
 * closed by force, because what carried it is gone (WSK §8 rule 10). `close`: the client has called WskCloseSocket.
 */

/** Out of every state in which there is a socket. */
const OUT = { die: 'dead', close: 'closing' } as const
const END = { dead: { close: 'closing' }, closing: { through: 'closed' }, closed: {} } as const

export const BASIC = { created: OUT, ...END } as const satisfies Table

/** Binding is listening (WSK-BIND-2). */
export const LISTENING = {
  created: { bind: 'listening', ...OUT },
  listening: OUT,
  ...END,
} as const satisfies Table

export const DATAGRAM = {
  created: { bind: 'binding', ...OUT },
  binding: { bound: 'bound', failed: 'created', ...OUT },
  bound: OUT,
  ...END,
} as const satisfies Table

/** Connecting, and what comes of it. */
const CONNECTING = {
  connecting: { connected: 'connected', failed: 'failed', ...OUT },
  /** A socket that was accepted begins here. */
  connected: OUT,
  failed: OUT,
} as const

export const CONNECTION = {
  created: { bind: 'bound', ...OUT },
  bound: { connect: 'connecting', ...OUT },
  ...CONNECTING,
  ...END,
} as const satisfies Table

/** WskListen or WskConnect decides which role the socket has; the other one's functions are invalid from then on. */
export const STREAM = {
  created: { bind: 'bound', ...OUT },
  bound: { listen: 'listening', connect: 'connecting', ...OUT },
  listening: OUT,
  ...CONNECTING,
  ...END,
} as const satisfies Table
