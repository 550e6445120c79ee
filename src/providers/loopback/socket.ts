import { isIP } from 'node:net'

import { MAX_CONNECT_DATA_BYTES, SOMAXCONN, WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  ConnectionMemory,
  ConnectionRequest,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  RdmaAccess,
  RegisteredMemory,
  Result,
  SanSocket,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  WsaCode,
} from '../../spi/index.ts'
import { LoopbackEnd, later } from './connection.ts'
import type { Announce, ConnectionLimits, Side } from './connection.ts'
import { EventRecord } from '../../san/network-events.ts'
import type { PinnedMemory } from './pinned.ts'
import type { LoopbackNetwork } from './provider.ts'

/** What a socket needs of the provider that made it. */
export interface Home {
  readonly network: LoopbackNetwork
  readonly connectionLimits: ConnectionLimits
  readonly pinned: PinnedMemory
  serves(address: SocketAddress): boolean
  /** Closed by the provider's last `cleanup`, until {@link forget}. */
  remember(socket: LoopbackSocket): void
  forget(socket: LoopbackSocket): void
}

interface QueuedRequest extends ConnectionRequest {
  readonly from: LoopbackSocket
}

type State = 'created' | 'bound' | 'listening' | 'connecting' | 'connected' | 'left' | 'closed'

const DEFAULT_BACKLOG = 128
const KNOWN_OPTIONS: ReadonlySet<SocketOption> = new Set(['SO_DEBUG'])

/** Both ends of a connection are sockets of this class: they call each other where another provider sends a message. */
export class LoopbackSocket implements SanSocket {
  readonly #home: Home
  readonly #upcalls: Upcalls
  readonly #family: AddressFamily
  readonly #handle: SwitchHandle
  readonly #options = new Map<SocketOption, number>()
  readonly #events = new EventRecord()
  #state: State = 'created'
  #local: SocketAddress | null = null
  #backlog = 0
  #queue: QueuedRequest[] = []
  readonly #pended = new Map<Overlapped, QueuedRequest>()
  /** Where my own request waits. */
  #asked: LoopbackSocket | null = null
  #end: LoopbackEnd | null = null
  #calleeData = new Uint8Array()

  static open(home: Home, upcalls: Upcalls, family: AddressFamily): Result<LoopbackSocket> {
    const handle = upcalls.createSocketHandle({ family })
    if (!handle.ok) return handle
    const socket = new LoopbackSocket(home, upcalls, family, handle.value)
    home.remember(socket)
    return success(socket)
  }

  private constructor(home: Home, upcalls: Upcalls, family: AddressFamily, handle: SwitchHandle) {
    this.#home = home
    this.#upcalls = upcalls
    this.#family = family
    this.#handle = handle
  }

  bind(address: SocketAddress): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state !== 'created') return WSA.WSAEINVAL
    if (address.family !== this.#family || !isNumeric(address)) return WSA.WSAEFAULT
    if (address.port === 0) return WSA.WSAEINVAL
    if (!isWildcard(address) && !this.#home.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.#state = 'bound'
    return 0
  }

  setSockOpt(option: SocketOption, value: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (!KNOWN_OPTIONS.has(option)) return WSA.WSAENOPROTOOPT
    this.#options.set(option, value)
    return 0
  }

  getSockOpt(option: SocketOption): Result<number> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    return KNOWN_OPTIONS.has(option) ? success(this.#options.get(option) ?? 0) : failure(WSA.WSAENOPROTOOPT)
  }

  listen(backlog: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state === 'connected') return WSA.WSAEISCONN
    if (this.#state !== 'bound' && this.#state !== 'listening') return WSA.WSAEINVAL
    if (!Number.isInteger(backlog) || backlog < 1) return WSA.WSAEINVAL
    this.#backlog = backlog === SOMAXCONN ? DEFAULT_BACKLOG : backlog
    this.#state = 'listening'
    this.#home.network.add(this)
    const kept = Math.max(0, this.#backlog - this.#pended.size)
    for (const { from } of this.#queue.splice(kept)) from.#fail(WSA.WSAECONNREFUSED)
    return 0
  }

  /** How requests for `address` get here. */
  matches(address: SocketAddress): 'exact' | 'wildcard' | null {
    const local = this.#local
    if (local?.family !== address.family || local.port !== address.port) return null
    if (local.address === address.address) return 'exact'
    return isWildcard(local) && this.#home.serves(address) ? 'wildcard' : null
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    const status = this.#events.select(event, mask)
    if (status === 0 && this.#queue.length > 0) this.#events.recordAccept()
    return status
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    return this.#state === 'closed' ? failure(WSA.WSAENOTSOCK) : success(this.#events.enumerate(event))
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#state !== 'listening') return failure(WSA.WSAEINVAL)
    const request = pended === undefined ? this.#queue[0] : this.#pended.get(pended)
    if (request === undefined) return failure(pended === undefined ? WSA.WSAEWOULDBLOCK : WSA.WSAEINVAL)
    const { from, remote, local, callerData } = request
    const verdict = condition({ remote, local, callerData })
    if (pended !== undefined) {
      if (verdict.decision === 'CF_DEFER' || verdict.decision === 'CF_PEND')
        return failure(WSA.WSA_IO_PENDING)
      // The condition function may itself have closed either side; here and below.
      if (!this.#endPended(pended, 0)) return failure(WSA.WSAEINVAL)
    } else {
      if (verdict.decision === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
      if (!this.#unqueue(from)) return failure(WSA.WSAEWOULDBLOCK)
      this.#events.acceptTaken(this.#queue.length > 0)
    }
    if (verdict.decision === 'CF_PEND') return this.#pend(request, verdict.pended)
    if (verdict.decision === 'CF_REJECT') {
      from.#fail(verdict.error ?? WSA.WSAECONNREFUSED)
      return failure(WSA.WSAECONNREFUSED)
    }
    const accepted = this.#acceptingSocket(request, verdict.calleeData)
    if (!accepted.ok) from.#fail(accepted.error)
    return accepted
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#state === 'connected') return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === null) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    if (address.family !== this.#family) return WSA.WSAEAFNOSUPPORT
    if (isWildcard(address) || address.port === 0) return WSA.WSAEADDRNOTAVAIL
    const listener = this.#home.network.find(address)
    if (listener === undefined) return WSA.WSAETIMEDOUT
    const request = { from: this, remote: this.#local, local: address, callerData: callerData.slice() }
    if (!listener.#offer(request)) return WSA.WSAECONNREFUSED
    this.#asked = listener
    this.#state = 'connecting'
    return WSA.WSAEWOULDBLOCK
  }

  calleeData(): Uint8Array {
    return this.#calleeData.slice()
  }

  close(): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    this.#state = 'closed'
    this.#home.network.remove(this)
    this.#home.forget(this)
    if (this.#asked !== null) this.#asked.#withdraw(this)
    for (const { from } of this.#queue.splice(0)) from.#fail(WSA.WSAECONNREFUSED)
    for (const [pended, { from }] of this.#pended) {
      this.#endPended(pended, WSA.WSA_OPERATION_ABORTED)
      from.#fail(WSA.WSAECONNREFUSED)
    }
    this.#end?.close()
    later(() => this.#upcalls.closeSocketHandle(this.#handle))
    return 0
  }

  duplicate(processId: number): Result<Uint8Array> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#end === null) return failure(this.#state === 'left' ? WSA.WSAEINVAL : WSA.WSAENOTCONN)
    const end = this.#end
    this.#end = null
    this.#state = 'left'
    end.leave()
    return success(this.#home.network.leave({ end, processId, family: this.#family }))
  }

  /** A socket made from what {@link duplicate} answered in another process: it is told like a connect when it is connected. */
  takeOver(end: LoopbackEnd): void {
    this.#state = 'connecting'
    later(() => {
      if (this.#state !== 'connecting') {
        end.close()
        return
      }
      const near = end.takeOver(this.#side)
      if (near !== undefined) this.#join(near)
      else this.#state = 'created'
      this.#events.recordConnect(near === undefined ? WSA.WSAECONNRESET : 0)
    })
  }

  memory(): Result<ConnectionMemory> {
    return this.#withEnd(failure, (end) => success(end.memory))
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    return this.#withEnd(failure, (end) => end.registerMemory(bytes))
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    return this.#withEnd(asStatus, (end) => end.deregisterMemory(memory))
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    return this.#withEnd(failure, (end) => end.peerMemory(descriptor, bytes))
  }

  /** Done at once: no write is ever pending. */
  rdmaWrite(memory: RegisteredMemory, offset: number, length: number): Status {
    return this.#withEnd(asStatus, (end) => end.rdmaWrite(memory, offset, length))
  }

  registerRdmaMemory(memory: Uint8Array, access: RdmaAccess): Result<number> {
    return this.#withEnd(failure, (end) => end.exposed.register(memory, access))
  }

  deregisterRdmaMemory(descriptor: number): Status {
    return this.#withEnd(asStatus, (end) => end.exposed.deregister(descriptor))
  }

  rdmaRead(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    return this.#withEnd(asStatus, (end) => end.rdmaRead(descriptor, offset, target, overlapped))
  }

  signal(): Status {
    return this.#withEnd(asStatus, (end) => end.signal())
  }

  receive(overlapped: Overlapped): Status {
    return this.#withEnd(asStatus, (end) => end.receive(overlapped))
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    return this.#withEnd(failure, (end) => end.getOverlappedResult(overlapped))
  }

  #withEnd<T, F>(failed: (error: WsaCode) => F, use: (end: LoopbackEnd) => T): T | F {
    if (this.#state === 'closed') return failed(WSA.WSAENOTSOCK)
    if (this.#end !== null) return use(this.#end)
    return failed(this.#state === 'left' ? WSA.WSAEINVAL : WSA.WSAENOTCONN)
  }

  /** Queues a request of a connecting socket; false when the backlog is full. */
  #offer(request: QueuedRequest): boolean {
    if (this.#queue.length + this.#pended.size >= this.#backlog) return false
    this.#queue.push(request)
    this.#events.recordAccept()
    return true
  }

  /** The request of `from` is given up, wherever it waits. */
  #withdraw(from: LoopbackSocket): void {
    if (this.#unqueue(from)) return
    for (const [pended, request] of this.#pended) {
      if (request.from === from) this.#endPended(pended, WSA.WSAECONNRESET)
    }
  }

  /** Takes the request of `from` out of the queue; false when it is not there. */
  #unqueue(from: LoopbackSocket): boolean {
    const at = this.#queue.findIndex((request) => request.from === from)
    if (at >= 0) this.#queue.splice(at, 1)
    return at >= 0
  }

  #pend(request: QueuedRequest, pended: Overlapped): Result<never> {
    pended.begin()
    this.#pended.set(pended, request)
    request.from.#events.recordConnect(WSA.WSA_IO_PENDING)
    return failure(WSA.WSA_IO_PENDING)
  }

  /** The request waits no more; false when it did not. */
  #endPended(pended: Overlapped, status: Status): boolean {
    if (!this.#pended.delete(pended)) return false
    pended.end(status, 0)
    if (!pended.silent) {
      later(() => {
        this.#announce(pended)
      })
    }
    return true
  }

  #acceptingSocket(request: QueuedRequest, calleeData: Uint8Array): Result<Accepted> {
    if (calleeData.length > MAX_CONNECT_DATA_BYTES) return failure(WSA.WSAEMSGSIZE)
    const { from, remote, local } = request
    const opened = LoopbackSocket.open(this.#home, this.#upcalls, this.#family)
    if (!opened.ok) return opened
    const socket = opened.value
    const [near, far] = LoopbackEnd.pair(socket.#side, from.#side)
    for (const [option, value] of this.#options) socket.#options.set(option, value)
    socket.#join(near)
    from.#calleeData = calleeData.slice()
    from.#join(far)
    from.#events.recordConnect(0)
    return success({ socket, remote, local })
  }

  #join(end: LoopbackEnd): void {
    this.#asked = null
    this.#end = end
    this.#state = 'connected'
  }

  #fail(error: WsaCode): void {
    this.#asked = null
    this.#state = 'bound'
    this.#events.recordConnect(error)
  }

  /** What a connection needs of the socket at its end. */
  get #side(): Side {
    const { connectionLimits: limits, pinned } = this.#home
    return { limits, pinned, announce: this.#announce, rejoined: this.#rejoined }
  }

  readonly #rejoined = (end: LoopbackEnd): void => {
    this.#end = end
  }

  readonly #announce: Announce = (overlapped) => {
    this.#upcalls.completeOverlappedRequest(this.#handle, overlapped, overlapped.status, overlapped.bytes)
  }
}

function asStatus(error: WsaCode): Status {
  return error
}

function isNumeric(address: SocketAddress): boolean {
  return isIP(address.address) === (address.family === 'IPv6' ? 6 : 4)
}
