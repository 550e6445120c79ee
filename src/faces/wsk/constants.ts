/** The numbers of `wsk.h`. Values are overloaded between functions, so each function has a type of its own for them. */

export const WSK_NO_WAIT = 0
export const WSK_INFINITE_WAIT = 0xffffffff

export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_INET6 = 23
export type AddressFamilyNumber = typeof AF_INET | typeof AF_INET6

export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3

export const IPPROTO_IP = 0
export const IPPROTO_TCP = 6
export const IPPROTO_UDP = 17
export const IPPROTO_IPV6 = 41

/** Category of a socket; one flag of WskSocket, or none for a basic socket. */
export const WSK_FLAG_BASIC_SOCKET = 0
export const WSK_FLAG_LISTEN_SOCKET = 1
export const WSK_FLAG_CONNECTION_SOCKET = 2
export const WSK_FLAG_DATAGRAM_SOCKET = 4
export const WSK_FLAG_STREAM_SOCKET = 8
export type CategoryFlag =
  | typeof WSK_FLAG_BASIC_SOCKET
  | typeof WSK_FLAG_LISTEN_SOCKET
  | typeof WSK_FLAG_CONNECTION_SOCKET
  | typeof WSK_FLAG_DATAGRAM_SOCKET
  | typeof WSK_FLAG_STREAM_SOCKET

/** WskDisconnect and WskDisconnectEvent. */
export const WSK_FLAG_ABORTIVE = 1
/** WskReceiveEvent. */
export const WSK_FLAG_RELEASE_ASAP = 2
export const WSK_FLAG_ENTIRE_MESSAGE = 4
/** Never set: there are no dispatch levels here. */
export const WSK_FLAG_AT_DISPATCH_LEVEL = 8
/** WskSend. */
export const WSK_FLAG_OOB = 1
export const WSK_FLAG_NODELAY = 2
/** WskReceive. */
export const WSK_FLAG_WAITALL = 2
export const WSK_FLAG_DRAIN = 4

export const WSK_EVENT_SEND_BACKLOG = 0x10
export const WSK_EVENT_RECEIVE = 0x40
export const WSK_EVENT_DISCONNECT = 0x80
export const WSK_EVENT_RECEIVE_FROM = 0x100
export const WSK_EVENT_ACCEPT = 0x200
export const WSK_EVENT_DISABLE = 0x80000000

export const WskInspectReject = 0
export const WskInspectAccept = 1
export const WskInspectPend = 2
/** What WskInspectEvent answers. */
export type WskInspectAction = typeof WskInspectReject | typeof WskInspectAccept | typeof WskInspectPend
/** What WskInspectComplete is told. */
export type WskInspectDecision = typeof WskInspectReject | typeof WskInspectAccept

export const WskSetOption = 0
export const WskGetOption = 1
export const WskIoctl = 2
export type WskControlType = typeof WskSetOption | typeof WskGetOption | typeof WskIoctl

export const WSK_TRANSPORT_LIST_QUERY = 2
export const WSK_TRANSPORT_LIST_CHANGE = 3
export const WSK_CACHE_SD = 4
export const WSK_RELEASE_SD = 5
export const WSK_TDI_DEVICENAME_MAPPING = 6
export const WSK_SET_STATIC_EVENT_CALLBACKS = 7
export const WSK_TDI_BEHAVIOR = 8
export const WSK_TDI_BEHAVIOR_BYPASS_TDI = 1

export const SOL_SOCKET = 0xffff
export const SO_REUSEADDR = 0x0004
export const SO_KEEPALIVE = 0x0008
export const SO_BROADCAST = 0x0020
export const SO_EXCLUSIVEADDRUSE = 0xfffffffb
export const SO_SNDBUF = 0x1001
export const SO_RCVBUF = 0x1002
export const SO_CONDITIONAL_ACCEPT = 0x3002
export const SO_WSK_SECURITY = 0x4001
export const SO_WSK_EVENT_CALLBACK = 0x4002
export const TCP_NODELAY = 0x0001
export const TCP_KEEPIDLE = 0x0003
export const TCP_KEEPCNT = 0x0010
export const TCP_KEEPINTVL = 0x0011
export const TCP_FASTOPEN = 0x000f
export const IPV6_V6ONLY = 27
export const IP_TTL = 4
export const IP_PKTINFO = 19
export const IPV6_UNICAST_HOPS = 4
export const IPV6_PKTINFO = 19

export const SIO_WSK_SET_REMOTE_ADDRESS = 0x8f000001
export const SIO_WSK_REGISTER_EXTENSION = 0xcf000002
export const SIO_WSK_QUERY_IDEAL_SEND_BACKLOG = 0x4f000003
export const SIO_WSK_QUERY_RECEIVE_BACKLOG = 0x4f000004
export const SIO_WSK_QUERY_INSPECT_ID = 0x4f000005
export const SIO_WSK_SET_SENDTO_ADDRESS = 0x8f000006
export const SIO_WSK_SET_TCP_SILENT_MODE = 0x2f000007
export const SIO_ADDRESS_LIST_QUERY = 0x48000016
export const SIO_ADDRESS_LIST_CHANGE = 0x28000017
export const SIO_ADDRESS_LIST_SORT = 0xc8000019
export const SIO_LOOPBACK_FAST_PATH = 0x98000010
export const SIO_QUERY_WFP_CONNECTION_REDIRECT_RECORDS = 0x980000dc
export const SIO_QUERY_WFP_CONNECTION_REDIRECT_CONTEXT = 0x980000dd
export const SIO_SET_WFP_CONNECTION_REDIRECT_RECORDS = 0x980000de

export const MSG_TRUNC = 0x100
export const MSG_CTRUNC = 0x200
export const MSG_BCAST = 0x400
export const MSG_MCAST = 0x800

export const NI_NOFQDN = 1
export const NI_NUMERICHOST = 2
export const NI_NAMEREQD = 4
export const NI_NUMERICSERV = 8
export const NI_DGRAM = 0x10

/** The most that WskConnectEx sends along. */
export const MAX_CONNECT_BYTES = 65_535

/** Identifies the interface in {@link WSK_EVENT_DISABLE} and its like; extensions have ids of their own. */
export const NPI_WSK_INTERFACE_ID = 'NPI_WSK_INTERFACE_ID'

export function MAKE_WSK_VERSION(major: number, minor: number): number {
  return (major << 8) | (minor & 0xff)
}
export function WSK_MAJOR_VERSION(version: number): number {
  return version >> 8
}
export function WSK_MINOR_VERSION(version: number): number {
  return version & 0xff
}
