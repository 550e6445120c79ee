import { WSA, formatAddress } from '../../spi/index.ts'
import type { SocketAddress, WsaCode } from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import type { LinkState } from '../../san/link-state.ts'

/** More silent addresses than this are not remembered one by one. */
const MAX_SILENT = 1024

/** What counts of a link here. */
interface Leading {
  readonly state: LinkState
  readonly promising: boolean
}

interface Route<Link> {
  readonly link: Link
  readonly destination: string
}

/** Where connects go: the open links by local address and destination, and which destinations did not answer. */
export class Routes<Link extends Leading> {
  readonly #clock: Clock
  readonly #silentMs: number
  readonly #routes = new Map<string, Route<Link>>()
  /** Until when nothing is tried there. */
  readonly #silent = new Map<string, number>()

  /** @param silentMs How long nothing is tried where nobody answered. */
  constructor(clock: Clock, silentMs: number) {
    this.#clock = clock
    this.#silentMs = silentMs
  }

  add(local: SocketAddress, destination: SocketAddress, link: Link): void {
    this.#routes.set(keyOf(local, destination), { link, destination: formatAddress(destination) })
  }

  find(local: SocketAddress, destination: SocketAddress): Link | undefined {
    return this.#routes.get(keyOf(local, destination))?.link
  }

  /** True where a link, in this state where one is given, leads to `destination` from whatever address. */
  leadsTo(destination: SocketAddress, state?: LinkState): boolean {
    const to = formatAddress(destination)
    for (const { link, destination: its } of this.#routes.values()) {
      if (its === to && (state === undefined || link.state === state)) return true
    }
    return false
  }

  /** Nobody listens at the end of the link any more. */
  forget(link: Link): void {
    for (const [key, route] of this.#routes) if (route.link === link) this.#routes.delete(key)
  }

  closed(link: Link, code: WsaCode): void {
    const wasSilent = code === WSA.WSAETIMEDOUT && !link.promising
    for (const [key, route] of this.#routes) {
      if (route.link !== link) continue
      this.#routes.delete(key)
      if (!wasSilent) continue
      if (this.#silent.size >= MAX_SILENT) this.#silent.clear()
      this.#silent.set(route.destination, this.#clock.now() + this.#silentMs)
    }
  }

  isSilent(destination: SocketAddress): boolean {
    const to = formatAddress(destination)
    const until = this.#silent.get(to)
    if (until === undefined) return false
    if (this.#clock.now() < until) return true
    this.#silent.delete(to)
    return false
  }

  /** Addresses have changed: what did not answer may do so now. */
  tryAgain(): void {
    this.#silent.clear()
  }
}

function keyOf(local: SocketAddress, destination: SocketAddress): string {
  return `${local.address} ${formatAddress(destination)}`
}
