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
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  WsaCode,
} from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import * as layout from './layout.ts'
import type { Link, SlotHolder, SlotView } from './link.ts'
import { RequestQueue } from './listener.ts'
import type { PendingRequest } from './listener.ts'
import type { Piece } from './memory-pool.ts'
import { writeRequest } from './request.ts'
import { next } from './socket-state.ts'
import type { ShmSocketEvent, ShmSocketState } from './socket-state.ts'

/** What a socket needs of its provider. */
export interface SocketHost {
  readonly upcalls: Upcalls
  readonly schedule: (job: () => void) => void
  readonly maxMemoryBytes: number
  serves(address: SocketAddress): boolean
  /** Offers the rendezvous for a listener, or takes it away. */
  listen(queue: RequestQueue): Status
  unlisten(queue: RequestQueue): void
  /** The link to whoever listens at `address`, and the name it listens under. */
  linkTo(address: SocketAddress): Result<{ readonly link: Link; readonly listener: string }>
  /** The link turned out not to lead to that listener any more. */
  forget(address: SocketAddress): void
  /** A connection more, if the limits allow; the socket gives it back with `dismiss`. */
  admit(): boolean
  dismiss(): void
  /** The socket exists; the provider closes it at clean-up unless it says otherwise first. */
  add(socket: ShmSocket): void
  remove(socket: ShmSocket): void
}

/** A socket's place on a link. */
interface Slot {
  readonly link: Link
  readonly id: number
  readonly generation: number
  readonly own: SlotView
  peer: SlotView | undefined
}

/** Tells the peer of a waiting request that it is refused. */
export function refuse(pending: PendingRequest, code: WsaCode): void {
  answer(pending.link, pending.id, pending.generation, layout.PHASE_REFUSED, code)
}

/** Publishes the acceptor's word on a slot nobody holds. */
export function answer(link: Link, id: number, generation: number, phase: number, detail: number): void {
  const own = link.ownSlot(id)
  if (own === undefined) return
  const word = own.byte / 4
  own.segment.words[word + layout.SLOT_DETAIL] = detail
  Atomics.store(own.segment.words, word + layout.SLOT_STATE, layout.slotState(generation, phase))
  link.notify(id, phase === layout.PHASE_CLOSED ? 'end' : 'signal')
}

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
  #destination: SocketAddress | undefined
  #calleeData = new Uint8Array(0)
  #memory: ConnectionMemory | undefined
  #pieces: Piece[] | undefined
  #receive: Overlapped | null = null
  #signalled = false
  #goneReported = false
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

  listen(backlog: number): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (!(backlog >= 1)) return WSA.WSAEINVAL
    if (this.#queue !== undefined) {
      for (const dropped of this.#queue.setBacklog(backlog)) refuse(dropped, WSA.WSAECONNREFUSED)
      return 0
    }
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    const queue = new RequestQueue(this.#local, backlog)
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
    if (this.#queue !== undefined) return success({ mask: this.#queue.enumerate(event), connectStatus: 0 })
    const mask = this.#connectRecorded ? FD_CONNECT : 0
    this.#connectRecorded = false
    event?.reset()
    return success({ mask, connectStatus: this.#connectStatus })
  }

  accept(condition: ConditionFunction): Result<Accepted> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const queue = this.#queue
    if (queue === undefined) return failure(WSA.WSAEINVAL)
    let pending = queue.peek()
    while (pending !== undefined && withdrawn(pending)) {
      answer(pending.link, pending.id, pending.generation, layout.PHASE_CLOSED, 0)
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
    if (verdict.decision === 'CF_REJECT') {
      refuse(pending, verdict.error ?? WSA.WSAECONNREFUSED)
      return failure(WSA.WSAECONNREFUSED)
    }
    return this.#accept(pending, verdict.calleeData)
  }

  #accept(pending: PendingRequest, calleeData: Uint8Array): Result<Accepted> {
    const { link, id, generation } = pending
    const own = link.ownSlot(id)
    const peer = link.peerSlot(id)
    const socket = new ShmSocket(this.#host, this.#family)
    let status: Status = own === undefined || peer === undefined ? WSA.WSAENOBUFS : socket.attach()
    if (status === 0 && !socket.#admit()) status = WSA.WSAEPROCLIM
    if (status !== 0 || own === undefined || peer === undefined || calleeData.length > MAX_CONNECT_DATA_BYTES) {
      socket.close()
      refuse(pending, WSA.WSAENOBUFS)
      return failure(status === 0 ? WSA.WSAEMSGSIZE : status)
    }
    socket.#move('accepted')
    socket.#slot = { link, id, generation, own, peer }
    link.hold(id, socket)
    clearRegion(own)
    own.segment.bytes.set(calleeData, regionByte(own) + layout.CONNECT_DATA_BYTE)
    own.segment.words[own.byte / 4 + layout.SLOT_DATA_BYTES] = calleeData.length
    answer(link, id, generation, layout.PHASE_ACCEPTED, 0)
    return success({ socket, remote: pending.request.remote, local: pending.request.local })
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#slot !== undefined) return WSA.WSAEISCONN
    if (this.#state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    if (!this.#host.serves(address)) return WSA.WSAENETUNREACH
    const found = this.#host.linkTo(address)
    if (!found.ok) return found.error
    const { link, listener } = found.value
    if (!this.#admit()) return WSA.WSAEPROCLIM
    const slot = link.takeSlot(this)
    if (!slot.ok) {
      this.#dismiss()
      return slot.error
    }
    const { id, own } = slot.value
    const word = own.byte / 4
    const generation = layout.nextGeneration(layout.generationOf(own.segment.words[word] ?? 0))
    this.#slot = { link, id, generation, own, peer: undefined }
    this.#destination = address
    clearRegion(own)
    own.segment.words[word + layout.SLOT_DATA_BYTES] = writeRequest(
      own.segment.bytes,
      regionByte(own) + layout.CONNECT_DATA_BYTE,
      { listener, remote: this.#local, local: address, callerData },
    )
    this.#move('connect')
    Atomics.store(own.segment.words, word + layout.SLOT_STATE, layout.slotState(generation, layout.PHASE_OPEN))
    link.notify(id)
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
    const slot = this.#slot
    this.#memory = undefined
    const queue = this.#queue
    this.#queue = undefined
    if (queue !== undefined) {
      this.#host.unlisten(queue)
      for (let p = queue.take(); p !== undefined; p = queue.take()) refuse(p, WSA.WSAETIMEDOUT)
    }
    this.#move('close')
    if (slot !== undefined) {
      const { words } = slot.own.segment
      Atomics.store(words, slot.own.byte / 4, layout.slotState(slot.generation, layout.PHASE_CLOSED))
      slot.link.notify(slot.id, 'end')
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
    const slot = this.#slot
    if (slot?.peer === undefined) return failure(WSA.WSAENOTCONN)
    this.#memory ??= {
      send: { ...regionOf(slot.own), descriptor: 0 },
      receive: regionOf(slot.peer),
    }
    return success(this.#memory)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    const slot = this.#slot
    if (slot?.peer === undefined) return failure(WSA.WSAENOTCONN)
    if (!(bytes >= layout.PAGE_BYTES) || (bytes & (bytes - 1)) !== 0) return failure(WSA.WSAEINVAL)
    if (bytes > this.#host.maxMemoryBytes) return failure(WSA.WSAENOBUFS)
    const taken = slot.link.takeMemory(bytes)
    if (taken.ok) (this.#pieces ??= []).push(taken.value.piece)
    return taken
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    if (this.#isClosed) return WSA.WSAENOTSOCK
    const piece = (memory as { readonly piece?: Piece }).piece
    const at = piece === undefined ? -1 : (this.#pieces?.indexOf(piece) ?? -1)
    if (piece === undefined || at < 0) return WSA.WSAEINVAL
    this.#pieces?.splice(at, 1)
    this.#slot?.link.giveMemory(piece)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    if (this.#isClosed) return failure(WSA.WSAENOTSOCK)
    if (this.#slot?.peer === undefined) return failure(WSA.WSAENOTCONN)
    return this.#slot.link.peerMemory(descriptor, bytes)
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number, _overlapped: Overlapped | null): Status {
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
    if (this.#state !== 'connected' || slot === undefined) return this.#dataError()
    slot.link.notify(slot.id)
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
      if (this.#peerClosed() && this.#state === 'connected') this.#move('peerGone')
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
        if (!this.#peerClosed()) break
        this.#move('peerGone')
        this.#completeReceive()
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
        this.#host.forget(this.#destination ?? { family: 'IPv4', address: '', port: 0 })
        this.#connectEnded(code === WSA.WSAECONNRESET ? WSA.WSAETIMEDOUT : code)
        break
      case 'connected':
        this.#move('peerGone')
        this.#completeReceive()
        break
      case 'lingering':
        this.#released()
        break
      default:
        break
    }
  }

  #lookAtAnswer(): void {
    const slot = this.#slot
    if (slot === undefined) return
    const peer = slot.link.peerSlot(slot.id)
    if (peer === undefined) return
    const { words, bytes } = peer.segment
    const word = peer.byte / 4
    const state = Atomics.load(words, word + layout.SLOT_STATE)
    if (layout.generationOf(state) !== slot.generation) return
    const phase = layout.phaseOf(state)
    if (phase === layout.PHASE_CLOSED) {
      // Accepted and given up before we looked: nobody there has heard of us yet, so this is not final.
      this.#connectEnded(WSA.WSAECONNABORTED)
    } else if (phase === layout.PHASE_ACCEPTED) {
      const length = Math.min((words[word + layout.SLOT_DATA_BYTES] ?? 0) >>> 0, MAX_CONNECT_DATA_BYTES)
      const from = regionByte(peer) + layout.CONNECT_DATA_BYTE
      this.#calleeData = bytes.slice(from, from + length)
      slot.peer = peer
      this.#move('accepted')
      this.#connectRecorded = true
      this.#connectStatus = 0
      this.#event?.set()
    } else if (phase === layout.PHASE_REFUSED) {
      const code = refusalCode(words[word + layout.SLOT_DETAIL] ?? 0)
      // Nobody listens there any more: the next connect looks for the listener afresh.
      if (code === WSA.WSAETIMEDOUT && this.#destination !== undefined) this.#host.forget(this.#destination)
      this.#connectEnded(code)
    }
  }

  // The slot goes back at once: whoever refused is through with it.
  #connectEnded(code: WsaCode): void {
    this.#move('refused')
    const slot = this.#slot
    this.#slot = undefined
    if (slot !== undefined) {
      Atomics.store(
        slot.own.segment.words,
        slot.own.byte / 4,
        layout.slotState(slot.generation, layout.PHASE_CLOSED),
      )
      slot.link.free(slot.id)
      this.#dismiss()
    }
    this.#connectRecorded = true
    this.#connectStatus = code
    this.#event?.set()
  }

  #peerClosed(): boolean {
    const slot = this.#slot
    const peer = slot?.peer ?? slot?.link.peerSlot(slot.id)
    if (slot === undefined || peer === undefined) return false
    const state = Atomics.load(peer.segment.words, peer.byte / 4)
    const expected = slot.link.role === 'opener' ? layout.PHASE_ACCEPTED : layout.PHASE_OPEN
    return state !== layout.slotState(slot.generation, expected)
  }

  #releaseWhenPeerIsThrough(): void {
    const slot = this.#slot
    if (slot === undefined) return
    if (slot.link.state === 'down') {
      this.#released()
      return
    }
    const peer = slot.peer ?? slot.link.peerSlot(slot.id)
    if (peer === undefined) return
    const state = Atomics.load(peer.segment.words, peer.byte / 4)
    const phase = layout.phaseOf(state)
    const through = phase === layout.PHASE_CLOSED || phase === layout.PHASE_REFUSED
    if (layout.generationOf(state) === slot.generation) {
      if (through) this.#released()
    } else if (slot.link.role === 'acceptor') {
      // The opener uses the slot again already, so it has seen our end.
      this.#released()
    }
  }

  #released(): void {
    const slot = this.#slot
    if (slot === undefined) return
    this.#slot = undefined
    this.#move('released')
    for (const piece of this.#pieces ?? []) slot.link.giveMemory(piece)
    this.#pieces = undefined
    slot.link.free(slot.id)
  }
}

function regionByte(slot: SlotView): number {
  return slot.byte + layout.SLOT_HEADER_BYTES
}

function regionOf(slot: SlotView): MemoryRegion {
  const { bytes, words } = slot.segment
  return { bytes, words, offset: regionByte(slot), length: layout.REGION_BYTES }
}

function clearRegion(slot: SlotView): void {
  const from = regionByte(slot) / 4
  slot.segment.words.fill(0, from, from + layout.CONNECT_DATA_BYTE / 4)
}

function withdrawn(pending: PendingRequest): boolean {
  const peer = pending.link.state === 'up' ? pending.link.peerSlot(pending.id) : undefined
  if (peer === undefined) return true
  const state = Atomics.load(peer.segment.words, peer.byte / 4)
  return state !== layout.slotState(pending.generation, layout.PHASE_OPEN)
}

// The peer's word: anything but a known refusal is treated as "not final".
function refusalCode(detail: number): WsaCode {
  const known: readonly number[] = [
    WSA.WSAECONNREFUSED,
    WSA.WSAETIMEDOUT,
    WSA.WSAENOBUFS,
    WSA.WSAEPROCLIM,
    WSA.WSAVERNOTSUPPORTED,
    WSA.WSAEFAULT,
    WSA.WSAEACCES,
  ]
  return known.includes(detail) ? (detail as WsaCode) : WSA.WSAENETDOWN
}
