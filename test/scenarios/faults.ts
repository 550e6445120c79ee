import type { WsaName } from '../../src/spi/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import type { DelayableCall, FallibleCall, RepeatableCall } from '../../src/providers/wrap/fault.ts'

/** Calls that fail, and as what. */
export const FALLIBLE: readonly (readonly [FallibleCall, WsaName])[] = [
  ['startup', 'WSASYSNOTREADY'],
  ['addressList', 'WSAENETDOWN'],
  ['socket', 'WSAENOBUFS'],
  ['bind', 'WSAEADDRNOTAVAIL'],
  ['setSockOpt', 'WSAENETDOWN'],
  ['listen', 'WSAENOBUFS'],
  ['eventSelect', 'WSAENETDOWN'],
  ['enumNetworkEvents', 'WSAENETDOWN'],
  ['accept', 'WSAENOBUFS'],
  ['connect', 'WSAENETUNREACH'],
  ['memory', 'WSAENOTCONN'],
  // Not WSAECONNRESET, which says that the peer is gone, and would be a lie.
  ['receive', 'WSAENETDOWN'],
  ['signal', 'WSAECONNRESET'],
  ['rdmaWrite', 'WSAENETDOWN'],
  ['registerMemory', 'WSAENOBUFS'],
  ['peerMemory', 'WSAEFAULT'],
  ['deregisterMemory', 'WSAEINVAL'],
  ['duplicate', 'WSAENOBUFS'],
  ['close', 'WSAENETDOWN'],
  ['createSocketHandle', 'WSAENOBUFS'],
]

const DELAYABLE: readonly DelayableCall[] = [
  'signal',
  'set',
  'completeOverlappedRequest',
  'closeSocketHandle',
  'close',
]

const REPEATABLE: readonly RepeatableCall[] = [
  ...DELAYABLE,
  'addressList',
  'bind',
  'setSockOpt',
  'listen',
  'eventSelect',
  'enumNetworkEvents',
  'memory',
  'peerMemory',
  'deregisterMemory',
  'rdmaWrite',
  'receive',
]

/** What goes wrong in one play. */
export interface Trouble {
  readonly title: string
  readonly faults: readonly Fault[]
}

/**
 * Every call between switch and provider that can fail, be late or come twice without the provider's being broken. They fail the
 * first, the second and the fifth time, and each time.
 */
export const TROUBLES: readonly Trouble[] = [
  ...FALLIBLE.flatMap(([call, error]) => [
    ...[1, 2, 5].map((nth) => ({ title: `${call} ${nth} fails`, faults: [{ call, error, nth }] })),
    { title: `every ${call} fails`, faults: [{ call, error }] },
  ]),
  ...DELAYABLE.map((call) => ({ title: `every ${call} is late`, faults: [{ call, delayMs: 3 }] })),
  ...REPEATABLE.map((call) => ({
    title: `every ${call} comes twice`,
    faults: [{ call, repeat: true as const }],
  })),
]
