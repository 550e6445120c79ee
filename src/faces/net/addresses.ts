import { isIP } from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import { destinationOf } from '../../switch/addresses.ts'

/** Where a connect to this literal address goes, or undefined when it is none we could serve (a zone, say). */
export function literalDestination(address: string, port: number): SocketAddress | undefined {
  const version = address.includes('%') ? 0 : isIP(address)
  if (port <= 0 || version === 0) return undefined
  return destinationOf({ family: version === 4 ? 'IPv4' : 'IPv6', address, port })
}
