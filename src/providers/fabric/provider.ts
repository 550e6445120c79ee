import { getSystemErrorName } from 'node:util'
import { SPI_VERSION, WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type {
  ConnectionRequest,
  ProbeStep,
  ProviderData,
  ProviderLimits,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  SocketAddress,
  SocketRequest,
  StartupRequest,
  Status,
  WsaCode,
} from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import { unmapped } from '../../base/mapped-address.ts'
import { Quota } from '../../base/quota.ts'
import { SubnetSet } from '../../base/subnet-set.ts'
import type { Fabric, FabricCounters, FabricDevice } from '../../native/fabric.ts'
import type { Turns } from '../../native/turns.ts'
import { Startups } from '../../san/index.ts'
import type { Attempt, Carrier, ConnectionOwner, Listener } from '../../san/index.ts'
import { FabricConnection } from './connection.ts'
import { Endpoints } from './endpoints.ts'
import type { EventSink } from './endpoints.ts'
import { resourceCode } from './errno.ts'
import { decodeHello, encodeRefusal } from './hello.ts'
import type { Incoming } from './incoming.ts'
import * as layout from './layout.ts'
import type { FabricLimits } from './limits.ts'
import { Link } from './link.ts'
import type { LinkHost } from './link.ts'
import { Routes } from './routes.ts'
import { serviceOf } from './service.ts'
import type { FabricName } from './service.ts'

const PIECE_BYTES = 64 << 10
const FIRST_UNPRIVILEGED_PORT = 1024

/** What the provider can tell of itself. */
export interface FabricStats extends FabricCounters {
  /** The provider of libfabric. */
  readonly provider: FabricName
  /** What it runs on; empty before libfabric has answered. */
  readonly devices: readonly FabricDevice[]
  readonly links: number
  readonly connections: number
  /** Peers that counted as dead because they did not answer. */
  readonly silenced: number
}

const BOUNDS: ProviderLimits = {
  regionBytes: layout.REGION_BYTES,
  maxMemoryBytes: layout.MAX_RING_BYTES,
  pieceBytes: PIECE_BYTES,
}

/** What a fabric provider was made for. */
export interface FabricPurpose {
  /** The provider of libfabric. */
  readonly name: FabricName
  readonly description: string
  /** `startup` waits for libfabric. */
  readonly patient: boolean
  /** The longest spin before sleeping. */
  readonly spinMicroseconds: number
  /** Where connections go to, and come from. */
  readonly networks: () => readonly ServedSubnet[]
  /** Called at most once, in a turn of its own: libfabric has answered that it has no such provider here. */
  readonly unavailable: (reason: string) => void
}

/**
 * Carries connections between event loops of different hosts over a provider of libfabric.
 *
 * A listener is a passive endpoint at the fabric service that stands for its TCP port; the first connect to it makes a
 * {@link Link}, which all further connects use. docs/fabric.md has the picture.
 */
export class FabricProvider implements SanProvider, Carrier, LinkHost, EventSink {
  readonly name = 'fabric'
  readonly turns: Turns
  readonly limits: FabricLimits
  readonly clock: Clock
  readonly schedule: (job: () => void) => void
  readonly bounds: ProviderLimits
  readonly minMemoryBytes = layout.PAGE_BYTES
  readonly startups = new Startups()
  readonly connections: Quota
  readonly #purpose: FabricPurpose
  readonly #endpoints: Endpoints
  readonly #links = new Map<number, Link>()
  readonly #routes: Routes<Link>
  readonly #listeners = new Map<number, Listener>()
  #served = new SubnetSet([])
  #silenced = 0

  constructor(
    makeFabric: () => Fabric,
    purpose: FabricPurpose,
    turns: Turns,
    limits: FabricLimits,
    clock: Clock,
  ) {
    this.#purpose = purpose
    this.turns = turns
    this.schedule = turns.schedule
    this.limits = limits
    const rdma = { maxBytes: layout.MAX_EXPOSED_BYTES, thresholdBytes: limits.readBytes }
    this.bounds = limits.readBytes < rdma.maxBytes ? { ...BOUNDS, rdma } : BOUNDS
    this.clock = clock
    this.connections = new Quota(limits.maxConnections)
    this.#routes = new Routes(clock, limits.silentMs)
    this.#endpoints = new Endpoints(makeFabric, turns, purpose.spinMicroseconds, this)
  }

  get fabric(): Fabric {
    return this.#endpoints.fabric
  }

  get isPolling(): boolean {
    return this.#endpoints.isPolling
  }

  get stats(): FabricStats {
    return {
      provider: this.#purpose.name,
      devices: this.#endpoints.devices,
      ...this.#endpoints.counters,
      links: this.#links.size,
      connections: this.connections.taken,
      silenced: this.#silenced,
    }
  }

  // --- SanProvider --------------------------------------------------------------------------------------------------

  startup(request: StartupRequest): Result<ProviderData> {
    const status = this.startups.begin(request, () => {
      this.#endpoints.start()
      return 0
    })
    if (status !== 0) return failure(status)
    if (this.#purpose.patient) this.#endpoints.open()
    this.addressList()
    return success({ version: SPI_VERSION, description: this.#purpose.description, limits: this.bounds })
  }

  cleanup(): Status {
    return this.startups.end(() => {
      for (const link of [...this.#links.values()]) link.fail(WSA.WSA_OPERATION_ABORTED)
      this.#endpoints.stop()
    })
  }

  addressList(): Result<readonly ServedSubnet[]> {
    const subnets = this.#purpose.networks()
    this.#served = new SubnetSet(subnets)
    this.#routes.tryAgain()
    return success(subnets)
  }

  socket(request: SocketRequest): Result<SanSocket> {
    if (request.duplicate !== undefined) return failure(WSA.WSAEOPNOTSUPP)
    return this.startups.socket(this, request)
  }

  probe(address: SocketAddress): readonly ProbeStep[] {
    const what = `libfabric's ${this.#purpose.name}`
    if (!this.#endpoints.answered) return [{ what, status: WSA.WSATRY_AGAIN, detail: 'has not answered yet' }]
    if (!this.#endpoints.open()) return [{ what, status: WSA.WSAENETDOWN, detail: 'does not run here' }]
    const devices = this.#endpoints.devices.map(({ name, address: at }) => `${name} (${at})`).join(', ')
    const runs: ProbeStep = { what, status: 0, detail: `${this.#purpose.description}, on ${devices}` }
    if (this.#routes.leadsTo(address, 'up')) return [runs, { what: 'link', status: 0, detail: 'stands' }]
    const service = `service ${String(serviceOf(this.#purpose.name, address.port))}`
    if (this.#routes.leadsTo(address))
      return [runs, { what: 'link', status: WSA.WSATRY_AGAIN, detail: `${service} has not answered yet` }]
    const found = this.#routes.isSilent(address)
      ? `${service} did not answer lately`
      : `none; only a connect finds out whether ${service} answers`
    return [runs, { what: 'link', status: WSA.WSAETIMEDOUT, detail: found }]
  }

  // --- Carrier ------------------------------------------------------------------------------------------------------

  serves(address: SocketAddress): boolean {
    return this.#served.has(address)
  }

  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt> {
    const { local: to, remote: from } = request
    const isComplete = to.family === from.family && to.port > 0 && !isWildcard(to)
    if (!isComplete || !this.serves(to)) return failure(WSA.WSAENETUNREACH)
    const link = this.#linkTo(from, to)
    if (!link.ok) return link
    if (!this.connections.take()) return failure(WSA.WSAEPROCLIM)
    const asking = FabricConnection.ask(this, owner, link.value, request)
    if (!asking.ok) this.connections.give()
    return asking
  }

  listen(listener: Listener): Status {
    if (!this.#endpoints.open()) return WSA.WSAENETDOWN
    const { address, port } = listener.address
    const service = serviceOf(this.#purpose.name, port)
    if (service === 0) return WSA.WSAEADDRNOTAVAIL
    const id = this.fabric.listen(address, service)
    if (id < 0) return resourceCode(-id)
    this.#listeners.set(id, listener)
    return 0
  }

  unlisten(listener: Listener): void {
    for (const [id, other] of this.#listeners) {
      if (other !== listener) continue
      this.fabric.closeListener(id)
      this.#listeners.delete(id)
    }
  }

  /**
   * Begins a link from `local` to whoever listens at `destination`, without a connection: {@link probe} tells how it went.
   *
   * @returns false where it is to be asked again, because libfabric has not answered yet.
   */
  reach(local: SocketAddress, destination: SocketAddress): boolean {
    if (!this.#endpoints.answered) return false
    if (this.#served.has(destination)) this.#linkTo(local, destination)
    return true
  }

  // The link from `local` to whoever listens at `destination`; it may still be coming up.
  #linkTo(local: SocketAddress, destination: SocketAddress): Result<Link> {
    const known = this.#routes.find(local, destination)
    if (known !== undefined) return known.promising ? success(known) : failure(WSA.WSATRY_AGAIN)
    if (this.#routes.isSilent(destination)) return failure(WSA.WSAETIMEDOUT)
    if (!this.#mayLinkTo(destination.address)) return failure(WSA.WSAEPROCLIM)
    const service = serviceOf(this.#purpose.name, destination.port)
    if (service === 0) return failure(WSA.WSAETIMEDOUT)
    // A server that starts may wait a moment; a connect goes another way.
    if (!this.#endpoints.answered) return failure(WSA.WSATRY_AGAIN)
    if (!this.#endpoints.open()) return failure(WSA.WSAENETDOWN)
    const id = this.fabric.connect(local.address, destination.address, service)
    if (id < 0) return failure(resourceCode(-id))
    const link = this.#adopt('opener', id, destination.address)
    if (typeof link === 'number') return failure(link)
    this.#routes.add(local, destination, link)
    return success(link)
  }

  #adopt(role: Link['role'], id: number, address: string): Link | WsaCode {
    const offer = this.fabric.offer(id)
    if (offer === undefined) return WSA.WSAENETDOWN
    const link = new Link(this, role, id, offer, address)
    this.#links.set(id, link)
    const status = link.start()
    if (status === 0) return link
    link.fail(status)
    return status
  }

  #mayLinkTo(address: string): boolean {
    let count = 0
    for (const link of this.#links.values()) if (link.address === address) count += 1
    return count < this.limits.maxLinksPerPeer && this.#links.size < this.limits.maxLinks
  }

  // --- LinkHost -----------------------------------------------------------------------------------------------------

  linkClosed(link: Link, code: WsaCode): void {
    this.#links.delete(link.id)
    this.#routes.closed(link, code)
  }

  forget(link: Link): void {
    this.#routes.forget(link)
  }

  progress(): void {
    this.#endpoints.progress()
  }

  silenced(): void {
    this.#silenced += 1
  }

  requested(incoming: Incoming): void {
    const { link, remote, local } = incoming
    const listener = this.#listenerFor(local)
    const isHere = !isWildcard(local) && local.port > 0 && this.#served.has(local)
    if (listener === undefined || !isHere) incoming.refuse(WSA.WSAETIMEDOUT)
    else if (!plausible(remote, local, link)) incoming.refuse(WSA.WSAEACCES)
    else if (!listener.offer(incoming)) incoming.refuse(WSA.WSAECONNREFUSED)
  }

  // The listener of that very address comes before the wildcard, as TCP has it.
  #listenerFor(local: SocketAddress): Listener | undefined {
    let found: Listener | undefined
    for (const listener of this.#listeners.values()) {
      if (!listener.covers(local)) continue
      if (found === undefined || listener.address.address === local.address) found = listener
    }
    return found
  }

  // --- EventSink ----------------------------------------------------------------------------------------------------

  unavailable(errno: number): void {
    const { name, description } = this.#purpose
    this.#purpose.unavailable(
      `${description}: nothing here that ${name} runs on (${getSystemErrorName(-errno)})`,
    )
  }

  link(id: number): Link | undefined {
    return this.#links.get(id)
  }

  /** Somebody wants a link: at once yes or, with the reason, no. */
  asked(id: number, listener: number): void {
    const request = this.fabric.request(id)
    if (request === undefined) return
    const hello = decodeHello(request.data)
    const address = unmapped(request.address) ?? request.address
    const code = this.#judge(address, hello, listener)
    const accepted = code === 0 ? this.fabric.accept(id) : -1
    if (accepted < 0 || typeof hello === 'number') {
      this.fabric.reject(id, encodeRefusal(code === 0 ? resourceCode(-accepted) : code))
      return
    }
    this.fabric.setPeer(accepted, hello.address, hello.key)
    this.#adopt('acceptor', accepted, address)
  }

  #judge(address: string, hello: ReturnType<typeof decodeHello>, listener: number): WsaCode | 0 {
    const family = address.includes(':') ? 'IPv6' : 'IPv4'
    if (!this.#listeners.has(listener) || !this.#served.has({ family, address })) return WSA.WSAEACCES
    if (typeof hello === 'number') return hello
    return this.#mayLinkTo(address) ? 0 : WSA.WSAEPROCLIM
  }

  /**
   * The process ends: sends what was written and waits until the peers have it, but not longer than `patienceMs`. Runs in
   * no turn of the loop any more, and tells no socket anything.
   */
  farewell(patienceMs: number): void {
    const deadline = this.clock.now() + patienceMs
    const waiting = [...this.#links.values()].filter((link) => link.state === 'up' && link.held > 0)
    while (waiting.some((link) => link.state === 'up' && !link.peerLeft) && this.clock.now() < deadline) {
      for (const link of waiting) link.sayGoodbye()
      this.progress()
    }
  }
}

/** Over TCP a peer comes from its own address, in one family, and from a low port only as root, which we cannot know. */
function plausible(remote: SocketAddress, local: SocketAddress, link: Link): boolean {
  return (
    remote.address === link.address &&
    remote.family === local.family &&
    remote.port >= FIRST_UNPRIVILEGED_PORT
  )
}
