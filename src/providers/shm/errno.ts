import { constants } from 'node:os'
import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

/** What native calls answer is negative where it is one of these. */
export const { EADDRINUSE, EAGAIN, EMFILE, EMSGSIZE, ENFILE, ENOENT } = constants.errno
const { ECONNREFUSED, ENOBUFS, ENOMEM, ENOSPC, EPERM } = constants.errno
/** Node has no name for it: too many descriptors are on their way. */
const ETOOMANYREFS = 109

/** The code for a negative errno of memory and channel calls. */
export function codeOf(errno: number): WsaCode {
  switch (-errno) {
    // Seals, size or kind.
    case EPERM:
      return WSA.WSAEFAULT
    case ENOMEM:
    case ENOSPC:
    case ENOBUFS:
      return WSA.WSAENOBUFS
    case ENFILE:
    case EMFILE:
    case ETOOMANYREFS:
      return WSA.WSAEMFILE
    default:
      return WSA.WSAENETDOWN
  }
}

/** Why a rendezvous cannot be entered. */
export function connectCode(errno: number): WsaCode {
  switch (-errno) {
    // Nobody offers the name.
    case ECONNREFUSED:
      return WSA.WSAETIMEDOUT
    // It has more visitors than it can hold.
    case EAGAIN:
      return WSA.WSAEPROCLIM
    case ENFILE:
    case EMFILE:
      return WSA.WSAEMFILE
    default:
      return WSA.WSAENETDOWN
  }
}
