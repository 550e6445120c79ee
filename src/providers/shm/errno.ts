import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'

/** The code for a negative errno of memory and channel calls. */
export function codeOf(errno: number): WsaCode {
  switch (-errno) {
    case 1: // EPERM: seals, size or kind
      return WSA.WSAEFAULT
    case 12: // ENOMEM
    case 28: // ENOSPC
    case 105: // ENOBUFS
      return WSA.WSAENOBUFS
    case 23: // ENFILE
    case 24: // EMFILE
    case 109: // ETOOMANYREFS
      return WSA.WSAEMFILE
    default:
      return WSA.WSAENETDOWN
  }
}
