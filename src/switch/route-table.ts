import { SubnetSet } from '../base/subnet-set.ts'
import { isWildcard } from '../spi/index.ts'
import type { ServedSubnet, SocketAddress } from '../spi/index.ts'
import type { StartedProvider } from './started-provider.ts'

interface Route {
  readonly provider: StartedProvider
  readonly subnets: SubnetSet
}

/** Local subnet → provider, in the order in which the providers were given (WSD-ROUTE-4, AMB-25). */
export class RouteTable {
  #routes: Route[] = []
  readonly #changed: () => boolean

  /** @param changed Asked where nobody serves an address; true when that may be so no longer, and is looked up again. */
  constructor(changed: () => boolean = () => false) {
    this.#changed = changed
  }

  set(provider: StartedProvider, subnets: readonly ServedSubnet[]): void {
    const route = { provider, subnets: new SubnetSet(subnets) }
    const at = this.#routes.findIndex((other) => other.provider === provider)
    // A provider that answers anew keeps its rank.
    if (at < 0) this.#routes.push(route)
    else this.#routes[at] = route
  }

  delete(provider: StartedProvider): void {
    this.#routes = this.#routes.filter((route) => route.provider !== provider)
  }

  /** The provider that serves `destination`, if any. */
  lookUp(destination: SocketAddress): StartedProvider | undefined {
    const found = this.#first(destination)
    return found === undefined && this.#changed() ? this.#first(destination) : found
  }

  /** Every provider that serves `address`. */
  serving(address: SocketAddress): StartedProvider[] {
    const found = this.#find(address)
    return found.length === 0 && this.#changed() ? this.#find(address) : found
  }

  #first(address: SocketAddress): StartedProvider | undefined {
    return this.#routes.find((route) => route.subnets.has(address))?.provider
  }

  #find(address: SocketAddress): StartedProvider[] {
    return this.#routes.filter((route) => route.subnets.has(address)).map((route) => route.provider)
  }

  /** Every provider on which a socket bound to `local` listens: all of them for the wildcard. */
  listeningAt(local: SocketAddress): StartedProvider[] {
    return isWildcard(local) ? this.providers : this.serving(local)
  }

  get providers(): StartedProvider[] {
    return this.#routes.map((route) => route.provider)
  }
}
