import { WSA, failure, formatAddress, success } from '../../spi/index.ts'
import type { Result, SocketAddress, WsaCode } from '../../spi/index.ts'
import { connectCode } from './errno.ts'
import { GroupRoute } from './group-route.ts'
import { Link } from './link.ts'
import type { LinkMaker } from './link-host.ts'
import { groupName, portName, rendezvousName } from './names.ts'
import { findTcpListener, identifyPeer } from './trust.ts'
import type { Peer, TcpListener } from './trust.ts'

/** How a connect goes on: over this link, or not at all. */
export type Way = Result<Link>
/** Told once, later, what could not be known at once. */
export type Later = (way: Way) => void

/** Where the connects to one address go. */
export interface Route {
  choose(later: Later): Way | 'later'
  /**
   * The link is closed, or leads to that listener no more.
   *
   * @param idle Nothing has happened to the listener; nobody needed the link.
   * @returns true when nothing is left of the route.
   */
  drop(link: Link, idle?: boolean): boolean
  readonly links: Iterable<Link>
}

/** The links of an opener, by the address and port they were made for. */
export class Routes {
  readonly #host: LinkMaker
  /** A plain link where one listener serves the address, as nearly everywhere. */
  readonly #routes = new Map<string, Link | Route>()
  readonly #destinations = new WeakMap<Link, SocketAddress>()

  constructor(host: LinkMaker) {
    this.#host = host
  }

  /** A link that stands for connects to `destination`. */
  standing(destination: SocketAddress): Link | undefined {
    const known = this.#routes.get(formatAddress(destination))
    if (known === undefined || known instanceof Link) return known
    return [...known.links][0]
  }

  /** True when whoever refuses a connect to `destination` leaves others to be asked. */
  hasOthers(destination: SocketAddress): boolean {
    const known = this.#routes.get(formatAddress(destination))
    return known instanceof GroupRoute && known.size > 1
  }

  /** The link over which a connect to `destination` goes; `later` is called where that is not known yet. */
  linkTo(destination: SocketAddress, later: Later): Way | 'later' {
    const key = formatAddress(destination)
    const known = this.#routes.get(key)
    if (known instanceof Link) return success(known)
    return known?.choose(later) ?? this.#meet(key, destination, later)
  }

  // First contact: which TCP listener is it, and does anybody switched answer for it?
  #meet(key: string, destination: SocketAddress, later: Later): Way | 'later' {
    const listener = findTcpListener(this.#host.native, destination)
    if (typeof listener === 'number') return failure(listener)
    const plain = openLink(this.#host, rendezvousName(listener.address), listener.uid)
    if (plain.ok) {
      this.#routes.set(key, plain.value)
      this.#destinations.set(plain.value, destination)
    }
    if (plain.ok || plain.error !== WSA.WSAETIMEDOUT) return plain
    const group = openLink(this.#host, groupName(listener.address), listener.uid)
    if (group.ok) {
      const route = this.#group(key, destination)
      route.add(group.value)
      return route.choose(later)
    }
    if (group.error !== WSA.WSAETIMEDOUT) return group
    const port = openLink(this.#host, portName(listener.address, listener.cookie), listener.uid)
    if (port.ok) this.#routes.set(key, new PortRoute(this.#host, destination, listener.cookie, port.value))
    return port
  }

  #group(key: string, destination: SocketAddress): GroupRoute {
    const route = new GroupRoute(this.#host.limits.maxConnectionsPerLink, (member) => {
      const listener = findTcpListener(this.#host.native, destination)
      if (typeof listener === 'number') return failure(listener)
      return openLink(this.#host, groupName(listener.address), listener.uid, member)
    })
    this.#routes.set(key, route)
    return route
  }

  /** The listener behind `link` is there no more. */
  forget(destination: SocketAddress, link: Link): void {
    const key = formatAddress(destination)
    const known = this.#routes.get(key)
    if (known === link || (known !== undefined && !(known instanceof Link) && known.drop(link)))
      this.#routes.delete(key)
  }

  linkClosed(link: Link, code: WsaCode): void {
    for (const [key, route] of this.#routes) {
      if (route === link) this.#routes.delete(key)
      if (route instanceof Link || !route.drop(link, code === WSA.WSA_OPERATION_ABORTED)) continue
      this.#routes.delete(key)
      if (route instanceof GroupRoute) route.giveUp(code)
    }
  }

  /** An acceptor says that it is one of several. */
  regrouped(link: Link, member: number, members: readonly number[]): void {
    for (const [key, route] of this.#routes) {
      if (route instanceof GroupRoute) route.regroup(link, member, members)
      const destination = route === link ? this.#destinations.get(link) : undefined
      if (destination !== undefined) {
        const group = this.#group(key, destination)
        group.add(link)
        group.regroup(link, member, members)
      }
    }
  }
}

/** The ports a connect may come from. */
const FIRST_PORT = 32_768
const PORTS = 28_232

/** Several sockets share the port: the kernel tells, for each connect, whose turn it is. */
class PortRoute implements Route {
  readonly #host: LinkMaker
  readonly #destination: SocketAddress
  readonly #links: Map<string, Link>
  /** Our own ports are used again and again, and would always lead to the same socket: these stand in for fresh ones. */
  #port = Math.floor(Math.random() * PORTS)

  constructor(host: LinkMaker, destination: SocketAddress, cookie: string, link: Link) {
    this.#host = host
    this.#destination = destination
    this.#links = new Map([[cookie, link]])
  }

  get links(): Iterable<Link> {
    return this.#links.values()
  }

  choose(): Way {
    this.#port = (this.#port + 1) % PORTS
    const from = { ...this.#destination, port: FIRST_PORT + this.#port }
    const listener = findTcpListener(this.#host.native, this.#destination, from)
    if (typeof listener === 'number') return failure(listener)
    const known = this.#links.get(listener.cookie)
    if (known !== undefined) return success(known)
    const opened = openLink(this.#host, portName(listener.address, listener.cookie), listener.uid)
    if (opened.ok) this.#links.set(listener.cookie, opened.value)
    return opened
  }

  drop(link: Link): boolean {
    for (const [cookie, held] of this.#links) if (held === link) this.#links.delete(cookie)
    return this.#links.size === 0
  }
}

/** The link to whoever answers for the TCP listener of `owner`. */
function openLink(host: LinkMaker, name: string, owner: TcpListener['uid'], member?: number): Way {
  return enterRendezvous(host, name, (peer) => peer.uid === owner, member)
}

/** Enters a rendezvous where `isRight` answers, and offers our memory there; the way to open is not waited for. */
export function enterRendezvous(
  host: LinkMaker,
  name: string,
  isRight: (peer: Peer) => boolean,
  member?: number,
): Way {
  if (!host.mayLink()) return failure(WSA.WSAEPROCLIM)
  const fd = host.native.connect(name)
  if (fd < 0) return failure(connectCode(fd))
  const peer = identifyPeer(host.native, fd)
  if (typeof peer === 'number' || !isRight(peer)) {
    host.native.close(fd)
    return failure(typeof peer === 'number' ? peer : WSA.WSAEINVALIDPROVIDER)
  }
  const link = new Link(host, 'opener', fd, name, peer)
  host.linked(link)
  const status = link.open(member)
  if (status !== 0) {
    link.fail(status)
    return failure(status)
  }
  host.clock.after(host.limits.handshakeMs, () => {
    if (link.state === 'opening') link.fail(WSA.WSAETIMEDOUT)
  })
  return success(link)
}
