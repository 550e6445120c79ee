/** What a Winsock application may hear from each call, by the state of its socket, and what it tries when. */
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'

export type Known = WinsockSocket['state']

export const ALLOWED: Readonly<Record<string, Readonly<Record<Known, readonly string[]>>>> = {
  bind: row({ created: ['success', 'WSAEINVAL'] }, 'WSAEINVAL'),
  listen: row(
    { bound: ['success'], listening: ['success'], connecting: ['WSAEISCONN'], connected: ['WSAEISCONN'] },
    'WSAEINVAL',
  ),
  connect: row(
    {
      created: ['WSAEWOULDBLOCK', 'WSAEINVAL'],
      bound: ['WSAEWOULDBLOCK'],
      connecting: ['WSAEALREADY'],
      connected: ['WSAEISCONN'],
    },
    'WSAEINVAL',
  ),
  accept: row({ listening: ['success', 'WSAEWOULDBLOCK', 'WSATRY_AGAIN', 'WSAECONNREFUSED'] }, 'WSAEINVAL'),
  acceptEx: row({ listening: ['WSA_IO_PENDING', 'WSAEINVAL'] }, 'WSAEINVAL'),
  send: row(
    { connected: ['success', 'WSA_IO_PENDING', 'WSAEWOULDBLOCK', 'WSAESHUTDOWN', 'WSAECONNRESET'] },
    'WSAENOTCONN',
  ),
  recv: row(
    { connected: ['success', 'WSA_IO_PENDING', 'WSAEWOULDBLOCK', 'WSAESHUTDOWN', 'WSAECONNRESET'] },
    'WSAENOTCONN',
  ),
  shutdown: row({ connected: ['success'] }, 'WSAENOTCONN'),
  closesocket: row({}, 'success'),
  getpeername: row({ connected: ['success'] }, 'WSAENOTCONN'),
}

function row(
  given: Partial<Record<Known, readonly string[]>>,
  otherwise: string,
): Readonly<Record<Known, readonly string[]>> {
  const states: readonly Known[] = [
    'created',
    'bound',
    'listening',
    'reserved',
    'connecting',
    'connected',
    'failed',
  ]
  const rest = Object.fromEntries(states.map((state) => [state, given[state] ?? [otherwise]]))
  return { ...rest, closed: ['WSAENOTSOCK'] } as unknown as Readonly<Record<Known, readonly string[]>>
}

/** What a socket becomes without a call of its own: an accept that is taken back leaves a new one. */
export const BY_ITSELF: Partial<Record<Known, readonly Known[]>> = {
  connecting: ['connected', 'failed'],
  reserved: ['connected', 'created'],
  connected: ['created'],
}

/** In which states an act means something; in all where nothing is said. */
export const MEANT_FOR: Readonly<Record<string, readonly Known[]>> = {
  bind: ['created'],
  listen: ['bound'],
  connect: ['created', 'bound'],
  accept: ['listening'],
  acceptEx: ['listening'],
  send: ['connected'],
  recv: ['connected'],
  shutdown: ['connected'],
}

export const ACTS = [
  'bind',
  'listen',
  'listen',
  'connect',
  'connect',
  'connect',
  'accept',
  'accept',
  'accept',
  'acceptEx',
  'send',
  'send',
  'send',
  'recv',
  'recv',
  'recv',
  'shutdown',
  'closesocket',
  'cancel',
  'events',
  'getpeername',
] as const
