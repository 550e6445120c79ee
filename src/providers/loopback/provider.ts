import { randomBytes } from 'node:crypto'
import { BlockList } from 'node:net'

import { SPI_VERSION, WSA, failure, success } from '../../spi/index.ts'
import type {
  ProviderData,
  ProviderLimits,
  Result,
  SanProvider,
  ServedSubnet,
  SocketAddress,
  SocketRequest,
  StartupRequest,
  Status,
  Upcalls,
} from '../../spi/index.ts'
import { systemClock } from '../../base/clock.ts'
import type { Cancel, Clock } from '../../base/clock.ts'
import type { ConnectionLimits, LoopbackEnd } from './connection.ts'
import { PinnedMemory } from './pinned.ts'
import { LoopbackSocket } from './socket.ts'
import type { Home } from './socket.ts'

/** An end of a connection that one process has left and another is to take over. */
export interface Left {
  readonly end: LoopbackEnd
  readonly processId: number
  readonly family: SocketAddress['family']
}

/** How long an end that was left waits for its new owner, in ms. */
const LEFT_MS = 1000

/** The listeners that the providers on one network see of each other, and the connections between two owners. */
export class LoopbackNetwork {
  readonly #listeners = new Set<LoopbackSocket>()
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
      left.end.close()
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

  add(listener: LoopbackSocket): void {
    this.#listeners.add(listener)
  }

  remove(listener: LoopbackSocket): void {
    this.#listeners.delete(listener)
  }

  /** Who listens at `address`: the oldest listener at the very address, else the oldest at the wildcard. */
  find(address: SocketAddress): LoopbackSocket | undefined {
    let wildcard: LoopbackSocket | undefined
    for (const listener of this.#listeners) {
      const match = listener.matches(address)
      if (match === 'exact') return listener
      if (match === 'wildcard') wildcard ??= listener
    }
    return wildcard
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
export class LoopbackProvider implements SanProvider, Home {
  readonly name = 'loopback'
  readonly network: LoopbackNetwork
  readonly limits: ProviderLimits
  readonly connectionLimits: ConnectionLimits
  readonly pinned = new PinnedMemory()
  readonly #processId: number
  readonly #subnets: readonly ServedSubnet[]
  readonly #served = new BlockList()
  readonly #sockets = new Set<LoopbackSocket>()
  #upcalls: Upcalls | null = null
  #startups = 0

  constructor(options: LoopbackOptions) {
    this.network = options.network ?? new LoopbackNetwork()
    this.limits = { ...LIMITS, ...options.limits }
    this.#processId = options.processId ?? process.pid
    const { registeredBytes = 8 << 20, slowReads = false } = options
    this.connectionLimits = { ...this.limits, registeredBytes, slowReads }
    this.#subnets = options.subnets ?? LOCALHOST
    for (const { address, prefixLength, family } of this.#subnets) {
      this.#served.addSubnet(address, prefixLength, family === 'IPv6' ? 'ipv6' : 'ipv4')
    }
  }

  startup(request: StartupRequest): Result<ProviderData> {
    if (request.version.major !== SPI_VERSION.major) return failure(WSA.WSAVERNOTSUPPORTED)
    this.#upcalls ??= request.upcalls
    this.#startups += 1
    return success({ version: SPI_VERSION, description: 'memory of this process', limits: this.limits })
  }

  cleanup(): Status {
    if (this.#startups === 0) return WSA.WSANOTINITIALISED
    this.#startups -= 1
    if (this.#startups > 0) return 0
    for (const socket of this.#sockets) socket.close()
    this.#upcalls = null
    return 0
  }

  addressList(): Result<readonly ServedSubnet[]> {
    return this.#upcalls === null ? failure(WSA.WSANOTINITIALISED) : success(this.#subnets)
  }

  socket(request: SocketRequest): Result<LoopbackSocket> {
    if (this.#upcalls === null) return failure(WSA.WSANOTINITIALISED)
    if (request.duplicate !== undefined) return this.#takeOver(request.duplicate, request.family)
    if (!this.#subnets.some((subnet) => subnet.family === request.family)) return failure(WSA.WSAEAFNOSUPPORT)
    return LoopbackSocket.open(this, this.#upcalls, request.family)
  }

  #takeOver(token: Uint8Array, family: SocketAddress['family']): Result<LoopbackSocket> {
    if (this.#upcalls === null) return failure(WSA.WSANOTINITIALISED)
    const left = this.network.findLeft(token, this.#processId)
    if (left?.family !== family) return failure(WSA.WSAEINVAL)
    const opened = LoopbackSocket.open(this, this.#upcalls, family)
    if (opened.ok) opened.value.takeOver(left.end)
    else left.end.close()
    return opened
  }

  evict(memory: Uint8Array): Status {
    return this.pinned.evict(memory) ? 0 : WSA.WSAEINVAL
  }

  serves(address: SocketAddress): boolean {
    return this.#served.check(address.address, address.family === 'IPv6' ? 'ipv6' : 'ipv4')
  }

  remember(socket: LoopbackSocket): void {
    this.#sockets.add(socket)
  }

  forget(socket: LoopbackSocket): void {
    this.#sockets.delete(socket)
  }
}
