import { isIP } from 'node:net'

const PREFIX = '::ffff:'

/** An IPv4 address as IPv6 writes it. */
export function mapped(address: string): string {
  return PREFIX + address
}

/** The IPv4 address that a mapped one stands for; undefined for any other. */
export function unmapped(address: string): string | undefined {
  const rest = address.startsWith(PREFIX) ? address.slice(PREFIX.length) : ''
  return isIP(rest) === 4 ? rest : undefined
}
