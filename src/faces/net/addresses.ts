import { isIP } from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'

const MAPPED = '::ffff:'

/** Where a connect to this literal address goes, or undefined when it is none we could serve (a zone, say). */
export function destinationOf(address: string, port: number): SocketAddress | undefined {
  if (port <= 0) return undefined
  // The kernel takes the wildcard as "this host".
  if (address === '0.0.0.0') return { family: 'IPv4', address: '127.0.0.1', port }
  if (address === '::') return { family: 'IPv6', address: '::1', port }
  if (isMapped(address)) return { family: 'IPv4', address: address.slice(MAPPED.length), port }
  switch (isIP(address)) {
    case 4:
      return { family: 'IPv4', address, port }
    case 6:
      return address.includes('%') ? undefined : { family: 'IPv6', address, port }
    default:
      return undefined
  }
}

export function isMapped(address: string): boolean {
  return address.startsWith(MAPPED) && isIP(address.slice(MAPPED.length)) === 4
}

/** An IPv4 address as an IPv6 socket shows it. */
export function mapped(address: SocketAddress): SocketAddress {
  return address.family === 'IPv6' ? address : { ...address, family: 'IPv6', address: MAPPED + address.address }
}
