import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

/** Why no link came about. Never final: TCP/IP goes other ways and finds out for itself. */
export function connectCode(errno: number): WsaCode {
  switch (errno) {
    case 2: // ENOENT, EINPROGRESS: `tcp` says so when a listener ends before it has answered
    case 115:
    case 104: // ECONNRESET
    case 110: // ETIMEDOUT
    case 111: // ECONNREFUSED
    case 0: // ended in order before it began
      return WSA.WSAETIMEDOUT
    case 101: // ENETUNREACH
    case 113: // EHOSTUNREACH
      return WSA.WSAENETUNREACH
    default:
      return resourceCode(errno)
  }
}

/** The code for an errno of making endpoints, queues and registered memory. */
export function resourceCode(errno: number): WsaCode {
  switch (errno) {
    case 12: // ENOMEM: also beyond RLIMIT_MEMLOCK
    case 105: // ENOBUFS
      return WSA.WSAENOBUFS
    case 23: // ENFILE
    case 24: // EMFILE
      return WSA.WSAEMFILE
    case 98: // EADDRINUSE
    case 13: // EACCES: a port below 1024
      return WSA.WSAEADDRNOTAVAIL
    default:
      return WSA.WSAENETDOWN
  }
}
