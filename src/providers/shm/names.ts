import type { SocketAddress } from '../../spi/index.ts'
import { formatAddress } from '../../spi/index.ts'
import { LAYOUT_VERSION } from './layout.ts'

/**
 * Abstract socket names: they live and die with the process, and belong to a network namespace as TCP ports do. Another
 * layout has other names, so that processes of different versions do not even meet.
 */
const PREFIX = `sockswitch/${String(LAYOUT_VERSION)}/`

/** The rendezvous of a listener bound to `address`. */
export function rendezvousName(address: SocketAddress): string {
  return PREFIX + formatAddress(address)
}

/** The rendezvous of a connection that moves to another process begins so. */
export const MOVE_PREFIX = `${PREFIX}move/`

/** The rendezvous of several listeners for one TCP socket, bound to `address`. */
export function groupName(address: SocketAddress): string {
  return `${rendezvousName(address)}/group`
}

/** The rendezvous of one of several TCP sockets that share the port. */
export function portName(address: SocketAddress, cookie: string): string {
  return `${rendezvousName(address)}/${cookie}`
}
