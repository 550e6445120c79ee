/** An IP endpoint. The interface speaks only IP, never a provider's native addresses (WSD-ADDR-1). */
export interface SocketAddress {
  readonly family: AddressFamily
  /** Numeric, in the canonical text form of the family; no zone. */
  readonly address: string
  /** 0 to 65535; 0 means "not chosen yet". */
  readonly port: number
}

export type AddressFamily = 'IPv4' | 'IPv6'

/** A local network a provider carries connections on. A host-only provider serves prefixes of a full address. */
export interface ServedSubnet {
  readonly family: AddressFamily
  readonly address: string
  /** Leading bits that must match: 0 to 32 for IPv4, 0 to 128 for IPv6. */
  readonly prefixLength: number
}

/** True for 0.0.0.0 and `::`, which stand for every local address. */
export function isWildcard(address: SocketAddress): boolean {
  return address.address === '0.0.0.0' || address.address === '::'
}

/** `10.0.0.7:80` or `[::1]:80`. */
export function formatAddress(address: SocketAddress): string {
  return address.family === 'IPv6'
    ? `[${address.address}]:${String(address.port)}`
    : `${address.address}:${String(address.port)}`
}
