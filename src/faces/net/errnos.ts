import { constants } from 'node:os'
import { getSystemErrorName } from 'node:util'
import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

/** libuv's numbers: negative errnos, and one of its own for the end of a stream. */
export const UV_EOF = -4095
export const UV_ECONNRESET = -constants.errno.ECONNRESET
export const UV_ECANCELED = -constants.errno.ECANCELED
export const UV_EBADF = -constants.errno.EBADF

/** The error Node would make of a failed call: `write EPIPE`. */
export function errnoError(errno: number, syscall: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`${syscall} ${code}`), { errno, code, syscall })
}

/** libuv's number for a Winsock code that reaches the application. */
export function uvError(code: WsaCode): number {
  switch (code) {
    case WSA.WSAECONNREFUSED:
      return -constants.errno.ECONNREFUSED
    case WSA.WSAEHOSTUNREACH:
      return -constants.errno.EHOSTUNREACH
    case WSA.WSAESHUTDOWN:
      return -constants.errno.EPIPE
    default:
      return UV_ECONNRESET
  }
}
