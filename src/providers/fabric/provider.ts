import { SPI_VERSION, WSA, failure, formatAddress, isWildcard, success } from '../../spi/index.ts'
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
  Upcalls,
  WsaCode,
} from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import { invariant } from '../../base/invariant.ts'
import { SubnetSet } from '../../base/subnet-set.ts'
import * as native from '../../native/fabric.ts'
import type { Fabric, FabricCounters } from '../../native/fabric.ts'
import type { Watcher } from '../../native/shm.ts'
import type { Notifiable, Turns } from '../../native/turns.ts'
import { CarriedSocket } from '../../san/index.ts'
import type { Attempt, Carrier, Closable, ConnectionOwner, Listener } from '../../san/index.ts'
import { FabricConnection } from './connection.ts'
import { resourceCode } from './errno.ts'
import { decodeHello, encodeRefusal } from './hello.ts'
import type { Incoming } from './incoming.ts'
import * as layout from './layout.ts'
import type { FabricLimits } from './limits.ts'
import { Link } from './link.ts'
import type { LinkHost } from './link.ts'
import { serviceOf } from './service.ts'
import type { FabricName } from './service.ts'

const FAMILIES: readonly string[] = ['IPv4', 'IPv6']
const PIECE_BYTES = 64 << 10
const FIRST_UNPRIVILEGED_PORT = 1024
/** More silent addresses than this are not remembered one by one. */
const MAX_SILENT = 1024

/** What the provider can tell of itself. */
export interface FabricStats extends FabricCounters {
  readonly links: number
  readonly connections: number
  /** Peers that counted as dead because they did not answer. */
  readonly silenced: number
}

const NO_COUNTERS: FabricCounters = {
  messagesSent: 0,
  messagesReceived: 0,
  writes: 0,
  writtenBytes: 0,
  retries: 0,
  errors: 0,
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
}

/**
 * Carries connections between event loops of different hosts over a provider of libfabric.
 *
 * A listener is a passive endpoint at the fabric service that stands for its TCP port; the first connect to it makes a
 * {@link Link}, which all further connects use. docs/fabric.md has the picture.
 */
export class FabricProvider implements SanProvider, Carrier, LinkHost, Notifiable {
  readonly name = 'fabric'
  readonly withinLoop = false
  readonly turns: Turns
  readonly limits: FabricLimits
  readonly clock: Clock
  readonly schedule: (job: () => void) => void
  readonly bounds = BOUNDS
  readonly minMemoryBytes = layout.PAGE_BYTES
  isPolling = false
  readonly #purpose: FabricPurpose
  readonly #makeFabric: () => Fabric
  #fabric: Fabric | undefined
  #events = new Int32Array(2)
  readonly #sockets = new Set<Closable>()
  readonly #links = new Map<number, Link>()
  /** Open links by local address and destination. */
  readonly #routes = new Map<string, Link>()
  readonly #listeners = new Map<number, Listener>()
  /** Destinations that did not answer, and until when nothing is tried there. */
  readonly #silent = new Map<string, number>()
  #upcalls: Upcalls | undefined
  #served = new SubnetSet([])
  #starts = 0
  #connections = 0
  #silenced = 0
  #watcher: Watcher | undefined
  #index = -1

  constructor(
    makeFabric: () => Fabric,
    purpose: FabricPurpose,
    turns: Turns,
    limits: FabricLimits,
    clock: Clock,
  ) {
    this.#makeFabric = makeFabric
    this.#purpose = purpose
    this.turns = turns
    this.schedule = turns.schedule
    this.limits = limits
    this.clock = clock
  }

  get fabric(): Fabric {
    invariant(this.#fabric, 'the provider was started')
    return this.#fabric
  }

  get upcalls(): Upcalls {
    if (this.#upcalls === undefined) throw new Error('Cannot make an upcall: the provider was not started')
    return this.#upcalls
  }

  get stats(): FabricStats {
    return {
      ...(this.#fabric?.stats() ?? NO_COUNTERS),
      links: this.#links.size,
      connections: this.#connections,
      silenced: this.#silenced,
    }
  }

  // --- SanProvider --------------------------------------------------------------------------------------------------

  startup(request: StartupRequest): Result<ProviderData> {
    if (request.version.major !== SPI_VERSION.major) return failure(WSA.WSAVERNOTSUPPORTED)
    if (this.#starts === 0) {
      this.#upcalls = request.upcalls
      this.#start()
    }
    this.#starts += 1
    if (this.#purpose.patient) this.#open()
    this.addressList()
    return success({
      version: SPI_VERSION,
      description: this.#purpose.description,
      limits: BOUNDS,
    })
  }

  cleanup(): Status {
    if (this.#starts === 0) return WSA.WSANOTINITIALISED
    this.#starts -= 1
    if (this.#starts > 0) return 0
    for (const socket of [...this.#sockets]) socket.close()
    for (const link of [...this.#links.values()]) link.fail(WSA.WSA_OPERATION_ABORTED)
    this.#stop()
    return 0
  }

  // libfabric is asked what it can from here on, on a thread of its own.
  #start(): void {
    const fabric = this.#makeFabric()
    this.#fabric = fabric
    this.#events = new Int32Array(fabric.events())
    this.#index = this.turns.add(this)
    this.turns.poller.addSource(fabric.source, this.#purpose.spinMicroseconds * 1000)
  }

  #stop(): void {
    const fabric = this.fabric
    this.turns.remove(this.#index)
    this.turns.poller.removeSource(fabric.source)
    this.#watcher?.close()
    this.#watcher = undefined
    this.#fabric = undefined
    // Sockets of the last links hear of their end in turns of their own, and give the memory back.
    this.schedule(() => {
      fabric.destroy()
    })
  }

  addressList(): Result<readonly ServedSubnet[]> {
    const subnets = this.#purpose.networks()
    this.#served = new SubnetSet(subnets)
    this.#silent.clear()
    return success(subnets)
  }

  socket(request: SocketRequest): Result<SanSocket> {
    if (this.#starts === 0) return failure(WSA.WSANOTINITIALISED)
    if (!FAMILIES.includes(request.family)) return failure(WSA.WSAEAFNOSUPPORT)
    if (request.duplicate !== undefined) return failure(WSA.WSAEOPNOTSUPP)
    return CarriedSocket.open(this, request.family)
  }

  probe(address: SocketAddress): readonly ProbeStep[] {
    const opened = this.fabric.answered ? this.#open() : WSA.WSATRY_AGAIN
    const what = `libfabric's ${this.#purpose.name}`
    if (opened !== 0) return [{ what, status: opened, detail: 'does not run here, or has not answered yet' }]
    const steps: ProbeStep[] = [{ what, status: 0, detail: this.#purpose.description }]
    const to = formatAddress(address)
    const stands = [...this.#routes].some(([key, link]) => key.endsWith(` ${to}`) && link.state === 'up')
    const service = String(serviceOf(this.#purpose.name, address.port))
    const status = stands ? 0 : WSA.WSAETIMEDOUT
    if (stands) steps.push({ what: 'link', status, detail: 'stands' })
    else if (this.#isSilent(to))
      steps.push({ what: 'link', status, detail: `service ${service} did not answer lately` })
    else
      steps.push({
        what: 'link',
        status,
        detail: `none; only a connect finds out whether service ${service} answers`,
      })
    return steps
  }

  // --- Carrier ------------------------------------------------------------------------------------------------------

  add(socket: Closable): void {
    this.#sockets.add(socket)
  }

  remove(socket: Closable): void {
    this.#sockets.delete(socket)
  }

  serves(address: SocketAddress): boolean {
    return this.#served.has(address)
  }

  admit(): boolean {
    if (this.#connections >= this.limits.maxConnections) return false
    this.#connections += 1
    return true
  }

  dismiss(): void {
    this.#connections -= 1
  }

  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt> {
    const { local: to, remote: from } = request
    const isComplete = to.family === from.family && to.port > 0 && !isWildcard(to)
    if (!isComplete || !this.serves(to)) return failure(WSA.WSAENETUNREACH)
    const link = this.#linkTo(from, to)
    if (!link.ok) return link
    if (!this.admit()) return failure(WSA.WSAEPROCLIM)
    const asking = FabricConnection.ask(this, owner, link.value, request)
    if (!asking.ok) this.dismiss()
    return asking
  }

  listen(listener: Listener): Status {
    const status = this.#open()
    if (status !== 0) return status
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

  // Waits for libfabric's first answer where it is not there yet; it was asked for when the provider was made.
  #open(): Status {
    const status = this.fabric.open()
    if (status !== 0) return WSA.WSAENETDOWN
    this.#watcher ??= this.turns.watch(this.fabric.eventFd, () => {
      // The poller looks for work after every wake-up.
    })
    return 0
  }

  // The link from `local` to whoever listens at `destination`; it may still be coming up.
  #linkTo(local: SocketAddress, destination: SocketAddress): Result<Link> {
    const to = formatAddress(destination)
    const key = `${local.address} ${to}`
    const known = this.#routes.get(key)
    if (known !== undefined) return known.promising ? success(known) : failure(WSA.WSAETIMEDOUT)
    if (this.#isSilent(to)) return failure(WSA.WSAETIMEDOUT)
    if (
      this.#countAt(destination.address) >= this.limits.maxLinksPerPeer ||
      this.#links.size >= this.limits.maxLinks
    ) {
      return failure(WSA.WSAEPROCLIM)
    }
    const service = serviceOf(this.#purpose.name, destination.port)
    if (service === 0) return failure(WSA.WSAETIMEDOUT)
    // A server that starts may wait a moment; a connect goes another way.
    if (!this.fabric.answered) return failure(WSA.WSATRY_AGAIN)
    const status = this.#open()
    if (status !== 0) return failure(status)
    const id = this.fabric.connect(local.address, destination.address, service)
    if (id < 0) return failure(resourceCode(-id))
    const link = this.#adopt('opener', id, destination.address)
    if (typeof link === 'number') return failure(link)
    this.#routes.set(key, link)
    return success(link)
  }

  #adopt(role: Link['role'], id: number, address: string, setUp?: (link: Link) => void): Link | WsaCode {
    const offer = this.fabric.offer(id)
    if (offer === undefined) return WSA.WSAENETDOWN
    const link = new Link(this, role, id, offer, address)
    this.#links.set(id, link)
    setUp?.(link)
    const status = link.start()
    if (status === 0) return link
    link.fail(status)
    return status
  }

  #countAt(address: string): number {
    let count = 0
    for (const link of this.#links.values()) if (link.address === address) count += 1
    return count
  }

  #isSilent(destination: string): boolean {
    const until = this.#silent.get(destination)
    if (until === undefined) return false
    if (this.clock.now() < until) return true
    this.#silent.delete(destination)
    return false
  }

  forget(link: Link): void {
    for (const [key, route] of this.#routes) if (route === link) this.#routes.delete(key)
  }

  // --- LinkHost -----------------------------------------------------------------------------------------------------

  linkClosed(link: Link, code: WsaCode): void {
    this.#links.delete(link.id)
    for (const [key, route] of this.#routes) {
      if (route !== link) continue
      this.#routes.delete(key)
      if (code !== WSA.WSAETIMEDOUT || link.promising) continue
      if (this.#silent.size >= MAX_SILENT) this.#silent.clear()
      this.#silent.set(key.slice(key.indexOf(' ') + 1), this.clock.now() + this.limits.silentMs)
    }
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

  // --- events -------------------------------------------------------------------------------------------------------

  /** Takes one event, in a turn of its own. */
  dispatchOne(): boolean {
    const events = this.#events
    const index = events[1] ?? 0
    if (index >= (events[0] ?? 0)) return false
    events[1] = index + 1
    const at = 2 + index * 4
    const [kind = 0, id = 0, a = 0, b = 0] = events.subarray(at, at + 4)
    if (kind === native.EVENT_REQUEST) this.#asked(id, a)
    const link = this.#links.get(id)
    if (link === undefined) return true
    switch (kind) {
      case native.EVENT_RECEIVED:
        link.received(a, b)
        break
      case native.EVENT_ROOM:
        link.flush()
        break
      case native.EVENT_CONNECTED:
        link.connected()
        break
      case native.EVENT_ENDED:
        link.endpointEnded(a)
        break
      default:
        break
    }
    return true
  }

  progress(): void {
    this.isPolling = true
    try {
      // One batch: whoever polls asks again.
      this.fabric.poll()
      while (this.dispatchOne());
    } finally {
      this.isPolling = false
    }
  }

  /** Somebody wants a link: at once yes or, with the reason, no. */
  #asked(id: number, listener: number): void {
    const request = this.fabric.request(id)
    if (request === undefined) return
    const hello = decodeHello(request.data)
    const code = this.#judge(request.address, hello, listener)
    const accepted = code === 0 ? this.fabric.accept(id) : -1
    if (accepted < 0 || typeof hello === 'number') {
      this.fabric.reject(id, encodeRefusal(code === 0 ? resourceCode(-accepted) : code))
      return
    }
    this.fabric.setPeer(accepted, hello.address, hello.key)
    this.#adopt('acceptor', accepted, plain(request.address))
  }

  #judge(address: string, hello: ReturnType<typeof decodeHello>, listener: number): WsaCode | 0 {
    const from = plain(address)
    const family = from.includes(':') ? 'IPv6' : 'IPv4'
    if (!this.#listeners.has(listener) || !this.#served.has({ family, address: from })) return WSA.WSAEACCES
    if (typeof hello === 'number') return hello
    const full =
      this.#links.size >= this.limits.maxLinks || this.#countAt(from) >= this.limits.maxLinksPerPeer
    return full ? WSA.WSAEPROCLIM : 0
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

/** An IPv4 address in IPv6 clothes, as a wildcard listener of both families sees it, without them. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** Over TCP a peer comes from its own address, in one family, and from a low port only as root, which we cannot know. */
function plausible(remote: SocketAddress, local: SocketAddress, link: Link): boolean {
  return (
    remote.address === link.address &&
    remote.family === local.family &&
    remote.port >= FIRST_UNPRIVILEGED_PORT
  )
}
