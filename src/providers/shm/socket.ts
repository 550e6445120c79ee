import { FD_ACCEPT, FD_CONNECT, MAX_CONNECT_DATA_BYTES, WSA, failure, success } from '../../spi/index.ts'
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
  Sharing,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  Verdict,
  WsaCode,
} from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import * as layout from './layout.ts'
import type { Link, SlotHolder } from './link.ts'
import type { Cancel } from '../../base/clock.ts'
import { drawTicket, encodePassage, ticketIn } from './moving.ts'
import type { Passage, Ticket } from './moving.ts'
import { RequestQueue } from './listener.ts'
import type { PendingRequest } from './listener.ts'
import type { Piece } from '../../base/memory-pool.ts'
import type { SlotRequest } from './request.ts'
import type { Routes } from './routes.ts'
import { Slot, agreeEnded, isWithdrawn, refuse } from './slot.ts'
import { next } from './socket-state.ts'
import type { ShmSocketEvent, ShmSocketState } from './socket-state.ts'

/** What a socket needs of its provider. */
export interface SocketHost {
  readonly upcalls: Upcalls
  readonly schedule: (job: () => void) => void
  readonly maxMemoryBytes: number
  serves(address: SocketAddress): boolean
  /** Offers the rendezvous for a listener, or takes it away. */
  listen(queue: RequestQueue, sharing: Sharing | undefined): Status
  unlisten(queue: RequestQueue): void
  /** Which connects go where. */
  readonly routes: Routes
  /**
   * Offers the rendezvous of a peer that has moved; returns what takes it away, or undefined when too many are offered. The
   * socket hears of who comes by `rejoin`.
   */
  expect(ticket: Ticket, socket: Pick<ShmSocket, 'rejoin' | 'abandoned'>): Cancel | undefined
  /** Knocks where the peer of a connection that moved here waits, until it opens or the time is up. */
  knock(passage: Passage, opened: (link: Result<Link>) => void): Cancel
  /** A connection more, if the limits allow; the socket gives it back with `dismiss`. */
  admit(): boolean
  dismiss(): void
  /** The socket exists; the provider closes it at clean-up unless it says otherwise first. */
  add(socket: ShmSocket): void
  remove(socket: ShmSocket): void
}

/** Members of a group that one connect asks; after that TCP/IP finds one with room. */
const MAX_TRIES = 3

export class ShmSocket implements SanSocket, SlotHolder {
  readonly #host: SocketHost
  readonly #family: AddressFamily
  readonly #upcalls: Upcalls
  #handle: SwitchHandle | undefined
  #state: ShmSocketState = 'open'
  #local: SocketAddress | undefined
  #event: EventObject | null = null
  #connectRecorded = false
  #connectStatus: Status = 0
  #queue: RequestQueue | undefined
  #slot: Slot | undefined
  #sharing: Sharing | undefined
  #request: Omit<SlotRequest, 'listener'> | undefined
  #tries = 0
  #calleeData: Uint8Array = new Uint8Array(0)
  #memory: ConnectionMemory | undefined
  #pieces: Piece[] | undefined
  #receive: Overlapped | null = null
  #signalled = false
  #goneReported = false
  /** Ends waiting for the next process of the peer, or knocking where the peer waits. */
  #stopWaiting: Cancel | undefined
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

  #move(event: ShmSocketEvent): void {
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
    const stands = this.#state === 'connected' || this.#state === 'disconnected' || this.#state === 'parked'
    return stands ? this.#slot : undefined
  }

  get #isClosed(): boolean {
    return this.#state === 'closed' || this.#state === 'lingering'
  }

  // --- control plane ------------------------------------------------------------------------------------------------

  bind(address: SocketAddress): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state !== 'open') return WSA.WSAEINVAL
    if (address.port === 0 || address.family !== this.#family) return WSA.WSAEFAULT
    if (!this.#host.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.#move('bind')
    return 0
  }

  setSockOpt(option: SocketOption, _value: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    // A debug switch that changes nothing is still known; the rest means nothing over memory.
    return option === 'SO_DEBUG' ? 0 : WSA.WSAENOPROTOOPT
  }

  getSockOpt(option: SocketOption): Result<number> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    if (option === 'SO_MAX_RDMA_SIZE') return success(this.#host.maxMemoryBytes)
    return failure(WSA.WSAENOPROTOOPT)
  }

  share(sharing: Sharing): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state !== 'bound') return WSA.WSAEINVAL
    this.#sharing = sharing
    return 0
  }

  listen(backlog: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (!(backlog >= 1)) return WSA.WSAEINVAL
    if (this.#queue !== undefined) {
      for (const dropped of this.#queue.setBacklog(backlog)) refuse(dropped, WSA.WSAECONNREFUSED)
      return 0
    }
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    const queue = new RequestQueue(this.#local, backlog, this.#pendedEnded)
    const status = this.#host.listen(queue, this.#sharing)
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
    if (this.#queue !== undefined) return success({ mask: this.#queue.enumerate(event) ? FD_ACCEPT : 0, connectStatus: 0 })
    const mask = this.#connectRecorded ? FD_CONNECT : 0
    this.#connectRecorded = false
    event?.reset()
    return success({ mask, connectStatus: this.#connectStatus })
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const queue = this.#queue
    if (queue === undefined) return failure(WSA.WSAEINVAL)
    return pended === undefined ? this.#acceptFirst(queue, condition) : this.#acceptPended(queue, condition, pended)
  }

  #acceptFirst(queue: RequestQueue, condition: ConditionFunction): Result<Accepted> {
    let pending = queue.peek()
    while (pending !== undefined && isWithdrawn(pending)) {
      agreeEnded(pending.link, pending.id, pending.generation)
      queue.take()
      pending = queue.peek()
    }
    if (pending === undefined) {
      queue.rearm()
      return failure(WSA.WSAEWOULDBLOCK)
    }
    const { remote, local, callerData } = pending.request
    const verdict = condition({ remote, local, callerData })
    // The condition function may close its listener, which refuses this request with the others.
    if (this.#queue !== queue) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
    queue.take()
    queue.rearm()
    if (verdict.decision === 'CF_PEND') {
      if (queue.pended.add(verdict.pended, pending)) return failure(WSA.WSA_IO_PENDING)
      return failure(WSA.WSAENOBUFS)
    }
    return this.#answer(pending, verdict)
  }

  #acceptPended(queue: RequestQueue, condition: ConditionFunction, pended: Overlapped): Result<Accepted> {
    const request = queue.pended.get(pended)?.request
    if (request === undefined) return failure(WSA.WSAEINVAL)
    const { remote, local, callerData } = request
    const verdict = condition({ remote, local, callerData })
    if (this.#queue !== queue) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER' || verdict.decision === 'CF_PEND') return failure(WSA.WSA_IO_PENDING)
    const pending = queue.pended.remove(pended, 0)
    return pending === undefined ? failure(WSA.WSAEINVAL) : this.#answer(pending, verdict)
  }

  #answer(pending: PendingRequest, verdict: Verdict & { decision: 'CF_ACCEPT' | 'CF_REJECT' }): Result<Accepted> {
    if (verdict.decision === 'CF_ACCEPT') return this.#accept(pending, verdict.calleeData)
    refuse(pending, verdict.error ?? WSA.WSAECONNREFUSED)
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
    const { remote, local } = pending.request
    const socket = new ShmSocket(this.#host, this.#family)
    const status = calleeData.length > MAX_CONNECT_DATA_BYTES ? WSA.WSAEMSGSIZE : socket.#occupy(pending)
    if (status !== 0) {
      socket.close()
      refuse(pending, WSA.WSAENOBUFS)
      return failure(status)
    }
    socket.#slot?.accept(calleeData)
    return success({ socket, remote, local })
  }

  // The accepting socket takes its place on the link.
  #occupy(pending: PendingRequest): Status {
    const status = this.attach()
    if (status !== 0) return status
    if (!this.#admit()) return WSA.WSAEPROCLIM
    const slot = Slot.of(pending)
    if (slot === undefined) return WSA.WSAENOBUFS
    this.#slot = slot
    slot.link.hold(slot.id, this)
    this.#move('accepted')
    return 0
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    if (!this.#host.serves(address)) return WSA.WSAENETUNREACH
    this.#request = { remote: this.#local, local: address, callerData: callerData.slice() }
    const status = this.#ask(this.#request)
    if (status !== 0) return status
    this.#move('connect')
    return WSA.WSAEWOULDBLOCK
  }

  /** Sends the request to whoever listens there; 0 when it is under way. */
  #ask(request: Omit<SlotRequest, 'listener'>): Status {
    this.#tries += 1
    const way = this.#host.routes.linkTo(request.local, (late) => {
      if (this.#state !== 'connecting') return
      const status = late.ok ? this.#askOver(late.value, request) : late.error
      if (status !== 0) this.#connectEnded(status)
    })
    if (way === 'later') return 0
    return way.ok ? this.#askOver(way.value, request) : way.error
  }

  #askOver(link: Link, request: Omit<SlotRequest, 'listener'>): Status {
    if (!this.#admit()) return WSA.WSAEPROCLIM
    const slot = link.takeSlot(this)
    if (!slot.ok) {
      this.#dismiss()
      return slot.error
    }
    this.#slot = Slot.request(link, slot.value.id, slot.value.own, { listener: link.name, ...request })
    return 0
  }

  calleeData(): Uint8Array {
    return this.#calleeData.slice()
  }

  duplicate(processId: number): Result<Uint8Array> {
    const slot = this.#slot
    if (this.#state !== 'connected' || slot === undefined) return failure(this.#dataError())
    const ticket = drawTicket()
    slot.leave(ticket.bytes)
    this.#memory = undefined
    this.#move('leave')
    this.#host.schedule(this.#completeReceive)
    return success(encodePassage({ processId, peerPid: slot.link.peer.pid, ticket }))
  }

  /** A socket made from what {@link duplicate} answered in another process. */
  takeOver(passage: Passage): Status {
    if (!this.#admit()) return WSA.WSAEPROCLIM
    this.#move('takeOver')
    const { name, secret } = passage.ticket
    this.#stopWaiting = this.#host.knock(passage, (opened) => {
      this.#stopWaiting = undefined
      const slot = opened.ok ? opened.value.takeSlot(this) : opened
      if (!slot.ok || !opened.ok) {
        this.#connectEnded(slot.ok ? WSA.WSAENOBUFS : slot.error)
        return
      }
      const anywhere = NOWHERE[this.#family]
      const request = { listener: name, remote: anywhere, local: anywhere, callerData: secret }
      this.#slot = Slot.request(opened.value, slot.value.id, slot.value.own, request)
    })
    return 0
  }

  /** The peer's next process has come, over another link. */
  rejoin(pending: PendingRequest): void {
    const old = this.#slot
    const slot = Slot.of(pending)
    if (this.#state !== 'parked' || old === undefined || slot === undefined) {
      refuse(pending, WSA.WSAENOBUFS)
      return
    }
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
    for (const piece of this.#pieces ?? []) old.link.memory.give(piece)
    this.#pieces = undefined
    old.end()
    old.link.free(old.id)
    this.#slot = slot
    this.#memory = undefined
    slot.link.hold(slot.id, this)
    this.#move('rejoined')
    slot.accept(new Uint8Array())
  }

  // The peer's side has ended: it has closed, or left to another process.
  #peerEnded(): void {
    const ticket = this.#slot?.peerTicket
    this.#stopWaiting = ticket === undefined ? undefined : this.#host.expect(ticketIn(ticket), this)
    this.#move(this.#stopWaiting === undefined ? 'peerGone' : 'peerLeft')
    if (this.#stopWaiting === undefined) this.#completeReceive()
  }

  /** Nobody came for the peer's side in time. */
  abandoned(): void {
    if (this.#state !== 'parked') return
    this.#stopWaiting = undefined
    this.#move('peerGone')
    this.#completeReceive()
  }

  close(): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    const slot = this.#slot
    this.#memory = undefined
    const queue = this.#queue
    this.#queue = undefined
    if (queue !== undefined) {
      this.#host.unlisten(queue)
      for (let p = queue.take(); p !== undefined; p = queue.take()) refuse(p, WSA.WSAETIMEDOUT)
      for (const request of queue.pended.clear()) refuse(request, WSA.WSAETIMEDOUT)
    }
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
    const left = this.#state === 'left'
    this.#move('close')
    if (slot === undefined && this.#state === 'lingering') this.#move('released')
    if (slot !== undefined) {
      if (!left) slot.end()
      this.#releaseWhenPeerIsThrough()
    }
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
    this.#memory ??= this.#connected?.memory()
    return this.#memory === undefined ? failure(this.#dataError()) : success(this.#memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#connected
    if (slot === undefined) return failure(WSA.WSAENOTCONN)
    if (!(bytes >= layout.PAGE_BYTES) || (bytes & (bytes - 1)) !== 0) return failure(WSA.WSAEINVAL)
    if (bytes > this.#host.maxMemoryBytes) return failure(WSA.WSAENOBUFS)
    const taken = slot.link.memory.take(bytes)
    if (taken.ok) (this.#pieces ??= []).push(taken.value.piece)
    return taken
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    const piece = (memory as { readonly piece?: Piece }).piece
    const at = piece === undefined ? -1 : (this.#pieces?.indexOf(piece) ?? -1)
    if (piece === undefined || at < 0) return WSA.WSAEINVAL
    this.#pieces?.splice(at, 1)
    this.#slot?.link.memory.give(piece)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#connected
    return slot === undefined ? failure(WSA.WSAENOTCONN) : slot.link.memory.peerRegion(descriptor, bytes)
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number, _overlapped: Overlapped | null): Status {
    if (this.#state === 'parked') return 0
    if (this.#state !== 'connected') return this.#dataError()
    const inside = offset >= 0 && length >= 0 && offset + length <= memory.length
    return inside && this.#owns(memory) ? 0 : WSA.WSAEINVAL
  }

  #owns(memory: RegisteredMemory): boolean {
    if (memory === this.#memory?.send) return true
    const { piece } = memory as { readonly piece?: Piece }
    return piece !== undefined && this.#pieces?.includes(piece) === true
  }

  signal(): Status {
    const slot = this.#slot
    if (this.#state === 'parked') return 0
    if (this.#state !== 'connected' || slot === undefined) return this.#dataError()
    slot.link.notify(slot.id)
    return 0
  }

  receive(overlapped: Overlapped): Status {
    if (this.#connected === undefined) return this.#dataError()
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
      if (this.#slot?.peerEnded === true && this.#state === 'connected') this.#peerEnded()
      this.#completeReceive()
    }
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.status === WSA.WSA_IO_PENDING ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  #dataError(): WsaCode {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state === 'left') return WSA.WSAEINVAL
    return this.#state === 'disconnected' ? WSA.WSAECONNRESET : WSA.WSAENOTCONN
  }

  readonly #completeReceive = (): void => {
    const receive = this.#receive
    const handle = this.#handle
    if (receive === null || handle === undefined) return
    let status: Status = 0
    if (this.#signalled || this.#state === 'left') {
      this.#signalled = false
    } else if (this.#state === 'disconnected') {
      this.#goneReported = true
      status = WSA.WSAECONNRESET
    } else {
      return
    }
    this.#receive = null
    receive.end(status, 0)
    if (!receive.silent) this.#upcalls.completeOverlappedRequest(handle, receive, status, 0)
  }

  // --- what the link tells ------------------------------------------------------------------------------------------

  notified(): void {
    switch (this.#state) {
      case 'connecting':
        this.#lookAtAnswer()
        break
      case 'connected':
        this.#signalled = true
        this.#completeReceive()
        break
      case 'lingering':
        // The opener may be using the slot for its next request already.
        this.#releaseWhenPeerIsThrough()
        break
      default:
        break
    }
  }

  ended(): void {
    switch (this.#state) {
      case 'connecting':
        this.#lookAtAnswer()
        break
      case 'connected':
        if (this.#slot?.peerEnded === true) this.#peerEnded()
        break
      case 'lingering':
        this.#releaseWhenPeerIsThrough()
        break
      default:
        break
    }
  }

  linkDown(code: WsaCode): void {
    switch (this.#state) {
      case 'connecting':
        this.#refused(code === WSA.WSAECONNRESET ? WSA.WSAETIMEDOUT : code)
        break
      case 'connected':
        this.#peerEnded()
        break
      case 'lingering':
        this.#released()
        break
      default:
        break
    }
  }

  #lookAtAnswer(): void {
    const answer = this.#slot?.answer()
    if (answer === undefined) return
    this.#slot?.settle()
    if (answer.kind === 'accepted') {
      this.#calleeData = answer.calleeData
      this.#move('accepted')
      this.#recordConnect(0)
    } else if (answer.kind === 'judging') {
      this.#recordConnect(WSA.WSA_IO_PENDING)
    } else {
      this.#refused(answer.code)
    }
  }

  // Of several listeners another may have room, or still be there.
  #refused(code: WsaCode): void {
    const request = this.#request
    const slot = this.#slot
    if (request === undefined || slot === undefined) return
    const { routes } = this.#host
    // Nobody listens there any more: the next connect looks for the listener afresh.
    if (code === WSA.WSAETIMEDOUT) routes.forget(request.local, slot.link)
    const elsewhere = code === WSA.WSAETIMEDOUT || code === WSA.WSAEPROCLIM
    if (elsewhere && this.#tries < MAX_TRIES && routes.hasOthers(request.local)) {
      this.#giveBack(slot)
      code = this.#ask(request) || code
      if (this.#slot !== undefined) return
    }
    this.#connectEnded(code)
  }

  // The slot goes back at once: whoever refused is through with it.
  #connectEnded(code: WsaCode): void {
    this.#move('refused')
    if (this.#slot !== undefined) this.#giveBack(this.#slot)
    this.#recordConnect(code)
  }

  #giveBack(slot: Slot): void {
    this.#slot = undefined
    slot.end(true)
    slot.settle()
    slot.link.free(slot.id)
    this.#dismiss()
  }

  #recordConnect(status: Status): void {
    this.#connectRecorded = true
    this.#connectStatus = status
    this.#event?.set()
  }

  #releaseWhenPeerIsThrough(): void {
    if (this.#slot?.peerIsThrough === true) this.#released()
  }

  #released(): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    slot.settle()
    this.#move('released')
    for (const piece of this.#pieces ?? []) slot.link.memory.give(piece)
    this.#pieces = undefined
    slot.link.free(slot.id)
  }
}

/** A connection that moves keeps its addresses; the request for it needs some. */
const NOWHERE: Readonly<Record<AddressFamily, SocketAddress>> = {
  IPv4: { family: 'IPv4', address: '127.0.0.1', port: 1 },
  IPv6: { family: 'IPv6', address: '::1', port: 1 },
}
