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

/** Under which names a listener for `destination` may be found, in the order in which TCP would look. */
export function candidateNames(destination: SocketAddress): string[] {
  const { family, port } = destination
  const names = [rendezvousName(destination)]
  if (family === 'IPv4') names.push(rendezvousName({ family, address: '0.0.0.0', port }))
  names.push(rendezvousName({ family: 'IPv6', address: '::', port }))
  return names
}
