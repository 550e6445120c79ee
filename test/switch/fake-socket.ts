import { runInNewContext } from 'node:vm'

import { FD_CONNECT, SPI_VERSION, WSA, failure, success } from '../../src/spi/index.ts'
import type {
  Accepted,
  ConnectionMemory,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  ProviderData,
  ProviderLimits,
  RegisteredMemory,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  Status,
} from '../../src/spi/index.ts'

/**
 * Runs `act`, and fails when it does not come to an end: a loop without one cannot be stopped in any other way.
 */
export function ending<T>(act: () => T): T {
  return runInNewContext('act()', { act }, { timeout: 5000 }) as T
}

/** Stands around each region, so that a read beside it shows. */
export const OUTSIDE = 0xee
const GUARD_BYTES = 4096
const CALLS_AT_MOST = 5000

/** Views of `length` bytes in the middle of memory that is nobody's. */
export function guarded(length: number): MemoryRegion {
  const buffer = new ArrayBuffer(2 * GUARD_BYTES + Math.ceil(length / 64) * 64)
  const bytes = new Uint8Array(buffer).fill(OUTSIDE)
  bytes.fill(0, GUARD_BYTES, GUARD_BYTES + length)
  return { bytes, words: new Int32Array(buffer), offset: GUARD_BYTES, length }
}

/** True when nothing was written beside the region. */
export function isIntact({ bytes, offset, length }: MemoryRegion): boolean {
  return bytes.every((byte, at) => (at >= offset && at < offset + length) || byte === OUTSIDE)
}

/**
 * A SAN socket whose other end is the test: it answers as told, completes what the test completes, and the test writes
 * into its receive region what a hostile peer might.
 */
export class FakeSocket implements SanSocket {
  readonly limits: ProviderLimits
  send: RegisteredMemory
  receiveRegion: MemoryRegion
  /** The rings registered and not given back. */
  readonly registered: RegisteredMemory[] = []
  /** The peer's further regions, by descriptor. */
  readonly peerRegions = new Map<number, MemoryRegion>()
  /** The names of the calls made, newest last. */
  readonly calls: string[] = []
  /** What `connect` answers. */
  connectAnswer: Status = WSA.WSAEWOULDBLOCK
  calleeBytes = new Uint8Array()
  duplicateAnswer: Result<Uint8Array> = failure(WSA.WSAEOPNOTSUPP)
  /** What `receive` answers where it is not posted. */
  receiveAnswer: Status = WSA.WSA_IO_PENDING
  posted: Overlapped | undefined
  /** Runs in each call: what the peer does at that moment. */
  onCall: ((name: string) => void) | undefined
  /** Calls allowed until the next {@link allow}: more means a loop without an end. */
  #callsLeft = CALLS_AT_MOST
  #event: EventObject | null = null
  #events: NetworkEvents = { mask: 0, connectStatus: 0 }
  #memory: ConnectionMemory
  #descriptors = 0
  #isClosed = false

  constructor(limits: ProviderLimits) {
    this.limits = limits
    this.send = { ...guarded(limits.regionBytes), descriptor: 0 }
    this.receiveRegion = guarded(limits.regionBytes)
    this.#memory = { send: this.send, receive: this.receiveRegion }
  }

  /** The peer has a next owner, with whom there is new memory. */
  renew(): void {
    this.send = { ...guarded(this.limits.regionBytes), descriptor: 0 }
    this.receiveRegion = guarded(this.limits.regionBytes)
    this.#memory = { send: this.send, receive: this.receiveRegion }
    this.registered.length = 0
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** A new operation of the test begins. */
  allow(): void {
    this.#callsLeft = CALLS_AT_MOST
  }

  /** The peer writes `value` into word `index` of its header. */
  scribble(index: number, value: number): void {
    this.receiveRegion.words[this.receiveRegion.offset / 4 + index] = value
  }

  /** What word `index` of our own header says. */
  said(index: number): number {
    return this.send.words[this.send.offset / 4 + index] ?? 0
  }

  /** The peer signals (0) or is gone. */
  complete(status: Status): void {
    const posted = this.posted
    if (posted === undefined) return
    this.posted = undefined
    posted.end(status, 0)
    posted.completed?.(status, 0)
  }

  /** The connect ends, and the switch is told by its event. */
  endConnect(connectStatus: Status): void {
    this.#events = { mask: FD_CONNECT, connectStatus }
    this.#event?.set()
  }

  bind(): Status {
    return this.#call('bind')
  }
  setSockOpt(): Status {
    return this.#call('setSockOpt')
  }
  getSockOpt(): Result<number> {
    return failure(WSA.WSAENOPROTOOPT)
  }
  listen(): Status {
    return this.#call('listen')
  }

  eventSelect(event: EventObject | null): Status {
    this.#event = event
    return this.#call('eventSelect')
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    this.#call('enumNetworkEvents')
    event?.reset()
    const events = this.#events
    this.#events = { mask: 0, connectStatus: events.connectStatus }
    return success(events)
  }

  accept(): Result<Accepted> {
    this.#call('accept')
    return failure(WSA.WSAEWOULDBLOCK)
  }

  connect(): Status {
    this.#call('connect')
    return this.connectAnswer
  }

  calleeData(): Uint8Array {
    this.#call('calleeData')
    return this.calleeBytes.slice()
  }

  close(): Status {
    this.#call('close')
    this.#isClosed = true
    return 0
  }

  duplicate(): Result<Uint8Array> {
    this.#call('duplicate')
    return this.duplicateAnswer
  }

  memory(): Result<ConnectionMemory> {
    this.#call('memory')
    return success(this.#memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    this.#call('registerMemory')
    if (bytes > this.limits.maxMemoryBytes) return failure(WSA.WSAENOBUFS)
    if (!Number.isInteger(Math.log2(bytes))) return failure(WSA.WSAEINVAL)
    this.#descriptors += 1
    const memory = { ...guarded(bytes), descriptor: this.#descriptors }
    this.registered.push(memory)
    return success(memory)
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    this.#call('deregisterMemory')
    const at = this.registered.indexOf(memory)
    if (at < 0) return WSA.WSAEINVAL
    this.registered.splice(at, 1)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    this.#call('peerMemory')
    const region = this.peerRegions.get(descriptor)
    return region?.length === bytes ? success(region) : failure(WSA.WSAEFAULT)
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number): Status {
    this.#call('rdmaWrite')
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) {
      throw new RangeError(`rdmaWrite(${offset}, ${length}) of ${memory.length} bytes`)
    }
    return 0
  }

  signal(): Status {
    return this.#call('signal')
  }

  receive(overlapped: Overlapped): Status {
    this.#call('receive')
    if (this.posted !== undefined) return WSA.WSAEALREADY
    if (this.receiveAnswer !== WSA.WSA_IO_PENDING) return this.receiveAnswer
    overlapped.begin()
    this.posted = overlapped
    return WSA.WSA_IO_PENDING
  }

  getOverlappedResult(): Result<number> {
    return failure(WSA.WSA_IO_INCOMPLETE)
  }

  #call(name: string): Status {
    this.calls.push(name)
    this.#callsLeft -= 1
    this.onCall?.(name)
    if (this.#callsLeft < 0) throw new Error(`No end of calls: ${this.calls.slice(-8).join(', ')}`)
    return 0
  }
}

/** A provider whose sockets are {@link FakeSocket}s. */
export class FakeProvider implements SanProvider {
  readonly name = 'fake'
  readonly sockets: FakeSocket[] = []
  readonly #limits: ProviderLimits
  readonly #subnet: ServedSubnet
  readonly #prepare: (socket: FakeSocket) => void

  /** @param prepare Told each new socket before the switch gets it. */
  constructor(limits: ProviderLimits, subnet: ServedSubnet, prepare: (socket: FakeSocket) => void) {
    this.#limits = limits
    this.#subnet = subnet
    this.#prepare = prepare
  }

  startup(): Result<ProviderData> {
    return success({ version: SPI_VERSION, description: 'a test', limits: this.#limits })
  }
  cleanup(): Status {
    return 0
  }
  addressList(): Result<readonly ServedSubnet[]> {
    return success([this.#subnet])
  }
  socket(): Result<SanSocket> {
    const socket = new FakeSocket(this.#limits)
    this.#prepare(socket)
    this.sockets.push(socket)
    return success(socket)
  }
}
