import { constants } from 'node:os'
import { WSA } from '../../spi/index.ts'
import type { Status, WsaCode } from '../../spi/index.ts'

/** libuv's number for the end of a stream. */
export const UV_EOF = -4095

const { errno } = constants

const CODES: ReadonlyMap<number, WsaCode> = new Map([
  [errno.EACCES, WSA.WSAEACCES],
  [errno.EADDRINUSE, WSA.WSAEADDRINUSE],
  [errno.EADDRNOTAVAIL, WSA.WSAEADDRNOTAVAIL],
  [errno.EAFNOSUPPORT, WSA.WSAEAFNOSUPPORT],
  [errno.ECANCELED, WSA.WSA_OPERATION_ABORTED],
  [errno.ECONNABORTED, WSA.WSAECONNABORTED],
  [errno.ECONNREFUSED, WSA.WSAECONNREFUSED],
  [errno.ECONNRESET, WSA.WSAECONNRESET],
  [errno.EHOSTUNREACH, WSA.WSAEHOSTUNREACH],
  [errno.EINVAL, WSA.WSAEINVAL],
  [errno.EISCONN, WSA.WSAEISCONN],
  [errno.EMFILE, WSA.WSAEMFILE],
  [errno.ENETUNREACH, WSA.WSAENETUNREACH],
  [errno.ENFILE, WSA.WSAEMFILE],
  [errno.ENOTCONN, WSA.WSAENOTCONN],
  [errno.EPERM, WSA.WSAEACCES],
  [errno.EPIPE, WSA.WSAESHUTDOWN],
  [errno.ETIMEDOUT, WSA.WSAETIMEDOUT],
])

/** The code for what libuv answered: 0, or a negative errno. */
export function statusOf(uv: number): Status {
  return uv >= 0 ? 0 : (CODES.get(-uv) ?? WSA.WSAENOBUFS)
}
