import { randomBytes } from 'node:crypto'

import { SPI_VERSION, WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type {
  ConnectionRequest,
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
} from '../../spi/index.ts'
import { systemClock } from '../../base/clock.ts'
import type { Cancel, Clock } from '../../base/clock.ts'
import { SubnetSet } from '../../base/subnet-set.ts'
import { Startups } from '../../san/index.ts'
import type { Attempt, Carrier, ConnectionOwner, Listener } from '../../san/index.ts'
import { later } from './connection.ts'
import type { ConnectionHost, ConnectionLimits, LoopbackConnection, Side } from './connection.ts'
import { PinnedMemory } from './pinned.ts'
import { LoopbackRequest } from './request.ts'

/** An end of a connection that one process has left and another is to take over. */
export interface Left {
  readonly end: LoopbackConnection
  readonly processId: number
}

/** How long an end that was left waits for its new owner, in ms. */
const LEFT_MS = 1000

/** Who listens, and where. */
interface Place {
  readonly listener: Listener
  readonly provider: LoopbackProvider
}

/** The listeners that the providers on one network see of each other, and the connections between two owners. */
export class LoopbackNetwork {
  readonly #places = new Map<Listener, Place>()
  readonly #left = new Map<string, Left & { readonly cancel: Cancel }>()
  readonly #clock: Clock

  constructor(clock: Clock = systemClock) {
    this.#clock = clock
  }

  /** Keeps `left` for the process it names, which shows what this returns. */
  leave(left: Left): Uint8Array {
    const token = randomBytes(16)
    const key = token.toString('hex')
    const cancel = this.#clock.after(LEFT_MS, () => {
      this.#left.delete(key)
      left.end.end()
    })
    this.#left.set(key, { ...left, cancel })
    return token
  }

  /** What was left under `token` for `processId`; once. */
  findLeft(token: Uint8Array, processId: number): Left | undefined {
    const key = Buffer.from(token).toString('hex')
    const left = this.#left.get(key)
    if (left?.processId !== processId) return undefined
    this.#left.delete(key)
    left.cancel()
    return left
  }

  add(place: Place): void {
    this.#places.set(place.listener, place)
  }

  remove(listener: Listener): void {
    this.#places.delete(listener)
  }

  /** Who listens at `to`: the oldest listener at the very address, else the oldest at the wildcard. */
  find(to: SocketAddress): Place | undefined {
    const candidates = [...this.#places.values()].filter(({ listener: { address }, provider }) => {
      if (address.family !== to.family || address.port !== to.port) return false
      return address.address === to.address || (isWildcard(address) && provider.serves(to))
    })
    return candidates.find(({ listener }) => listener.address.address === to.address) ?? candidates[0]
  }
}

export interface LoopbackOptions {
  /** Providers given the same network reach each other; without one a provider reaches only itself. */
  readonly network?: LoopbackNetwork
  /** What it serves: 127.0.0.0/8 and ::1/128 unless said otherwise. */
  readonly subnets?: readonly ServedSubnet[]
  readonly limits?: Partial<ProviderLimits>
  /** Bytes that one socket may register beyond its two regions. */
  readonly registeredBytes?: number
  /** True: reads of the peer's application memory take their time, as over a network. */
  readonly slowReads?: boolean
  /** The process it pretends to be in; this one unless said otherwise. */
  readonly processId?: number
}

const LOCALHOST: readonly ServedSubnet[] = [
  { family: 'IPv4', address: '127.0.0.0', prefixLength: 8 },
  { family: 'IPv6', address: '::1', prefixLength: 128 },
]

const LIMITS: ProviderLimits = {
  regionBytes: 4096,
  maxMemoryBytes: 1 << 20,
  pieceBytes: 1 << 16,
  rdma: { maxBytes: 64 << 20, thresholdBytes: 64 << 10 },
  duplicates: true,
}

/**
 * Connects sockets inside one process. The reference implementation of the interface: it does the simplest thing that
 * every clause allows, and other providers are measured against its behaviour.
 */
export class LoopbackProvider implements SanProvider, Carrier, ConnectionHost {
  readonly name = 'loopback'
  readonly network: LoopbackNetwork
  readonly bounds: ProviderLimits
  readonly minMemoryBytes = 1
  readonly connectionLimits: ConnectionLimits
  readonly pinned = new PinnedMemory()
  readonly startups = new Startups()
  readonly schedule = later
  readonly #processId: number
  readonly #subnets: readonly ServedSubnet[]
  readonly #served: SubnetSet

  constructor(options: LoopbackOptions) {
    this.network = options.network ?? new LoopbackNetwork()
    this.bounds = { ...LIMITS, ...options.limits }
    this.#processId = options.processId ?? process.pid
    const { registeredBytes = 8 << 20, slowReads = false } = options
    this.connectionLimits = { ...this.bounds, registeredBytes, slowReads }
    this.#subnets = options.subnets ?? LOCALHOST
    this.#served = new SubnetSet(this.#subnets)
  }

  startup(request: StartupRequest): Result<ProviderData> {
    const status = this.startups.begin(request)
    if (status !== 0) return failure(status)
    return success({ version: SPI_VERSION, description: 'memory of this process', limits: this.bounds })
  }

  cleanup(): Status {
    return this.startups.end()
  }

  addressList(): Result<readonly ServedSubnet[]> {
    return this.startups.isStarted ? success(this.#subnets) : failure(WSA.WSANOTINITIALISED)
  }

  socket(request: SocketRequest): Result<SanSocket> {
    const serves = this.#subnets.some(({ family }) => family === request.family)
    if (this.startups.isStarted && !serves) return failure(WSA.WSAEAFNOSUPPORT)
    const opened = this.startups.socket(this, request)
    if (!opened.ok || request.duplicate === undefined) return opened
    const left = this.network.findLeft(request.duplicate, this.#processId)
    if (left === undefined) {
      opened.value.close()
      return failure(WSA.WSAEINVAL)
    }
    opened.value.takeOver(takeOver(left.end, { host: this, owner: opened.value }))
    return opened
  }

  leave(end: LoopbackConnection, processId: number): Uint8Array {
    return this.network.leave({ end, processId })
  }

  evict(memory: Uint8Array): Status {
    return this.pinned.evict(memory) ? 0 : WSA.WSAEINVAL
  }

  serves(address: SocketAddress): boolean {
    return this.#served.has(address)
  }

  listen(listener: Listener): Status {
    this.network.add({ listener, provider: this })
    return 0
  }

  unlisten(listener: Listener): void {
    this.network.remove(listener)
  }

  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt> {
    const { remote: from, local: to } = request
    if (to.family !== from.family) return failure(WSA.WSAEAFNOSUPPORT)
    if (isWildcard(to) || to.port === 0) return failure(WSA.WSAEADDRNOTAVAIL)
    const place = this.network.find(to)
    if (place === undefined) return failure(WSA.WSAETIMEDOUT)
    const asking = new LoopbackRequest({ host: this, owner }, place.provider, request)
    return place.listener.offer(asking) ? success(asking) : failure(WSA.WSAECONNREFUSED)
  }
}

/** Takes an end over in a turn of its own, unless that is given up before. */
function takeOver(end: LoopbackConnection, side: Side): Attempt {
  let isGivenUp = false
  later(() => {
    const near = isGivenUp ? undefined : end.takeOver(side)
    if (isGivenUp) end.end()
    else if (near === undefined) side.owner.refused(WSA.WSAECONNRESET)
    else side.owner.accepted(near, new Uint8Array())
  })
  return {
    close: () => {
      isGivenUp = true
    },
  }
}
