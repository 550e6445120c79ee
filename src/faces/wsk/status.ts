import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

declare const ntStatusBrand: unique symbol

/** A status code with the number Windows gave it. The two top bits say how bad: 0 success, 1 informational, 2 warning, 3 error. */
export type NtStatus = number & { readonly [ntStatusBrand]: true }

/** One row per status that this face returns or that its clients may return; docs/wsk.md has a table of them. */
const ROWS = {
  STATUS_SUCCESS: [0x00000000, 'done'],
  STATUS_TIMEOUT: [0x00000102, 'the time was up'],
  STATUS_PENDING: [0x00000103, 'the request goes on; its IRP tells'],
  STATUS_EVENT_PENDING: [0x40000013, 'the event is disabled once its running callback returns'],
  STATUS_BUFFER_OVERFLOW: [0x80000005, 'the output has no room, or the input is too long'],
  STATUS_UNSUCCESSFUL: [0xc0000001, 'it failed'],
  STATUS_NOT_IMPLEMENTED: [0xc0000002, 'nothing of the kind exists'],
  STATUS_INVALID_HANDLE: [0xc0000008, 'the object is closed or none of this provider'],
  STATUS_INVALID_PARAMETER: [0xc000000d, 'an argument is out of range'],
  STATUS_INVALID_DEVICE_REQUEST: [0xc0000010, 'the socket is not of a kind that has it'],
  STATUS_MORE_PROCESSING_REQUIRED: [0xc0000016, 'the IRP stays with whoever set the completion routine'],
  STATUS_ACCESS_DENIED: [0xc0000022, 'access is denied'],
  STATUS_BUFFER_TOO_SMALL: [0xc0000023, 'the output has no room'],
  STATUS_INTEGER_OVERFLOW: [0xc0000095, 'a number is too large'],
  STATUS_INSUFFICIENT_RESOURCES: [0xc000009a, 'memory or descriptors ran out'],
  STATUS_DEVICE_NOT_READY: [0xc00000a3, 'the provider is not there, or the registration ends'],
  STATUS_IO_TIMEOUT: [0xc00000b5, 'the peer did not answer in time'],
  STATUS_FILE_FORCED_CLOSED: [0xc00000b6, 'the socket is dead and can only be closed'],
  STATUS_NOT_SUPPORTED: [0xc00000bb, 'the transport does not offer it'],
  STATUS_REQUEST_NOT_ACCEPTED: [0xc00000d0, 'refused; or an IRP is needed'],
  STATUS_CANCELLED: [0xc0000120, 'the request was cancelled'],
  STATUS_LOCAL_DISCONNECT: [0xc000013b, 'ended on this side'],
  STATUS_REMOTE_DISCONNECT: [0xc000013c, 'ended by the peer'],
  STATUS_INVALID_ADDRESS: [0xc0000141, 'no such address'],
  STATUS_INVALID_DEVICE_STATE: [0xc0000184, 'the socket is not in a state that allows it'],
  STATUS_INVALID_BUFFER_SIZE: [0xc0000206, 'the size is wrong'],
  STATUS_INVALID_ADDRESS_COMPONENT: [0xc0000207, 'the address is not one of this host'],
  STATUS_TOO_MANY_ADDRESSES: [0xc0000209, 'no port is left'],
  STATUS_ADDRESS_ALREADY_EXISTS: [0xc000020a, 'the address is in use'],
  STATUS_CONNECTION_DISCONNECTED: [0xc000020c, 'the connection is gone'],
  STATUS_CONNECTION_RESET: [0xc000020d, 'the peer reset the connection'],
  STATUS_DATA_NOT_ACCEPTED: [0xc000021b, 'the indicated data were not taken'],
  STATUS_NOT_FOUND: [0xc0000225, 'no such name'],
  STATUS_CONNECTION_REFUSED: [0xc0000236, 'the peer refused the connection'],
  STATUS_GRACEFUL_DISCONNECT: [0xc0000237, 'ended in good order'],
  STATUS_NETWORK_UNREACHABLE: [0xc000023c, 'the network cannot be reached'],
  STATUS_HOST_UNREACHABLE: [0xc000023d, 'the host cannot be reached'],
  STATUS_PORT_UNREACHABLE: [0xc000023f, 'nobody listens at the port'],
  STATUS_CONNECTION_ABORTED: [0xc0000241, 'the connection was aborted here'],
  STATUS_NO_MATCH: [0xc0000272, 'no such name'],
  STATUS_NOINTERFACE: [0xc00002b9, 'the version is not offered'],
} as const satisfies Record<string, readonly [number, string]>

export type NtStatusName = keyof typeof ROWS

/** The codes by name. */
export const STATUS = Object.fromEntries(
  Object.entries(ROWS).map(([name, [code]]) => [name, code]),
) as Readonly<Record<NtStatusName, NtStatus>>

const NAMES = new Map<number, NtStatusName>(
  Object.entries(ROWS).map(([name, [code]]) => [code, name as NtStatusName]),
)

/** `STATUS_CANCELLED`, or the number in hexadecimal where it has no row. */
export function statusName(status: NtStatus): NtStatusName | `0x${string}` {
  return NAMES.get(status) ?? `0x${status.toString(16).toUpperCase()}`
}

/** Completes the sentence "Cannot <action>: ...". */
export function statusText(status: NtStatus): string {
  const name = NAMES.get(status)
  return name === undefined ? statusName(status) : ROWS[name][1]
}

/**
 * `NT_SUCCESS`: true for success and information. `STATUS_PENDING` and `STATUS_EVENT_PENDING` are among them, so this does not
 * tell whether a request is over.
 */
export function ntSuccess(status: NtStatus): boolean {
  return status >>> 30 < 2
}

/** Thrown by what is built on top of IRPs: `irp.promise()` and the idiomatic layer. Match on `status`. */
export class WskError extends Error {
  override readonly name = 'WskError'
  readonly status: NtStatus
  readonly code: string

  /** @param action What was tried, as a verb phrase. */
  constructor(status: NtStatus, action: string) {
    super(`Cannot ${action}: ${statusText(status)}`)
    this.status = status
    this.code = statusName(status)
  }
}

const OF_WSA: ReadonlyMap<WsaCode, NtStatusName> = new Map<WsaCode, NtStatusName>([
  [WSA.WSA_OPERATION_ABORTED, 'STATUS_CANCELLED'],
  [WSA.WSAEACCES, 'STATUS_ACCESS_DENIED'],
  [WSA.WSAEINVAL, 'STATUS_INVALID_PARAMETER'],
  [WSA.WSAEMFILE, 'STATUS_INSUFFICIENT_RESOURCES'],
  [WSA.WSAENOPROTOOPT, 'STATUS_NOT_SUPPORTED'],
  [WSA.WSAEOPNOTSUPP, 'STATUS_NOT_SUPPORTED'],
  [WSA.WSAEAFNOSUPPORT, 'STATUS_INVALID_ADDRESS'],
  [WSA.WSAEADDRINUSE, 'STATUS_ADDRESS_ALREADY_EXISTS'],
  [WSA.WSAEADDRNOTAVAIL, 'STATUS_INVALID_ADDRESS_COMPONENT'],
  [WSA.WSAENETDOWN, 'STATUS_NETWORK_UNREACHABLE'],
  [WSA.WSAENETUNREACH, 'STATUS_NETWORK_UNREACHABLE'],
  [WSA.WSAECONNABORTED, 'STATUS_CONNECTION_ABORTED'],
  [WSA.WSAECONNRESET, 'STATUS_CONNECTION_RESET'],
  [WSA.WSAENOBUFS, 'STATUS_INSUFFICIENT_RESOURCES'],
  [WSA.WSAENOTCONN, 'STATUS_CONNECTION_DISCONNECTED'],
  // The peer has closed, or reset and was read: there is nobody to send to.
  [WSA.WSAESHUTDOWN, 'STATUS_CONNECTION_RESET'],
  [WSA.WSAETIMEDOUT, 'STATUS_IO_TIMEOUT'],
  [WSA.WSAECONNREFUSED, 'STATUS_CONNECTION_REFUSED'],
  [WSA.WSAEHOSTUNREACH, 'STATUS_HOST_UNREACHABLE'],
])

/** The status for a code of the switch or a provider. */
export function ntStatusOf(code: WsaCode | 0): NtStatus {
  return code === 0 ? STATUS.STATUS_SUCCESS : STATUS[OF_WSA.get(code) ?? 'STATUS_UNSUCCESSFUL']
}

const OF_ERRNO: Readonly<Record<string, NtStatusName>> = {
  EADDRINUSE: 'STATUS_ADDRESS_ALREADY_EXISTS',
  EACCES: 'STATUS_ACCESS_DENIED',
  EPERM: 'STATUS_ACCESS_DENIED',
  EADDRNOTAVAIL: 'STATUS_INVALID_ADDRESS_COMPONENT',
  ECONNREFUSED: 'STATUS_PORT_UNREACHABLE',
  ENETUNREACH: 'STATUS_NETWORK_UNREACHABLE',
  EHOSTUNREACH: 'STATUS_HOST_UNREACHABLE',
  EINVAL: 'STATUS_INVALID_PARAMETER',
  EOPNOTSUPP: 'STATUS_NOT_SUPPORTED',
  EAFNOSUPPORT: 'STATUS_NOT_SUPPORTED',
  ENOBUFS: 'STATUS_INSUFFICIENT_RESOURCES',
  ENOMEM: 'STATUS_INSUFFICIENT_RESOURCES',
  EMFILE: 'STATUS_INSUFFICIENT_RESOURCES',
  EMSGSIZE: 'STATUS_INVALID_BUFFER_SIZE',
  ENOTFOUND: 'STATUS_NO_MATCH',
  ENODATA: 'STATUS_NO_MATCH',
  EAI_AGAIN: 'STATUS_IO_TIMEOUT',
  ETIMEDOUT: 'STATUS_IO_TIMEOUT',
}

/** The status for an error of Node's own `dgram` or `dns`. */
export function ntStatusOfError(error: unknown): NtStatus {
  const code = (error as NodeJS.ErrnoException | null)?.code ?? ''
  return STATUS[OF_ERRNO[code] ?? 'STATUS_UNSUCCESSFUL']
}
