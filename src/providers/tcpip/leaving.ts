import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { SubnetSet } from '../../base/subnet-set.ts'
import type { SocketAddress } from '../../spi/index.ts'

/** The local address from which a connect to `destination` would leave; undefined where only the routing table knows. */
export function leavingFor(destination: SocketAddress): string | undefined {
  const { address, family } = destination
  if (family === 'IPv4' && address.startsWith('127.')) return '127.0.0.1'
  if (address === '::1') return address
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => entry.family === family)
  if (own.some((entry) => entry.address === address)) return address
  return own.find((entry) => contains(entry.address, entry.cidr, destination))?.address
}

function contains(address: string, cidr: string | null, destination: SocketAddress): boolean {
  const prefixLength = Number(cidr?.split('/')[1])
  if (!Number.isInteger(prefixLength)) return false
  const family = isIPv4(address) ? 'IPv4' : 'IPv6'
  return new SubnetSet([{ family, address, prefixLength }]).has(destination)
}
