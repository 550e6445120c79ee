import type { AddressFamily, SocketAddress } from '../../spi/index.ts'

const MAPPED = '::ffff:'
const LOOPBACK: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** Where a connect to `address` goes: this host for the wildcard, and the IPv4 address itself for a mapped one. */
export function destinationOf(address: SocketAddress): SocketAddress {
  const text = LOOPBACK[address.address] ?? address.address
  if (text.startsWith(MAPPED) && text.includes('.')) {
    return { family: 'IPv4', address: text.slice(MAPPED.length), port: address.port }
  }
  return { ...address, address: text }
}

/** `address` as a socket of `family` shows it: an IPv6 socket has mapped IPv4 peers. */
export function shownIn(family: AddressFamily, address: SocketAddress): SocketAddress {
  if (family === address.family || family === 'IPv4') return address
  return { family, address: MAPPED + address.address, port: address.port }
}
