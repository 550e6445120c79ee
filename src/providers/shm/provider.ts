import { networkInterfaces } from 'node:os'
import { SPI_VERSION, WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type {
  ProbeStep,
  ProviderData,
  ProviderLimits,
  ConnectionRequest,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  Sharing,
  SocketAddress,
  SocketRequest,
  StartupRequest,
  Status,
  WsaCode,
} from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import { Quota } from '../../base/quota.ts'
import { SubnetSet } from '../../base/subnet-set.ts'
import type { NativeCall, PollerStats, ShmNative } from '../../native/shm.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import type { ShmLimits } from './limits.ts'
import type { Attempt, Carrier, ConnectionOwner, Listener } from '../../san/index.ts'
import { Startups } from '../../san/index.ts'
import { Connect, TakeOver } from './attempt.ts'
import type { AttemptHost } from './attempt.ts'
import { Incoming } from './incoming.ts'
import { makeOffer } from './offers.ts'
import type { Offer } from './offers.ts'
import { Passages } from './passages.ts'
import type { GroupHost } from './group-head.ts'
import { probePeer } from './probe.ts'
import { Routes } from './routes.ts'
import { readRequest } from './request.ts'
import type { SlotRequest } from './request.ts'
import { agreeEnded, refuse } from './slot.ts'
import { Turns } from '../../native/turns.ts'

const PIECE_BYTES = 64 << 10
const FIRST_UNPRIVILEGED_PORT = 1024
/** More than any request, so that the copy taken of it holds all of it. */
const MAX_REQUEST_BYTES = layout.REGION_BYTES - layout.CONNECT_DATA_BYTE

/** What the provider can tell of itself. */
export interface ShmStats {
  readonly links: number
  readonly connections: number
  /** Shared memory that this process has allocated. */
  readonly bytes: number
  readonly unknownNotifications: number
  readonly poller: PollerStats | undefined
}

/**
 * Carries connections between event loops of one host over shared memory.
 *
 * A process offers its listeners at abstract rendezvous names; the first connect to one makes a {@link Link}, which all
 * further connects use without a system call. docs/shared-memory.md has the picture.
 */
export class ShmProvider implements SanProvider, Carrier, AttemptHost, GroupHost {
  readonly name = 'shm'
  readonly native: ShmNative
  readonly limits: ShmLimits
  readonly clock: Clock
  readonly turns: Turns
  readonly budget: Quota
  readonly schedule: (job: () => void) => void
  /** As `schedule`, but before everything else that waits. */
  readonly soon: (job: () => void) => void
  readonly scheduleOutside: (prepare: () => NativeCall | undefined) => void
  readonly bounds: ProviderLimits
  readonly minMemoryBytes = layout.PAGE_BYTES
  readonly shares = true
  readonly startups = new Startups()
  readonly connections: Quota
  readonly #links = new Set<Link>()
  readonly routes = new Routes(this)
  readonly #offers = new Map<Listener, Offer>()
  /** By every name that a request may ask for. */
  readonly #listeners = new Map<string, { readonly listener: Listener; readonly offer: Offer }>()
  readonly passages = new Passages(this)
  #carries = false
  #served = new SubnetSet([])

  constructor(native: ShmNative, limits: ShmLimits, clock: Clock, spinNanoseconds: number) {
    this.native = native
    this.limits = limits
    this.clock = clock
    this.turns = new Turns(native, spinNanoseconds)
    this.schedule = this.turns.schedule
    this.soon = this.turns.soon
    this.scheduleOutside = this.turns.scheduleOutside
    this.connections = new Quota(limits.maxConnections)
    this.budget = new Quota(limits.maxBytes)
    this.bounds = {
      regionBytes: layout.REGION_BYTES,
      maxMemoryBytes: limits.maxRingBytes,
      pieceBytes: PIECE_BYTES,
      duplicates: true,
    }
  }

  get stats(): ShmStats {
    let unknownNotifications = 0
    for (const link of this.#links) unknownNotifications += link.unknownNotifications
    return {
      links: this.#links.size,
      connections: this.connections.taken,
      bytes: this.budget.taken,
      unknownNotifications,
      poller: this.turns.stats,
    }
  }

  /** Keeps the process alive while connections have something to wait for. */
  keepAlive(on: boolean): void {
    this.turns.poller.keepAlive(on)
  }

  // --- SanProvider --------------------------------------------------------------------------------------------------

  startup(request: StartupRequest): Result<ProviderData> {
    const status = this.startups.begin(request, () => this.#start())
    if (status !== 0) return failure(status)
    this.addressList()
    const description = 'shared memory between processes of this host'
    return success({ version: SPI_VERSION, description, limits: this.bounds })
  }

  // Now rather than at the first connect, when descriptors may have run out.
  #start(): Status {
    try {
      this.turns.start()
      return 0
    } catch {
      return WSA.WSAEMFILE
    }
  }

  cleanup(): Status {
    return this.startups.end(() => {
      this.passages.close()
      for (const link of [...this.#links]) link.fail(WSA.WSA_OPERATION_ABORTED)
    })
  }

  addressList(): Result<readonly ServedSubnet[]> {
    const subnets: ServedSubnet[] = [
      { family: 'IPv4', address: '127.0.0.0', prefixLength: 8 },
      { family: 'IPv6', address: '::1', prefixLength: 128 },
    ]
    for (const addresses of Object.values(networkInterfaces())) {
      for (const { family, address, internal } of addresses ?? []) {
        if (internal) continue
        subnets.push({ family, address, prefixLength: family === 'IPv4' ? 32 : 128 })
      }
    }
    this.#served = new SubnetSet(subnets)
    return success(subnets)
  }

  socket(request: SocketRequest): Result<SanSocket> {
    const passage = request.duplicate === undefined ? undefined : this.passages.admit(request.duplicate)
    if (passage?.ok === false) return passage
    const opened = this.startups.socket(this, request)
    if (opened.ok && passage !== undefined) {
      opened.value.takeOver(new TakeOver(this, opened.value, passage.value, request.family))
    }
    return opened
  }

  probe(address: SocketAddress): readonly ProbeStep[] {
    const link = this.routes.standing(address)
    if (link !== undefined) {
      const detail = `stands, to process ${String(link.peer.pid)}`
      return [{ what: 'link', status: 0, detail }, this.#room(true)]
    }
    const steps = probePeer(this.native, address)
    return steps.at(-1)?.status === 0 ? [...steps, this.#room(false)] : steps
  }

  room(): number {
    return this.mayLink() ? this.connections.max - this.connections.taken : 0
  }

  #room(linked: boolean): ProbeStep {
    const { maxLinks } = this.limits
    const { taken, max } = this.connections
    const links = this.#links.size
    const room = (linked || links < maxLinks) && taken < max
    return {
      what: 'limits',
      status: room ? 0 : WSA.WSAEPROCLIM,
      detail: `${String(links)} of ${String(maxLinks)} links, ${String(taken)} of ${String(max)} connections`,
    }
  }

  // --- Carrier ------------------------------------------------------------------------------------------------------

  serves(address: SocketAddress): boolean {
    return isWildcard(address) || this.#served.has(address)
  }

  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt> {
    return this.serves(request.local) ? Connect.begin(this, owner, request) : failure(WSA.WSAENETUNREACH)
  }

  listen(listener: Listener, sharing: Sharing | undefined): Status {
    const offer = makeOffer(this, listener.address, sharing)
    if (typeof offer === 'number') return offer
    // Two listeners of one loop cannot be told apart by name.
    if (offer.names.some((name) => this.#listeners.has(name))) return WSA.WSAEADDRNOTAVAIL
    const status = offer.open()
    if (status !== 0) return status
    this.#offers.set(listener, offer)
    for (const name of offer.names) this.#listeners.set(name, { listener, offer })
    return 0
  }

  get links(): Iterable<Link> {
    return this.#links
  }

  #enter(link: Link): void {
    // Only where something will really be switched.
    if (!this.#carries) this.native.keepFreedMemory()
    this.#carries = true
    this.#links.add(link)
  }

  // A process that connects to itself meets its own opener here.
  #pair(acceptor: Link): void {
    if (acceptor.peer.pid !== process.pid) return
    for (const opener of this.#links) {
      if (opener.role !== 'opener' || opener.id !== acceptor.id) continue
      opener.pair(acceptor)
      acceptor.pair(opener)
    }
  }

  unlisten(listener: Listener): void {
    const offer = this.#offers.get(listener)
    if (offer === undefined) return
    offer.close()
    this.#offers.delete(listener)
    for (const name of offer.names) this.#listeners.delete(name)
  }

  // --- LinkHost -----------------------------------------------------------------------------------------------------

  mayLink(): boolean {
    return this.#links.size < this.limits.maxLinks
  }

  linked(link: Link): void {
    this.#enter(link)
    if (link.role === 'acceptor') this.#pair(link)
  }

  linkClosed(link: Link, code: WsaCode): void {
    this.#links.delete(link)
    this.routes.linkClosed(link, code)
  }

  linksAt(names: readonly string[]): readonly Link[] {
    return [...this.#links].filter(({ role, name }) => role === 'acceptor' && names.includes(name))
  }

  regrouped(link: Link, member: number, members: readonly number[]): void {
    this.routes.regrouped(link, member, members)
  }

  requested(link: Link, id: number): void {
    const peer = link.memory.peerSlot(id)
    if (peer === undefined) return
    const word = peer.byte / 4
    const state = Atomics.load(peer.segment.words, word + layout.SLOT_STATE)
    const generation = layout.generationOf(state)
    if (layout.phaseOf(state) === layout.PHASE_CLOSED) {
      // Given up before we saw it: agree, so that the opener can use the slot again.
      if (link.noteRequest(id, generation)) agreeEnded({ link, id, generation })
      return
    }
    if (layout.phaseOf(state) !== layout.PHASE_OPEN || !link.noteRequest(id, generation)) return
    const length = Math.min((peer.segment.words[word + layout.SLOT_DATA_BYTES] ?? 0) >>> 0, MAX_REQUEST_BYTES)
    const from = peer.byte + layout.SLOT_HEADER_BYTES + layout.CONNECT_DATA_BYTE
    const request = readRequest(peer.segment.bytes.slice(from, from + length))
    const isTooMuch = id >= this.limits.maxConnectionsPerLink
    if (isTooMuch || request === undefined) {
      refuse({ link, id, generation }, isTooMuch ? WSA.WSAENOBUFS : WSA.WSAEFAULT)
      return
    }
    const incoming = new Incoming(this, link, id, generation, request)
    if (this.passages.take(incoming, request)) return
    const known = this.#listeners.get(request.listener)
    const reachable = known?.listener.covers(request.local) === true && this.#isHere(request.local)
    if (!reachable) incoming.refuse(WSA.WSAETIMEDOUT)
    else if (!this.#plausible(request, link)) incoming.refuse(WSA.WSAEACCES)
    else if (!known.listener.offer(incoming)) {
      // Where others take connections, too, a full queue is not the last word.
      incoming.refuse(known.offer.isShared ? WSA.WSAEPROCLIM : WSA.WSAECONNREFUSED)
    }
  }

  /** Over TCP a peer could come from and go to any address of this host, in one family, and from a low port only as root. */
  #plausible({ remote, local }: SlotRequest, link: Link): boolean {
    if (!this.#isHere(remote) || remote.family !== local.family) return false
    return remote.port >= FIRST_UNPRIVILEGED_PORT || link.peer.uid === 0
  }

  /** A full address of this host; IPv4 in IPv6 clothes is a way to write one. */
  #isHere(address: SocketAddress): boolean {
    if (address.family === 'IPv6' && address.address.includes('.')) return false
    return address.port > 0 && !isWildcard(address) && this.serves(address)
  }
}
