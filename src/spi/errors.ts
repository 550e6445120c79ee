/**
 * The result codes of the service provider interface, with the numbers Winsock gave them.
 * One row per code; `docs/errors.md` has a heading per row and a test compares the two.
 */
export const WSA = {
  WSA_INVALID_HANDLE: 6,
  WSA_OPERATION_ABORTED: 995,
  WSA_IO_INCOMPLETE: 996,
  WSA_IO_PENDING: 997,
  WSAEACCES: 10013,
  WSAEFAULT: 10014,
  WSAEINVAL: 10022,
  WSAEMFILE: 10024,
  WSAEWOULDBLOCK: 10035,
  WSAEALREADY: 10037,
  WSAENOTSOCK: 10038,
  WSAEMSGSIZE: 10040,
  WSAENOPROTOOPT: 10042,
  WSAEPROTONOSUPPORT: 10043,
  WSAEOPNOTSUPP: 10045,
  WSAEAFNOSUPPORT: 10047,
  WSAEADDRINUSE: 10048,
  WSAEADDRNOTAVAIL: 10049,
  WSAENETDOWN: 10050,
  WSAENETUNREACH: 10051,
  WSAECONNABORTED: 10053,
  WSAECONNRESET: 10054,
  WSAENOBUFS: 10055,
  WSAEISCONN: 10056,
  WSAENOTCONN: 10057,
  WSAESHUTDOWN: 10058,
  WSAETIMEDOUT: 10060,
  WSAECONNREFUSED: 10061,
  WSAEHOSTUNREACH: 10065,
  WSAEPROCLIM: 10067,
  WSASYSNOTREADY: 10091,
  WSAVERNOTSUPPORTED: 10092,
  WSANOTINITIALISED: 10093,
  WSAEINVALIDPROVIDER: 10105,
  WSATRY_AGAIN: 11002,
  WSA_QOS_POLICY_FAILURE: 11011,
} as const

export type WsaName = keyof typeof WSA
export type WsaCode = (typeof WSA)[WsaName]

/** What a call answers that has nothing else to return: 0 for success, else why it failed. */
export type Status = 0 | WsaCode

/** What a call answers that returns something. Failures are values; throws are for misuse. */
export type Result<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WsaCode }

export function success<T>(value: T): Result<T> {
  return { ok: true, value }
}

export function failure(error: WsaCode): { readonly ok: false; readonly error: WsaCode } {
  return { ok: false, error }
}

/** Completes the sentence "Cannot <action>: ...". */
export const WSA_TEXT: Readonly<Record<WsaName, string>> = {
  WSA_INVALID_HANDLE: 'the event object is not valid',
  WSA_OPERATION_ABORTED: 'the socket was closed here while the operation was pending',
  WSA_IO_INCOMPLETE: 'the operation has not finished',
  WSA_IO_PENDING: 'the operation goes on in the background',
  WSAEACCES: 'the peer belongs to another user',
  WSAEFAULT: 'an argument, or what the peer sent, is malformed',
  WSAEINVAL: 'the socket is not in a state that allows it, or an argument is out of range',
  WSAEMFILE: 'no more descriptors',
  WSAEWOULDBLOCK: 'it would have to wait',
  WSAEALREADY: 'a connect is already in progress',
  WSAENOTSOCK: 'the socket is closed or not one of this provider',
  WSAEMSGSIZE: 'the message is larger than the provider carries',
  WSAENOPROTOOPT: 'the provider does not know the option',
  WSAEPROTONOSUPPORT: 'the protocol is not supported',
  WSAEOPNOTSUPP: 'the provider does not offer the operation',
  WSAEAFNOSUPPORT: 'the address family is not supported',
  WSAEADDRINUSE: 'the address is in use',
  WSAEADDRNOTAVAIL: 'the address is not one of this host that the provider serves',
  WSAENETDOWN: 'the provider is not usable',
  WSAENETUNREACH: 'the network cannot be reached now',
  WSAECONNABORTED: 'the transport failed',
  WSAECONNRESET: 'the peer is gone',
  WSAENOBUFS: 'no memory is left for it',
  WSAEISCONN: 'the socket is already connected',
  WSAENOTCONN: 'the socket is not connected',
  WSAESHUTDOWN: 'sending was already shut down',
  WSAETIMEDOUT: 'no switched peer answers at the address',
  WSAECONNREFUSED: 'the peer refused the connection',
  WSAEHOSTUNREACH: 'the address does not exist',
  WSAEPROCLIM: 'a limit on links or connections was reached',
  WSASYSNOTREADY: 'the network below the provider is not ready',
  WSAVERNOTSUPPORTED: 'the two sides speak different versions',
  WSANOTINITIALISED: 'the provider was not started',
  WSAEINVALIDPROVIDER: 'the peer does not own the TCP listener at the address',
  WSATRY_AGAIN: 'the decision was deferred',
  WSA_QOS_POLICY_FAILURE: 'a rule of the peer forbids it',
}

const NAMES = new Map<number, WsaName>(Object.entries(WSA).map(([name, code]) => [code, name as WsaName]))

/** The name of `code`, such as `WSAECONNREFUSED`. */
export function wsaName(code: WsaCode): WsaName {
  return NAMES.get(code) ?? 'WSAENETDOWN'
}

/**
 * True when a connect that failed with `code` must not be tried over TCP/IP, because TCP/IP is sure to fail too.
 *
 * @source WSD-CONN-13, WSD-CONN-14
 */
export function isFinalConnectError(code: WsaCode): boolean {
  return code === WSA.WSAECONNREFUSED || code === WSA.WSAECONNRESET || code === WSA.WSAEHOSTUNREACH
}

/** Misuse of an interface by its caller. Match on `code`, never on `message`. */
export class SockswitchError extends Error {
  override readonly name = 'SockswitchError'
  readonly code: WsaName

  /** @param action What was tried, as a verb phrase: `bind to 10.0.0.7:80`. */
  constructor(code: WsaName, action: string, options?: ErrorOptions) {
    super(`Cannot ${action}: ${WSA_TEXT[code]}`, options)
    this.code = code
  }
}
