import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

/**
 * Who answers for an option or a control code.
 *
 * - `switch`: the switch, from what it knows of the socket.
 * - `companion`: recorded, and replayed to the SAN socket that accompanies this one (WSD-COMP-11).
 * - `tcpip`: set on the TCP/IP socket; over a SAN it has nothing to change.
 * - `fixed`: it has one value here; setting that is fine, anything else is refused.
 * - `refused`: it cannot mean anything here.
 */
export type Handler = 'switch' | 'companion' | 'tcpip' | 'fixed' | 'refused'

export type OptionLevel = 'SOL_SOCKET' | 'IPPROTO_TCP'

export interface OptionRow {
  readonly level: OptionLevel
  /** Winsock's number. */
  readonly number: number
  readonly handler: Handler
  readonly get: boolean
  readonly set: boolean
  /** Of a `fixed` one; else what it is before it is set. */
  readonly value?: number
  /** How the call fails that the row does not allow. */
  readonly error: WsaCode
  readonly why: string
}

const R = WSA.WSAENOPROTOOPT
const both = { get: true, set: true, error: R } as const
const getOnly = { get: true, set: false, error: R } as const
const setOnly = { get: false, set: true, error: R } as const
const neither = { get: false, set: false, error: R } as const

/** Every option of Winsock's for stream sockets: docs/winsock.md shows this table. @source WSD §7 */
export const OPTIONS = {
  SO_DEBUG: {
    level: 'SOL_SOCKET',
    number: 0x0001,
    handler: 'companion',
    ...both,
    value: 0,
    why: 'a provider may say more when it is set',
  },
  SO_ACCEPTCONN: {
    level: 'SOL_SOCKET',
    number: 0x0002,
    handler: 'switch',
    ...getOnly,
    why: '1 on a listening socket',
  },
  SO_REUSEADDR: {
    level: 'SOL_SOCKET',
    number: 0x0004,
    handler: 'fixed',
    ...both,
    value: 1,
    why: 'Node sets it on every socket it binds',
  },
  SO_EXCLUSIVEADDRUSE: {
    level: 'SOL_SOCKET',
    number: 0xfffb,
    handler: 'fixed',
    ...both,
    value: 1,
    why: 'Linux lets nobody share the port of a listener unasked',
  },
  SO_KEEPALIVE: {
    level: 'SOL_SOCKET',
    number: 0x0008,
    handler: 'tcpip',
    ...both,
    value: 0,
    why: 'a SAN tells of a dead peer by itself',
  },
  SO_DONTROUTE: {
    level: 'SOL_SOCKET',
    number: 0x0010,
    handler: 'refused',
    ...neither,
    why: 'Node does not let one set it',
  },
  SO_BROADCAST: { level: 'SOL_SOCKET', number: 0x0020, handler: 'refused', ...neither, why: 'for datagrams' },
  SO_LINGER: {
    level: 'SOL_SOCKET',
    number: 0x0080,
    handler: 'switch',
    ...both,
    value: -1,
    why: 'seconds; -1 is off: graceful, in the background',
  },
  SO_DONTLINGER: {
    level: 'SOL_SOCKET',
    number: 0xff7f,
    handler: 'switch',
    ...both,
    value: 1,
    why: 'the opposite of SO_LINGER',
  },
  SO_OOBINLINE: {
    level: 'SOL_SOCKET',
    number: 0x0100,
    handler: 'switch',
    ...both,
    value: 0,
    why: 'urgent data are a matter of the session; over TCP/IP there are none',
  },
  SO_SNDBUF: {
    level: 'SOL_SOCKET',
    number: 0x1001,
    handler: 'switch',
    ...both,
    value: 65536,
    why: 'bytes that leave at most with one send that is not overlapped',
  },
  SO_RCVBUF: {
    level: 'SOL_SOCKET',
    number: 0x1002,
    handler: 'refused',
    ...neither,
    why: 'the window is the session’s ring, or the kernel’s',
  },
  SO_SNDLOWAT: {
    level: 'SOL_SOCKET',
    number: 0x1003,
    handler: 'refused',
    ...neither,
    why: 'Winsock never supported it',
  },
  SO_RCVLOWAT: {
    level: 'SOL_SOCKET',
    number: 0x1004,
    handler: 'refused',
    ...neither,
    why: 'Winsock never supported it',
  },
  SO_SNDTIMEO: {
    level: 'SOL_SOCKET',
    number: 0x1005,
    handler: 'switch',
    ...both,
    value: 0,
    why: 'ms for blocking sends; 0 is for ever',
  },
  SO_RCVTIMEO: {
    level: 'SOL_SOCKET',
    number: 0x1006,
    handler: 'switch',
    ...both,
    value: 0,
    why: 'ms for blocking receives; 0 is for ever',
  },
  SO_ERROR: {
    level: 'SOL_SOCKET',
    number: 0x1007,
    handler: 'switch',
    ...getOnly,
    why: 'how the connect failed; reading it clears it',
  },
  SO_TYPE: {
    level: 'SOL_SOCKET',
    number: 0x1008,
    handler: 'fixed',
    ...getOnly,
    value: 1,
    why: 'SOCK_STREAM',
  },
  SO_GROUP_ID: {
    level: 'SOL_SOCKET',
    number: 0x2001,
    handler: 'fixed',
    ...getOnly,
    value: 0,
    why: 'no provider offers quality of service: in no group',
  },
  SO_GROUP_PRIORITY: {
    level: 'SOL_SOCKET',
    number: 0x2002,
    handler: 'companion',
    ...both,
    value: 0,
    why: 'for a provider with quality of service',
  },
  SO_MAX_MSG_SIZE: {
    level: 'SOL_SOCKET',
    number: 0x2003,
    handler: 'refused',
    ...neither,
    why: 'an application sees a stream, without messages',
  },
  SO_CONDITIONAL_ACCEPT: {
    level: 'SOL_SOCKET',
    number: 0x3002,
    handler: 'switch',
    ...both,
    value: 0,
    why: 'before listen: SAN peers wait until the application accepts',
  },
  SO_UPDATE_ACCEPT_CONTEXT: {
    level: 'SOL_SOCKET',
    number: 0x700b,
    handler: 'switch',
    ...setOnly,
    why: 'after AcceptEx; the accepted socket has its listener’s options already',
  },
  SO_CONNECT_TIME: {
    level: 'SOL_SOCKET',
    number: 0x700c,
    handler: 'switch',
    ...getOnly,
    why: 'seconds since the connection was made; 0xffffffff without one',
  },
  SO_UPDATE_CONNECT_CONTEXT: {
    level: 'SOL_SOCKET',
    number: 0x7010,
    handler: 'switch',
    ...setOnly,
    why: 'after ConnectEx; there is nothing left to do',
  },
  SO_MAX_RDMA_SIZE: {
    level: 'SOL_SOCKET',
    number: 0x700d,
    handler: 'refused',
    ...neither,
    why: 'between switch and provider',
  },
  SO_RDMA_THRESHOLD_SIZE: {
    level: 'SOL_SOCKET',
    number: 0x700e,
    handler: 'refused',
    ...neither,
    why: 'between switch and provider',
  },
  TCP_NODELAY: {
    level: 'IPPROTO_TCP',
    number: 0x0001,
    handler: 'tcpip',
    ...both,
    value: 0,
    why: 'a SAN never delays',
  },
} as const satisfies Record<string, OptionRow>

export type OptionName = keyof typeof OPTIONS

export interface IoctlRow {
  readonly number: number
  readonly handler: Handler
  readonly error: WsaCode
  readonly why: string
}

const N = WSA.WSAEOPNOTSUPP

/** Every control code; what is in no row is refused with `WSAEOPNOTSUPP`, too. @source WSD §7 */
export const IOCTLS = {
  FIONBIO: {
    number: 0x8004667e,
    handler: 'fixed',
    error: N,
    why: 'no call ever blocks: 1 is fine, 0 is refused',
  },
  FIONREAD: {
    number: 0x4004667f,
    handler: 'switch',
    error: WSA.WSAENOTCONN,
    why: 'bytes that can be received now',
  },
  SIOCATMARK: {
    number: 0x40047307,
    handler: 'switch',
    error: WSA.WSAENOTCONN,
    why: 'false when an urgent byte is next; over TCP/IP always true',
  },
  SIO_ADDRESS_LIST_QUERY: {
    number: 0x48000016,
    handler: 'tcpip',
    error: N,
    why: 'the addresses of the host, not of a provider (WSD-ADDR-8)',
  },
  SIO_GET_EXTENSION_FUNCTION_POINTER: {
    number: 0xc8000006,
    handler: 'switch',
    error: WSA.WSAEINVAL,
    why: 'AcceptEx, ConnectEx, GetAcceptExSockaddrs, TransmitFile by their GUIDs; others: WSAEINVAL',
  },
  SIO_ADDRESS_LIST_CHANGE: {
    number: 0x28000017,
    handler: 'refused',
    error: N,
    why: 'Node does not tell when the addresses change',
  },
  SIO_ROUTING_INTERFACE_QUERY: {
    number: 0xc8000014,
    handler: 'refused',
    error: N,
    why: 'Node does not ask the routing table',
  },
  SIO_KEEPALIVE_VALS: {
    number: 0x98000004,
    handler: 'refused',
    error: N,
    why: 'Node does not let one set the interval',
  },
  SIO_GET_QOS: {
    number: 0xc8000007,
    handler: 'refused',
    error: N,
    why: 'no provider offers quality of service',
  },
  SIO_GET_GROUP_QOS: {
    number: 0xc8000008,
    handler: 'refused',
    error: N,
    why: 'no provider offers quality of service',
  },
  SIO_SET_QOS: {
    number: 0x8800000b,
    handler: 'refused',
    error: N,
    why: 'no provider offers quality of service',
  },
  SIO_SET_GROUP_QOS: {
    number: 0x8800000c,
    handler: 'refused',
    error: N,
    why: 'no provider offers quality of service',
  },
} as const satisfies Record<string, IoctlRow>

export type IoctlName = keyof typeof IOCTLS

/** The extension functions that an application may ask for. */
export const EXTENSIONS = {
  acceptEx: 'B5367DF1-CBAC-11CF-95CA-00805F48A192',
  getAcceptExSockaddrs: 'B5367DF2-CBAC-11CF-95CA-00805F48A192',
  transmitFile: 'B5367DF0-CBAC-11CF-95CA-00805F48A192',
  connectEx: '25A207B9-DDF3-4660-8EE9-76E58C74063E',
} as const

export type ExtensionName = keyof typeof EXTENSIONS
