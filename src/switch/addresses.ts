import type { AddressFamily, SocketAddress } from '../spi/index.ts'
import { mapped, unmapped } from '../base/mapped-address.ts'

/** Where a connect to `address` goes, as the kernel has it: this host for the wildcard, the IPv4 address itself for a mapped one. */
export function destinationOf({ family, address, port }: SocketAddress): SocketAddress {
  if (address === '0.0.0.0') return { family, address: '127.0.0.1', port }
  if (address === '::') return { family, address: '::1', port }
  return plainly({ family, address, port })
}

/** `address` in a family of its own: an IPv6 socket at a mapped address is one of IPv4. */
export function plainly(address: SocketAddress): SocketAddress {
  const plain = unmapped(address.address)
  return plain === undefined ? address : { family: 'IPv4', address: plain, port: address.port }
}

/** `address` as a socket of `family` shows it: an IPv6 socket has mapped IPv4 peers. */
export function shownIn(family: AddressFamily, address: SocketAddress): SocketAddress {
  if (family === address.family || family === 'IPv4') return address
  return { family, address: mapped(address.address), port: address.port }
}
