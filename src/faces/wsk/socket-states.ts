import type { Table } from '../../base/machine.ts'

/**
 * Which event is legal when, for the sockets of each category; docs/states.md is drawn from these tables. `die`: the socket is
 * closed by force, because what carried it is gone (WSK §8 rule 10). `close`: the client has called WskCloseSocket.
 */

export const BASIC = {
  created: { die: 'dead', close: 'closing' },
  dead: { close: 'closing' },
  closing: { through: 'closed' },
  closed: {},
} as const satisfies Table

/** Binding is listening (WSK-BIND-2). */
export const LISTENING = {
  created: { bind: 'listening', die: 'dead', close: 'closing' },
  listening: { die: 'dead', close: 'closing' },
  dead: { close: 'closing' },
  closing: { through: 'closed' },
  closed: {},
} as const satisfies Table

export const DATAGRAM = {
  created: { bind: 'binding', die: 'dead', close: 'closing' },
  binding: { bound: 'bound', failed: 'created', die: 'dead', close: 'closing' },
  bound: { die: 'dead', close: 'closing' },
  dead: { close: 'closing' },
  closing: { through: 'closed' },
  closed: {},
} as const satisfies Table

export const CONNECTION = {
  created: { bind: 'bound', die: 'dead', close: 'closing' },
  bound: { connect: 'connecting', die: 'dead', close: 'closing' },
  connecting: { connected: 'connected', failed: 'failed', die: 'dead', close: 'closing' },
  /** A socket that was accepted begins here. */
  connected: { die: 'dead', close: 'closing' },
  failed: { die: 'dead', close: 'closing' },
  dead: { close: 'closing' },
  closing: { through: 'closed' },
  closed: {},
} as const satisfies Table

/** WskListen or WskConnect decides which role the socket has; the other one's functions are invalid from then on. */
export const STREAM = {
  created: { bind: 'bound', die: 'dead', close: 'closing' },
  bound: { listen: 'listening', connect: 'connecting', die: 'dead', close: 'closing' },
  listening: { die: 'dead', close: 'closing' },
  connecting: { connected: 'connected', failed: 'failed', die: 'dead', close: 'closing' },
  connected: { die: 'dead', close: 'closing' },
  failed: { die: 'dead', close: 'closing' },
  dead: { close: 'closing' },
  closing: { through: 'closed' },
  closed: {},
} as const satisfies Table
