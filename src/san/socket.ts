import { MAX_CONNECT_DATA_BYTES, WSA, failure, isWildcard, success } from '../spi/index.ts'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  ConnectionMemory,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  RdmaAccess,
  RegisteredMemory,
  Result,
  SanSocket,
  Sharing,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  WsaCode,
} from '../spi/index.ts'
import { step } from '../base/machine.ts'
import type { Attempt, Carrier, Connection, ConnectionOwner, IncomingRequest } from './carrier.ts'
import { Listener } from './listener.ts'
import { EventRecord } from './network-events.ts'
import { PostedReceive } from './posted-receive.ts'
import { TRANSITIONS } from './socket-state.ts'
import type { SanSocketEvent, SanSocketState } from './socket-state.ts'

/** A SAN socket over a {@link Carrier}: all that does not depend on how the bytes get to the peer. */
export class CarriedSocket implements SanSocket, ConnectionOwner {
  readonly #carrier: Carrier
  readonly #upcalls: Upcalls
  readonly #family: AddressFamily
  readonly #handle: SwitchHandle
  readonly #events = new EventRecord()
  readonly #receive = new PostedReceive()
  #state: SanSocketState = 'open'
  #local: SocketAddress | undefined
  #debug = 0
  #sharing: Sharing | undefined
  #listener: Listener | undefined
  #attempt: Attempt | undefined
  #connection: Connection | undefined
  #calleeData: Uint8Array | undefined
  /** Inside {@link getOverlappedResult}. */
  #isPolled = false

  /** SOCKET-1: the switch's descriptor comes first. */
  static open(carrier: Carrier, family: AddressFamily): Result<CarriedSocket> {
    const handle = carrier.startups.upcalls.createSocketHandle(carrier)
    if (!handle.ok) return handle
    const socket = new CarriedSocket(carrier, family, handle.value)
    carrier.startups.add(socket)
    return success(socket)
  }

  private constructor(carrier: Carrier, family: AddressFamily, handle: SwitchHandle) {
    this.#carrier = carrier
    this.#upcalls = carrier.startups.upcalls
    this.#family = family
    this.#handle = handle
  }

  #move(event: SanSocketEvent): void {
    this.#state = step('SAN socket', TRANSITIONS, this.#state, event)
  }

  // --- control plane ------------------------------------------------------------------------------------------------

  bind(address: SocketAddress): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state !== 'open') return WSA.WSAEINVAL
    if (address.port === 0 || address.family !== this.#family) return WSA.WSAEFAULT
    if (!isWildcard(address) && !this.#carrier.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.#move('bind')
    return 0
  }

  /** Of what reaches a provider only a debug switch means anything here; it changes nothing, and accepted sockets have it, too. */
  setSockOpt(option: SocketOption, value: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (option !== 'SO_DEBUG') return WSA.WSAENOPROTOOPT
    this.#debug = value
    return 0
  }

  getSockOpt(option: SocketOption): Result<number> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (option === 'SO_DEBUG') return success(this.#debug)
    if (option === 'SO_MAX_RDMA_SIZE') return success(this.#carrier.bounds.maxMemoryBytes)
    return failure(WSA.WSAENOPROTOOPT)
  }

  share(sharing: Sharing): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#carrier.shares !== true) return WSA.WSAEOPNOTSUPP
    if (this.#state !== 'bound') return WSA.WSAEINVAL
    this.#sharing = sharing
    return 0
  }

  listen(backlog: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (!(backlog >= 1)) return WSA.WSAEINVAL
    if (this.#listener !== undefined) {
      this.#listener.setBacklog(backlog)
      return 0
    }
    if (this.#connection !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    const listener = new Listener(this.#local, backlog, this.#events, (pended) => {
      this.#announceLater(pended)
    })
    const status = this.#carrier.listen(listener, this.#sharing)
    if (status !== 0) return status
    this.#listener = listener
    this.#move('listen')
    return 0
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    const status = this.#events.select(event, mask)
    // EVENT-2.
    if (status === 0 && this.#listener?.hasWaiting === true) this.#events.recordAccept()
    return status
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    return success(this.#events.enumerate(event))
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#listener === undefined) return failure(WSA.WSAEINVAL)
    const judged = this.#listener.judge(condition, pended)
    return judged.ok ? this.#accept(judged.value.request, judged.value.calleeData) : judged
  }

  // ACCEPT-2.
  #accept(request: IncomingRequest, calleeData: Uint8Array): Result<Accepted> {
    const { remote, local } = request
    const tooLong = calleeData.length > MAX_CONNECT_DATA_BYTES
    const opened = tooLong ? failure(WSA.WSAEMSGSIZE) : CarriedSocket.open(this.#carrier, this.#family)
    const connection = opened.ok ? request.accept(opened.value, calleeData) : opened
    if (opened.ok && connection.ok) {
      opened.value.#debug = this.#debug
      opened.value.#connected(connection.value)
      return success({ socket: opened.value, remote, local })
    }
    if (opened.ok) opened.value.close()
    request.refuse(WSA.WSAENOBUFS)
    return failure(connection.ok ? WSA.WSAENOBUFS : connection.error)
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#connection !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    const request = { remote: this.#local, local: address, callerData: callerData.slice() }
    const attempt = this.#carrier.connect(this, request)
    if (!attempt.ok) return attempt.error
    this.#attempt = attempt.value
    this.#move('connect')
    return WSA.WSAEWOULDBLOCK
  }

  /** DUP-3, for a new socket: takes over a connection that another process has left. */
  takeOver(attempt: Attempt): void {
    this.#attempt = attempt
    this.#move('takeOver')
  }

  calleeData(): Uint8Array {
    return this.#calleeData?.slice() ?? new Uint8Array()
  }

  duplicate(processId: number): Result<Uint8Array> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#carrier.bounds.duplicates !== true) return failure(WSA.WSAEOPNOTSUPP)
    const connection = this.#connection
    if (this.#state !== 'connected' || connection === undefined) return failure(this.#dataError())
    const passage = connection.duplicate?.(processId) ?? failure(WSA.WSAEOPNOTSUPP)
    if (!passage.ok) return passage
    this.#move('leave')
    // Not aborted, even if the socket is closed before anybody is told.
    this.#receive.signal()
    const finished = this.#receive.finish()
    if (finished !== null) this.#announceLater(finished)
    return passage
  }

  close(): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    this.#move('close')
    const listener = this.#listener
    this.#listener = undefined
    if (listener !== undefined) {
      this.#carrier.unlisten(listener)
      listener.close()
    }
    this.#attempt?.close()
    this.#connection?.close()
    this.#attempt = undefined
    this.#connection = undefined
    this.#carrier.startups.remove(this)
    const aborted = this.#receive.abort()
    // CLOSE-1 and CLOSE-2, never from inside the down-call.
    this.#carrier.schedule(() => {
      if (aborted !== null) this.#announce(aborted)
      this.#upcalls.closeSocketHandle(this.#handle)
    })
    return 0
  }

  // --- data plane ---------------------------------------------------------------------------------------------------

  memory(): Result<ConnectionMemory> {
    const connection = this.#live
    return connection === undefined ? failure(this.#dataError()) : success(connection.memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    const connection = this.#live
    if (connection === undefined) return failure(this.#dataError())
    const { bounds, minMemoryBytes } = this.#carrier
    if (!(bytes >= minMemoryBytes) || (bytes & (bytes - 1)) !== 0) return failure(WSA.WSAEINVAL)
    return bytes > bounds.maxMemoryBytes ? failure(WSA.WSAENOBUFS) : connection.register(bytes)
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    return this.#live?.deregister(memory) ?? this.#dataError()
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    return this.#live?.peerMemory(descriptor, bytes) ?? failure(this.#dataError())
  }

  rdmaWrite(
    memory: RegisteredMemory,
    offset: number,
    length: number,
    _overlapped: Overlapped | null,
  ): Status {
    const connection = this.#connection
    if (this.#state !== 'connected' || connection === undefined) return this.#dataError()
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) return WSA.WSAEINVAL
    return connection.write(memory, offset, length)
  }

  registerRdmaMemory(memory: Uint8Array, access: RdmaAccess): Result<number> {
    const connection = this.#live
    if (connection === undefined) return failure(this.#dataError())
    return connection.expose?.(memory, access) ?? failure(WSA.WSAEOPNOTSUPP)
  }

  deregisterRdmaMemory(descriptor: number): Status {
    const connection = this.#live
    if (connection === undefined) return this.#dataError()
    return connection.conceal?.(descriptor) ?? WSA.WSAEOPNOTSUPP
  }

  rdmaRead(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    const connection = this.#connection
    if (this.#state !== 'connected' || connection === undefined) return this.#dataError()
    return connection.read?.(descriptor, offset, target, overlapped) ?? WSA.WSAEOPNOTSUPP
  }

  signal(): Status {
    const connection = this.#connection
    if (this.#state !== 'connected' || connection === undefined) return this.#dataError()
    return connection.signal()
  }

  receive(overlapped: Overlapped): Status {
    if (this.#live === undefined) return this.#dataError()
    const status = this.#receive.post(overlapped)
    if (status === WSA.WSA_IO_PENDING && this.#receive.hasNews) this.#carrier.schedule(this.#finishReceive)
    return status
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#receive.isPosted(overlapped)) this.#poll()
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.pending ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  // Whoever polls hears of it that way; everybody else in a turn of its own.
  #poll(): void {
    this.#isPolled = true
    this.#connection?.poll?.()
    this.#isPolled = false
    const finished = this.#receive.finish()
    if (finished?.silent === false) this.#announceLater(finished)
  }

  /** The connection, as long as this process has it; its peer may be gone. */
  get #live(): Connection | undefined {
    return this.#state === 'connected' || this.#state === 'disconnected' ? this.#connection : undefined
  }

  /** Why a call that needs a connection cannot be made. */
  #dataError(): WsaCode {
    switch (this.#state) {
      case 'closed':
        return WSA.WSAENOTSOCK
      case 'left':
        return WSA.WSAEINVAL
      case 'disconnected':
        return WSA.WSAECONNRESET
      default:
        return WSA.WSAENOTCONN
    }
  }

  // --- what the connection tells ------------------------------------------------------------------------------------

  accepted(connection: Connection, calleeData: Uint8Array): void {
    if (this.#state !== 'connecting') return
    this.#calleeData = calleeData
    this.#connected(connection)
    this.#events.recordConnect(0)
  }

  #connected(connection: Connection): void {
    this.#attempt = undefined
    this.#connection = connection
    this.#move('accepted')
  }

  judging(): void {
    if (this.#state === 'connecting') this.#events.recordConnect(WSA.WSA_IO_PENDING)
  }

  refused(code: WsaCode): void {
    if (this.#state !== 'connecting') return
    this.#attempt = undefined
    this.#move('refused')
    this.#events.recordConnect(code)
  }

  signalled(): void {
    if (this.#state !== 'connected') return
    this.#receive.signal()
    this.#tell()
  }

  ended(code: WsaCode): void {
    if (this.#state !== 'connected') return
    this.#move('peerGone')
    this.#receive.end(code)
    this.#tell()
  }

  #tell(): void {
    if (this.#isPolled) return
    if (this.#carrier.isPolling === true) this.#carrier.schedule(this.#finishReceive)
    else this.#finishReceive()
  }

  readonly #finishReceive = (): void => {
    const finished = this.#receive.finish()
    if (finished !== null) this.#announce(finished)
  }

  completed(overlapped: Overlapped): void {
    this.#announce(overlapped)
  }

  #announce(overlapped: Overlapped): void {
    if (overlapped.silent) return
    const { status, bytes } = overlapped
    this.#upcalls.completeOverlappedRequest(this.#handle, overlapped, status, bytes)
  }

  #announceLater(overlapped: Overlapped): void {
    this.#carrier.schedule(() => {
      this.#announce(overlapped)
    })
  }
}
