import { WSA } from '../spi/index.ts'
import type { WsaCode } from '../spi/index.ts'

/** Why a connection or a listener stays on TCP/IP. One row per reason; docs/reasons.md has a heading per row. */
export const REASONS = {
  'no-route': 'no SAN provider serves the address',
  'no-listener': 'nobody listens at the address',
  'peer-not-switched': 'nobody at the address offers a SAN connection',
  'peer-other-user': 'the peer belongs to another user',
  'owner-unknown': 'the kernel does not tell who owns the TCP listener at the address',
  'peer-not-owner': 'whoever offers the SAN connection does not own the TCP listener at the address',
  'peer-malformed': 'the peer offered something malformed',
  version: 'the peer speaks another version',
  starting: 'the SAN provider is still starting',
  'handshake-timeout': 'the peer did not answer in time',
  resource: 'memory or descriptors ran out',
  rule: 'a rule keeps it on TCP/IP',
  'peer-rule': 'a rule of the peer keeps it on TCP/IP',
  observed: 'only observed: it would have been switched',
  limit: 'a limit on links or connections was reached',
  reservation: 'no local port could be reserved',
  'name-taken': 'another process offers SAN connections at the same address',
  'provider-error': 'the SAN provider failed',
  shared: 'the listener shares its address with listeners that it could not join',
  bridged: 'the socket was handed to a process or thread that takes a descriptor',
  off: 'switching is turned off',
} as const

export type Reason = keyof typeof REASONS

/** The reason behind a failure that is not final. `stage` tells apart what one code means at different calls. */
export function reasonFor(code: WsaCode, stage: 'create' | 'listen' | 'share' | 'connect'): Reason {
  switch (code) {
    case WSA.WSAETIMEDOUT:
      return 'peer-not-switched'
    case WSA.WSAEACCES:
      return 'peer-other-user'
    case WSA.WSASYSNOTREADY:
      return 'owner-unknown'
    case WSA.WSATRY_AGAIN:
      return 'starting'
    case WSA.WSAECONNABORTED:
      return 'handshake-timeout'
    case WSA.WSAEINVALIDPROVIDER:
      return 'peer-not-owner'
    case WSA.WSAEFAULT:
      return 'peer-malformed'
    case WSA.WSAVERNOTSUPPORTED:
      return 'version'
    case WSA.WSAENOBUFS:
    case WSA.WSAEMFILE:
      return 'resource'
    case WSA.WSAEPROCLIM:
      return 'limit'
    case WSA.WSA_QOS_POLICY_FAILURE:
      return 'peer-rule'
    case WSA.WSAEADDRNOTAVAIL:
      return AT_ADDRESS[stage]
    case WSA.WSAEOPNOTSUPP:
      return stage === 'share' ? 'shared' : 'provider-error'
    case WSA.WSAENETUNREACH:
    case WSA.WSAEAFNOSUPPORT:
      return 'no-route'
    default:
      return 'provider-error'
  }
}

/** What an address that is not to be had means at each stage. */
const AT_ADDRESS = {
  create: 'no-route',
  listen: 'name-taken',
  share: 'shared',
  connect: 'no-listener',
} as const
