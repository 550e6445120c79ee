import { isIP } from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import { AF_INET, AF_INET6 } from './constants.ts'

/** `SOCKADDR_IN` and `SOCKADDR_IN6`: an address and port of a family. */
export type SockAddr = SocketAddress

export function sockAddr(address: string, port: number): SockAddr {
  return { family: isIP(address) === 6 ? 'IPv6' : 'IPv4', address, port }
}

/** `AF_INET` or `AF_INET6`. */
export function familyNumber(family: SocketAddress['family']): typeof AF_INET | typeof AF_INET6 {
  return family === 'IPv4' ? AF_INET : AF_INET6
}

export function familyName(family: number): SocketAddress['family'] | undefined {
  return family === AF_INET ? 'IPv4' : family === AF_INET6 ? 'IPv6' : undefined
}

/** True for an address that a function can take; a copy of it is what it keeps (WSK-IRP-15). */
export function isSockAddr(address: SockAddr | null | undefined): address is SockAddr {
  if (address === null || address === undefined) return false
  const { port } = address
  return (
    isIP(address.address) === (address.family === 'IPv6' ? 6 : 4) &&
    Number.isInteger(port) &&
    port >= 0 &&
    port < 65_536
  )
}

export function sameAddress(one: SockAddr, other: SockAddr): boolean {
  return one.port === other.port && one.address === other.address && one.family === other.family
}
