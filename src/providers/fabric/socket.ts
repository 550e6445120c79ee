import {
  FD_ACCEPT,
  FD_CONNECT,
  MAX_CONNECT_DATA_BYTES,
  WSA,
  failure,
  isWildcard,
  success,
} from '../../spi/index.ts'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  ConnectionMemory,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  RegisteredMemory,
  Result,
  SanSocket,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  Verdict,
  WsaCode,
} from '../../spi/index.ts'
import { Backlog } from '../../base/backlog.ts'
import { invariant } from '../../base/invariant.ts'
import * as layout from './layout.ts'
import type { Link, PendingRequest } from './link.ts'
import { PendedRequests } from './pended.ts'
import type { PendedEnded } from './pended.ts'
import type { Answer, FurtherMemory, Slot, SlotHolder } from './slot.ts'
import { next } from './socket-state.ts'
import type { FabricSocketEvent, FabricSocketState } from './socket-state.ts'

/** The requests that wait at a listening socket. */
export class RequestQueue extends Backlog<PendingRequest> {
  readonly address: SocketAddress
  readonly pended: PendedRequests

  constructor(address: SocketAddress, backlog: number, pendedEnded: PendedEnded) {
    super(backlog)
    this.address = address
    this.pended = new PendedRequests(this, pendedEnded)
  }

  /** True when this listener answers for `local`. */
  covers(local: SocketAddress): boolean {
    if (local.port !== this.address.port) return false
    if (local.address === this.address.address) return true
    return isWildcard(this.address) && (this.address.family === 'IPv6' || local.family === 'IPv4')
  }
}

/** What a socket needs of its provider. */
export interface SocketHost {
  readonly upcalls: Upcalls
  readonly schedule: (job: () => void) => void
  serves(address: SocketAddress): boolean
  listen(queue: RequestQueue): Status
  unlisten(queue: RequestQueue): void
  /** The link from `local` to whoever listens at `destination`; it may still be coming up. */
  linkTo(local: SocketAddress, destination: SocketAddress): Result<Link>
  /** Nobody listens at the end of the link any more. */
  forget(link: Link): void
  /** A connection more, if the limits allow; the socket gives it back with `dismiss`. */
  admit(): boolean
  dismiss(): void
  add(socket: FabricSocket): void
  remove(socket: FabricSocket): void
  /** Handles what has arrived, and tells nobody from inside this call. */
  progress(): void
  /** True inside {@link progress}. */
  readonly isPolling: boolean
}

export class FabricSocket implements SanSocket, SlotHolder {
  readonly #host: SocketHost
  readonly #family: AddressFamily
  readonly #upcalls: Upcalls
  #handle: SwitchHandle | undefined
  #state: FabricSocketState = 'open'
  #local: SocketAddress | undefined
  #event: EventObject | null = null
  #connectRecorded = false
  #connectStatus: Status = 0
  #queue: RequestQueue | undefined
  #slot: Slot | undefined
  #calleeData: Uint8Array = new Uint8Array(0)
  #further: FurtherMemory[] | undefined
  #receive: Overlapped | null = null
  #signalled = false
  #goneReported = false
  /** What a receive ends with once the peer is gone. */
  #goneStatus: WsaCode = WSA.WSAECONNRESET
  #admitted = false

  constructor(host: SocketHost, family: AddressFamily) {
    this.#host = host
    this.#family = family
    this.#upcalls = host.upcalls
  }

  /** SOCKET-1: the switch's descriptor comes first. */
  attach(): Status {
    const handle = this.#upcalls.createSocketHandle(this)
    if (!handle.ok) return handle.error
    this.#handle = handle.value
    this.#host.add(this)
    return 0
  }

  #move(event: FabricSocketEvent): void {
    const to = next(this.#state, event)
    invariant(to, `${event} is legal in state ${this.#state}`)
    this.#state = to
  }

  #admit(): boolean {
    this.#admitted = this.#host.admit()
    return this.#admitted
  }

  #dismiss(): void {
    if (this.#admitted) this.#host.dismiss()
    this.#admitted = false
  }

  /** The slot, while there is or was a connection on it. */
  get #connected(): Slot | undefined {
    return this.#state === 'connected' || this.#state === 'disconnected' ? this.#slot : undefined
  }

  get #isClosed(): boolean {
    return this.#state === 'closed' || this.#state === 'lingering'
  }

  // --- control plane ------------------------------------------------------------------------------------------------

  bind(address: SocketAddress): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state !== 'open') return WSA.WSAEINVAL
    if (address.port === 0 || address.family !== this.#family) return WSA.WSAEFAULT
    if (!isWildcard(address) && !this.#host.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.#move('bind')
    return 0
  }

  setSockOpt(option: SocketOption, _value: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    // A debug switch that changes nothing is still known; the rest means nothing here.
    return option === 'SO_DEBUG' ? 0 : WSA.WSAENOPROTOOPT
  }

  getSockOpt(option: SocketOption): Result<number> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    return option === 'SO_MAX_RDMA_SIZE' ? success(layout.MAX_RING_BYTES) : failure(WSA.WSAENOPROTOOPT)
  }

  listen(backlog: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (!(backlog >= 1)) return WSA.WSAEINVAL
    if (this.#queue !== undefined) {
      for (const dropped of this.#queue.setBacklog(backlog)) dropped.link.refuse(dropped, WSA.WSAECONNREFUSED)
      return 0
    }
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    const queue = new RequestQueue(this.#local, backlog, this.#pendedEnded)
    const status = this.#host.listen(queue)
    if (status !== 0) return status
    this.#queue = queue
    this.#move('listen')
    return 0
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if ((mask & ~(FD_ACCEPT | FD_CONNECT)) !== 0) return WSA.WSAEINVAL
    this.#event = mask === 0 ? null : event
    this.#queue?.select((mask & FD_ACCEPT) === 0 ? null : event)
    if (this.#connectRecorded && (mask & FD_CONNECT) !== 0) this.#event?.set()
    return 0
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    if (this.#queue !== undefined) {
      return success({ mask: this.#queue.enumerate(event) ? FD_ACCEPT : 0, connectStatus: 0 })
    }
    const mask = this.#connectRecorded ? FD_CONNECT : 0
    this.#connectRecorded = false
    event?.reset()
    return success({ mask, connectStatus: this.#connectStatus })
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const queue = this.#queue
    if (queue === undefined) return failure(WSA.WSAEINVAL)
    return pended === undefined
      ? this.#acceptFirst(queue, condition)
      : this.#acceptPended(queue, condition, pended)
  }

  #acceptFirst(queue: RequestQueue, condition: ConditionFunction): Result<Accepted> {
    while (queue.peek()?.withdrawn === true) queue.take()
    const pending = queue.peek()
    if (pending === undefined) {
      queue.rearm()
      return failure(WSA.WSAEWOULDBLOCK)
    }
    const { remote, local, callerData } = pending
    const verdict = condition({ remote, local, callerData })
    // The condition function may close its listener, which refuses this request with the others.
    if (this.#queue !== queue) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
    queue.take()
    queue.rearm()
    if (verdict.decision !== 'CF_PEND') return this.#answer(pending, verdict)
    queue.pended.add(verdict.pended, pending)
    return failure(WSA.WSA_IO_PENDING)
  }

  #acceptPended(queue: RequestQueue, condition: ConditionFunction, pended: Overlapped): Result<Accepted> {
    const request = queue.pended.get(pended)
    if (request === undefined) return failure(WSA.WSAEINVAL)
    const { remote, local, callerData } = request
    const verdict = condition({ remote, local, callerData })
    if (this.#queue !== queue) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER' || verdict.decision === 'CF_PEND') return failure(WSA.WSA_IO_PENDING)
    const pending = queue.pended.remove(pended, 0)
    return pending === undefined ? failure(WSA.WSAEINVAL) : this.#answer(pending, verdict)
  }

  #answer(
    pending: PendingRequest,
    verdict: Verdict & { decision: 'CF_ACCEPT' | 'CF_REJECT' },
  ): Result<Accepted> {
    if (verdict.decision === 'CF_ACCEPT') return this.#accept(pending, verdict.calleeData)
    pending.link.refuse(pending, verdict.error ?? WSA.WSAECONNREFUSED)
    return failure(WSA.WSAECONNREFUSED)
  }

  readonly #pendedEnded = (pended: Overlapped, status: Status): void => {
    const handle = this.#handle
    if (pended.silent || handle === undefined) return
    this.#host.schedule(() => {
      this.#upcalls.completeOverlappedRequest(handle, pended, status, 0)
    })
  }

  #accept(pending: PendingRequest, calleeData: Uint8Array): Result<Accepted> {
    const socket = new FabricSocket(this.#host, this.#family)
    const status =
      calleeData.length > MAX_CONNECT_DATA_BYTES ? WSA.WSAEMSGSIZE : socket.#occupy(pending, calleeData)
    if (status !== 0) {
      socket.close()
      pending.link.refuse(pending, WSA.WSAENOBUFS)
      return failure(status)
    }
    const { remote, local } = pending
    return success({ socket, remote, local })
  }

  // The accepting socket takes its place on the link.
  #occupy(pending: PendingRequest, calleeData: Uint8Array): Status {
    const status = this.attach()
    if (status !== 0) return status
    if (!this.#admit()) return WSA.WSAEPROCLIM
    this.#move('accepted')
    this.#slot = pending.link.accept(pending, this, calleeData)
    this.#slot.open()
    return 0
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    const isComplete = address.family === this.#family && address.port > 0 && !isWildcard(address)
    if (!isComplete || !this.#host.serves(address)) return WSA.WSAENETUNREACH
    const link = this.#host.linkTo(this.#local, address)
    if (!link.ok) return link.error
    if (!this.#admit()) return WSA.WSAEPROCLIM
    const slot = link.value.request(this, { remote: this.#local, local: address, callerData })
    if (!slot.ok) {
      this.#dismiss()
      return slot.error
    }
    this.#move('connect')
    this.#slot = slot.value
    this.#slot.open()
    return WSA.WSAEWOULDBLOCK
  }

  calleeData(): Uint8Array {
    return this.#calleeData.slice()
  }

  duplicate(_processId: number): Result<Uint8Array> {
    return failure(this.#isClosed ? WSA.WSAENOTSOCK : WSA.WSAEOPNOTSUPP)
  }

  close(): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    const queue = this.#queue
    this.#queue = undefined
    if (queue !== undefined) {
      this.#host.unlisten(queue)
      for (let p = queue.take(); p !== undefined; p = queue.take()) p.link.refuse(p, WSA.WSAETIMEDOUT)
      for (const request of queue.pended.clear()) request.link.refuse(request, WSA.WSAETIMEDOUT)
    }
    this.#move('close')
    this.#slot?.end()
    this.#finish()
    return 0
  }

  // CLOSE-1 and CLOSE-2, never from inside the down-call.
  #finish(): void {
    const handle = this.#handle
    const receive = this.#receive
    this.#receive = null
    this.#handle = undefined
    this.#dismiss()
    this.#host.remove(this)
    if (handle === undefined) return
    receive?.end(WSA.WSA_OPERATION_ABORTED, 0)
    this.#host.schedule(() => {
      if (receive !== null && !receive.silent) {
        this.#upcalls.completeOverlappedRequest(handle, receive, WSA.WSA_OPERATION_ABORTED, 0)
      }
      this.#upcalls.closeSocketHandle(handle)
    })
  }

  // --- data plane ---------------------------------------------------------------------------------------------------

  memory(): Result<ConnectionMemory> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#connected
    return slot === undefined ? failure(WSA.WSAENOTCONN) : success(slot.memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#connected
    if (slot === undefined) return failure(WSA.WSAENOTCONN)
    if (!(bytes >= layout.PAGE_BYTES) || (bytes & (bytes - 1)) !== 0) return failure(WSA.WSAEINVAL)
    if (bytes > layout.MAX_RING_BYTES) return failure(WSA.WSAENOBUFS)
    const taken = slot.link.take(bytes)
    if (taken.ok) {
      ;(this.#further ??= []).push(taken.value)
      slot.announce(taken.value)
    }
    return taken
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    const further = this.#furtherOf(memory)
    if (further === undefined) return WSA.WSAEINVAL
    this.#further = this.#further?.filter((one) => one !== further)
    this.#slot?.withdraw(further)
    this.#slot?.link.give(further.piece)
    return 0
  }

  #furtherOf(memory: RegisteredMemory): FurtherMemory | undefined {
    return this.#further?.find((one) => one === memory)
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#connected
    if (slot === undefined) return failure(WSA.WSAENOTCONN)
    const length = slot.lengthOf(descriptor)
    if (length === undefined || !(bytes > 0 && bytes <= length)) return failure(WSA.WSAEFAULT)
    const { bytes: all, words } = slot.link
    return success({
      bytes: all,
      words,
      offset: layout.MIRROR_AT + descriptor * layout.PAGE_BYTES,
      length: bytes,
    })
  }

  rdmaWrite(
    memory: RegisteredMemory,
    offset: number,
    length: number,
    _overlapped: Overlapped | null,
  ): Status {
    const slot = this.#slot
    if (this.#state !== 'connected' || slot === undefined) return this.#dataError()
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) return WSA.WSAEINVAL
    if (memory === slot.memory.send) {
      slot.wroteRegion(offset, offset + length)
      return 0
    }
    const further = this.#furtherOf(memory)
    if (further === undefined) return WSA.WSAEINVAL
    slot.wroteFurther(further, offset, offset + length)
    return 0
  }

  signal(): Status {
    const slot = this.#slot
    if (this.#state !== 'connected' || slot === undefined) return this.#dataError()
    slot.signal()
    return 0
  }

  receive(overlapped: Overlapped): Status {
    if (this.#state !== 'connected' && this.#state !== 'disconnected') return this.#dataError()
    if (this.#goneReported) return WSA.WSAECONNRESET
    if (this.#receive !== null) return WSA.WSAEALREADY
    overlapped.begin()
    this.#receive = overlapped
    if (this.#signalled || this.#state === 'disconnected') this.#host.schedule(this.#completeReceive)
    return WSA.WSA_IO_PENDING
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    if (overlapped.silent && overlapped === this.#receive) {
      this.#host.progress()
      this.#completeReceive()
    }
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.status === WSA.WSA_IO_PENDING ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  #dataError(): WsaCode {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    return this.#state === 'disconnected' ? WSA.WSAECONNRESET : WSA.WSAENOTCONN
  }

  readonly #completeReceive = (): void => {
    const receive = this.#receive
    const handle = this.#handle
    if (receive === null || handle === undefined) return
    let status: Status = 0
    if (this.#signalled) {
      this.#signalled = false
    } else if (this.#state === 'disconnected') {
      this.#goneReported = true
      status = this.#goneStatus
    } else {
      return
    }
    this.#receive = null
    receive.end(status, 0)
    if (!receive.silent) this.#upcalls.completeOverlappedRequest(handle, receive, status, 0)
  }

  // What comes while somebody polls is told in a turn of its own.
  #tell(): void {
    if (this.#host.isPolling) this.#host.schedule(this.#completeReceive)
    else this.#completeReceive()
  }

  // --- what the slot tells ------------------------------------------------------------------------------------------

  answered(answer: Answer): void {
    if (this.#state !== 'connecting') return
    if (answer.kind === 'accepted') {
      this.#calleeData = answer.calleeData
      this.#move('accepted')
      this.#recordConnect(0)
    } else if (answer.kind === 'judging') {
      this.#recordConnect(WSA.WSA_IO_PENDING)
    } else {
      if (answer.code === WSA.WSAETIMEDOUT && this.#slot !== undefined) this.#host.forget(this.#slot.link)
      this.#connectEnded(answer.code)
    }
  }

  signalled(): void {
    if (this.#state !== 'connected') return
    this.#signalled = true
    this.#tell()
  }

  ended(): void {
    if (this.#state === 'connected') {
      this.#move('peerGone')
      this.#tell()
    } else if (this.#state === 'connecting') {
      // Accepted and given up in one breath: nobody there has heard of us, so this is not final.
      this.#slot?.end()
      this.#connectEnded(WSA.WSAECONNABORTED)
    }
  }

  linkDown(code: WsaCode): void {
    if (this.#state === 'connected') {
      if (code === WSA.WSAECONNABORTED) this.#goneStatus = code
      this.#move('peerGone')
      this.#completeReceive()
    } else if (this.#state === 'connecting') {
      this.#slot?.end()
      const over = code === WSA.WSAECONNRESET || code === WSA.WSAECONNABORTED
      this.#connectEnded(over ? WSA.WSAETIMEDOUT : code)
    }
  }

  released(): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    for (const { piece } of this.#further ?? []) slot.link.give(piece)
    this.#further = undefined
    if (this.#state === 'lingering') this.#move('released')
  }

  #connectEnded(code: WsaCode): void {
    this.#move('refused')
    this.#slot = undefined
    this.#dismiss()
    this.#recordConnect(code)
  }

  #recordConnect(status: Status): void {
    this.#connectRecorded = true
    this.#connectStatus = status
    this.#event?.set()
  }
}
