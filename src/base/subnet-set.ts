import { BlockList } from 'node:net'

interface Subnet {
  readonly family: 'IPv4' | 'IPv6'
  readonly address: string
  readonly prefixLength: number
}

/** Remembered answers; more addresses than this mean that something scans, and the memory is started afresh. */
const MAX_REMEMBERED = 1024

/** Tells whether an address lies in one of some subnets, and remembers the answers. */
export class SubnetSet {
  readonly #list = new BlockList()
  readonly #remembered = new Map<string, boolean>()

  constructor(subnets: readonly Subnet[]) {
    for (const { family, address, prefixLength } of subnets) {
      this.#list.addSubnet(address, prefixLength, family === 'IPv4' ? 'ipv4' : 'ipv6')
    }
  }

  has(address: { readonly family: 'IPv4' | 'IPv6'; readonly address: string }): boolean {
    let found = this.#remembered.get(address.address)
    if (found === undefined) {
      found = this.#list.check(address.address, address.family === 'IPv4' ? 'ipv4' : 'ipv6')
      if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
      this.#remembered.set(address.address, found)
    }
    return found
  }
}
