import { BlockList } from 'node:net'
import type { ServedSubnet, SocketAddress } from '../spi/index.ts'
import type { StartedProvider } from './started-provider.ts'

interface Route {
  readonly provider: StartedProvider
  readonly subnets: BlockList
}

/** Remembered look-ups; a table this large means that something scans addresses, and is simply started afresh. */
const MAX_REMEMBERED = 1024

/** Local subnet → provider, in the order in which the providers were given (WSD-ROUTE-4, AMB-25). */
export class RouteTable {
  #routes: Route[] = []
  readonly #remembered = new Map<string, StartedProvider | undefined>()

  set(provider: StartedProvider, subnets: readonly ServedSubnet[]): void {
    const list = new BlockList()
    for (const { family, address, prefixLength } of subnets) {
      list.addSubnet(address, prefixLength, family === 'IPv4' ? 'ipv4' : 'ipv6')
    }
    this.#routes = this.#routes.filter((route) => route.provider !== provider)
    this.#routes.push({ provider, subnets: list })
    this.#remembered.clear()
  }

  delete(provider: StartedProvider): void {
    this.#routes = this.#routes.filter((route) => route.provider !== provider)
    this.#remembered.clear()
  }

  /** The provider that serves `destination`, if any. */
  lookUp(destination: SocketAddress): StartedProvider | undefined {
    if (this.#remembered.has(destination.address)) return this.#remembered.get(destination.address)
    const found = this.#routes.find((route) => serves(route, destination))?.provider
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear()
    this.#remembered.set(destination.address, found)
    return found
  }

  /** Every provider that serves `local`, one of this host's addresses. */
  serving(local: SocketAddress): StartedProvider[] {
    return this.#routes.filter((route) => serves(route, local)).map((route) => route.provider)
  }

  get providers(): StartedProvider[] {
    return this.#routes.map((route) => route.provider)
  }
}

function serves(route: Route, address: SocketAddress): boolean {
  return route.subnets.check(address.address, address.family === 'IPv4' ? 'ipv4' : 'ipv6')
}
