import { WSA, failure, success } from '../../spi/index.ts'
import type { MemoryRegion, RegisteredMemory, Result, WsaCode } from '../../spi/index.ts'
import type { Clock, Cancel } from '../../base/clock.ts'
import type { ShmNative, Watcher } from '../../native/shm.ts'
import type { Notifiable, Turns } from './turns.ts'
import type { ShmLimits } from './limits.ts'
import { ByteBudget, SegmentTable, viewSegment } from './segments.ts'
import type { Segment } from './segments.ts'
import { MemoryPool } from './memory-pool.ts'
import type { Piece } from './memory-pool.ts'
import { IncomingNotifications, OutgoingNotifications } from './notifications.ts'
import type { NotificationKind } from './notifications.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import type { LinkMessage, SegmentUse } from './messages.ts'
import * as layout from './layout.ts'

/** What a link tells the socket that holds one of its slots. */
export interface SlotHolder {
  /** The peer has signalled, or answered a request. */
  notified(): void
  /** The peer says that it is through with the slot. */
  ended(): void
  /** The peer is gone, and with it the link; the memory stays until the slot is freed. */
  linkDown(code: WsaCode): void
}

/** What a link needs of the provider around it. */
export interface LinkHost {
  readonly native: ShmNative
  readonly turns: Turns
  readonly limits: ShmLimits
  readonly clock: Clock
  readonly budget: ByteBudget
  /** A slot without a holder was notified: a request, or the end of one nobody took. */
  requested(link: Link, id: number): void
  /** The link can carry no further connection. */
  linkClosed(link: Link): void
}

/** Where a slot lies: words and bytes of one side's segment, at this byte. */
export interface SlotView {
  readonly segment: Segment
  readonly byte: number
}

type LinkState = 'opening' | 'up' | 'down' | 'released'

const PIECE_PAGES_SHIFT = 16

/**
 * The memory and the channel between two event loops, shared by all connections that the opener makes to the acceptor.
 * Each side writes its own segments and reads the peer's; whatever it reads there it checks. The channel passes further
 * segments, and its end of stream says that the peer is gone.
 */
export class Link implements Notifiable {
  readonly role: 'opener' | 'acceptor'
  /** The rendezvous name it was made for. */
  readonly name: string
  readonly peer: { readonly pid: number; readonly uid: number }
  readonly #host: LinkHost
  readonly #fd: number
  readonly #own: SegmentTable
  readonly #theirs: SegmentTable
  readonly #pool = new MemoryPool(layout.RING_SEGMENT_BYTES)
  readonly #holders: (SlotHolder | undefined)[] = []
  readonly #freeIds: number[] = []
  /** Acceptor: the generation of the last request seen in each slot; each is taken once, however often it is announced. */
  readonly #requests: number[] = []
  #watcher: Watcher | undefined
  #state: LinkState = 'opening'
  #index = -1
  #ownWords: Int32Array | undefined
  #peerWords: Int32Array | undefined
  #peerStatus: Int32Array | undefined
  #peerStatusBuffer: ArrayBuffer | undefined
  #doorbell = -1
  #rungEpoch = 0
  #outgoing: OutgoingNotifications | undefined
  #incoming: IncomingNotifications | undefined
  #held = 0
  /** The other end, where it is in this very loop. */
  #twin: Link | undefined
  #cancelIdle: Cancel | undefined
  #unknownNotifications = 0

  constructor(host: LinkHost, role: Link['role'], fd: number, name: string, peer: Link['peer']) {
    this.#host = host
    this.role = role
    this.#fd = fd
    this.name = name
    this.peer = peer
    this.#own = new SegmentTable(host.budget)
    this.#theirs = new SegmentTable(new ByteBudget(host.limits.maxBytesPerLink))
  }

  get state(): LinkState {
    return this.#state
  }

  /** Slots in use or lingering. */
  get held(): number {
    return this.#held
  }

  get unknownNotifications(): number {
    return this.#unknownNotifications
  }

  get withinLoop(): boolean {
    return this.#twin !== undefined
  }

  /** What the opener calls the link. */
  get id(): number | undefined {
    return (this.role === 'opener' ? this.#ownWords : this.#peerWords)?.[layout.LINK_ID]
  }

  /** Bytes this side has allocated for the link. */
  get bytes(): number {
    return this.#own.bytes
  }

  // --- making it ----------------------------------------------------------------------------------------------------

  /** Opener: offers our memory. Connections may be asked for at once; the acceptor finds them when it maps us. */
  open(): WsaCode | 0 {
    const status = this.#offer({ kind: 'open', segmentBytes: layout.LINK_SEGMENT_BYTES, name: this.name })
    if (status !== 0) return status
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.readChannel()
    })
    return 0
  }

  /** Acceptor: takes the opener's memory and offers ours. After a failure only {@link fail} is left to do. */
  welcome(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const adopted = this.#adopt(segmentBytes, fds)
    if (adopted !== 0) return adopted
    const status = this.#offer({ kind: 'welcome', segmentBytes: layout.LINK_SEGMENT_BYTES })
    if (status !== 0) return status
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.readChannel()
    })
    this.#up()
    return 0
  }

  #offer(message: LinkMessage): WsaCode | 0 {
    const { native, turns } = this.#host
    if (!this.#own.reserve(layout.LINK_SEGMENT_BYTES)) return WSA.WSAENOBUFS
    const memory = native.createMemory(layout.LINK_SEGMENT_BYTES)
    if (typeof memory === 'number') {
      this.#own.unreserve(layout.LINK_SEGMENT_BYTES)
      return codeOf(memory)
    }
    const segment = viewSegment(memory.buffer)
    this.#own.add(segment, 'slots')
    this.#ownWords = segment.words
    this.#outgoing = new OutgoingNotifications(segment.words)
    if (this.role === 'opener') segment.words[layout.LINK_ID] = Math.floor(Math.random() * 2 ** 31)
    const sent = native.send(this.#fd, encodeMessage(message), [memory.fd, turns.poller.doorbell, turns.poller.statusFd])
    native.close(memory.fd)
    return sent === 0 ? 0 : codeOf(sent)
  }

  /** Maps what the peer offers, after checking all of it. Closes `fds`. */
  #adopt(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const { native } = this.#host
    const [segmentFd, doorbell, statusFd] = fds
    if (fds.length !== 3 || segmentFd === undefined || doorbell === undefined || statusFd === undefined) {
      closeAll(native, fds)
      return WSA.WSAEFAULT
    }
    if (segmentBytes !== layout.LINK_SEGMENT_BYTES || !native.isDoorbell(doorbell)) {
      closeAll(native, fds)
      return WSA.WSAEFAULT
    }
    const segment = native.mapMemory(segmentFd, segmentBytes)
    const status = native.mapMemory(statusFd, layout.STATUS_BYTES)
    native.close(segmentFd)
    native.close(statusFd)
    if (typeof segment === 'number' || typeof status === 'number') {
      if (typeof segment !== 'number') native.unmap(segment)
      if (typeof status !== 'number') native.unmap(status)
      native.close(doorbell)
      return typeof segment === 'number' ? codeOf(segment) : codeOf(status as number)
    }
    this.#theirs.reserve(segmentBytes)
    const view = viewSegment(segment)
    this.#theirs.add(view, 'slots')
    this.#peerWords = view.words
    this.#peerStatusBuffer = status
    this.#peerStatus = new Int32Array(status)
    this.#doorbell = doorbell
    return 0
  }

  #up(): void {
    const own = this.#own.slots(0)
    const theirs = this.#theirs.slots(0)
    if (own === undefined || theirs === undefined) return
    this.#state = 'up'
    this.#incoming = new IncomingNotifications(own.words, theirs.words)
    this.#index = this.#host.turns.add(this)
    this.#host.turns.poller.watch(
      this.#index,
      theirs.buffer,
      layout.NOTIFY_PRODUCED * 4,
      own.buffer,
      layout.NOTIFY_CONSUMED * 4,
    )
    // What we asked for before the peer could be rung.
    this.#ring()
    this.#catchUp()
  }

  // --- the channel --------------------------------------------------------------------------------------------------

  /** Takes every message that has arrived. Nothing on the channel waits for long: what is sent is there. */
  readChannel(): void {
    while (this.#state === 'opening' || this.#state === 'up') {
      const received = this.#host.native.receive(this.#fd)
      if (typeof received === 'number') {
        if (received !== -EAGAIN) this.#peerIsGone()
        return
      }
      const message = decodeMessage(received.bytes)
      if (!this.#take(message, received.fds)) {
        this.fail(message === 'version' ? WSA.WSAVERNOTSUPPORTED : WSA.WSAEFAULT)
        return
      }
    }
  }

  #take(message: LinkMessage | 'version' | 'malformed', fds: readonly number[]): boolean {
    if (typeof message === 'object') {
      if (message.kind === 'welcome' && this.role === 'opener' && this.#state === 'opening') {
        if (this.#adopt(message.segmentBytes, fds) !== 0) return false
        this.#up()
        return true
      }
      if (message.kind === 'segment' && this.#state === 'up') return this.#takeSegment(message, fds)
      if (message.kind === 'reject' && this.role === 'opener' && fds.length === 0) {
        this.fail(rejectionCode(message.code))
        return true
      }
    }
    closeAll(this.#host.native, fds)
    return false
  }

  #takeSegment(message: LinkMessage & { kind: 'segment' }, fds: readonly number[]): boolean {
    const { native } = this.#host
    const wanted = message.use === 'slots' ? layout.SLOT_SEGMENT_BYTES : layout.RING_SEGMENT_BYTES
    const [fd] = fds
    let mapped: ArrayBuffer | number = -1
    if (
      fd !== undefined &&
      fds.length === 1 &&
      message.index === this.#theirs.count &&
      message.bytes === wanted &&
      this.#theirs.reserve(wanted)
    ) {
      mapped = native.mapMemory(fd, wanted)
      if (typeof mapped !== 'number') this.#theirs.add(viewSegment(mapped), message.use)
    }
    closeAll(native, fds)
    return typeof mapped !== 'number'
  }

  // --- notifications ------------------------------------------------------------------------------------------------

  /** Tells the peer to look at slot `id`, or that we are through with it; unless it is about to look anyway. */
  notify(id: number, kind: NotificationKind = 'signal'): void {
    if (this.#outgoing === undefined || this.#state === 'down' || this.#state === 'released') return
    const outcome = this.#outgoing.append(id, kind, this.#peerWords)
    if (outcome === 'pending') return
    // An honest peer cannot let the ring fill.
    if (outcome === 'full') this.#failLater()
    else if (this.#twin === undefined) this.#ring()
    else this.#host.turns.schedule(this.#twin.#dispatchJob)
  }

  #ring(): void {
    const status = this.#peerStatus
    if (status === undefined || Atomics.load(status, layout.STATUS_SLEEPING) === 0) return
    const epoch = Atomics.load(status, layout.STATUS_EPOCH)
    if (epoch === this.#rungEpoch) return
    this.#rungEpoch = epoch
    this.#host.native.ring(this.#doorbell)
  }

  dispatchOne(): boolean {
    const incoming = this.#incoming
    const outcome = incoming?.take() ?? 'empty'
    if (incoming === undefined || outcome === 'empty') return false
    if (outcome === 'broken') {
      this.fail(WSA.WSAEFAULT)
      return true
    }
    const { id, kind } = incoming
    const holder = this.#holders[id]
    if (kind === 'signal') holder?.notified()
    else holder?.ended()
    // A holder that has just let go may have made room for a new request in the same slot.
    if (this.#holders[id] !== undefined) return true
    if (this.role === 'acceptor' && id < this.#host.limits.maxConnectionsPerLink) this.#host.requested(this, id)
    else if (id >= this.#holders.length) this.#unknownNotifications += 1
    return true
  }

  /** Both ends turned out to be in this loop: from now on events keep the order in which they were made. */
  pair(twin: Link): void {
    this.#twin = twin
    this.#catchUp()
  }

  // What was announced before both ends were there and knew each other.
  #catchUp(): void {
    if (this.#twin === undefined || this.#state !== 'up') return
    const step = (): void => {
      if (this.dispatchOne()) this.#host.turns.schedule(step)
    }
    this.#host.turns.schedule(step)
  }

  readonly #dispatchJob = (): void => {
    this.dispatchOne()
  }

  // --- slots --------------------------------------------------------------------------------------------------------

  /** Opener: an unused slot, and our side of it. The caller becomes its holder. */
  takeSlot(holder: SlotHolder): Result<{ readonly id: number; readonly own: SlotView }> {
    const id = this.#freeIds.pop() ?? this.#holders.length
    if (id >= this.#host.limits.maxConnectionsPerLink) return failure(WSA.WSAEPROCLIM)
    const own = this.ownSlot(id)
    if (own === undefined) return failure(WSA.WSAENOBUFS)
    this.hold(id, holder)
    return success({ id, own })
  }

  hold(id: number, holder: SlotHolder): void {
    this.#holders[id] = holder
    this.#held += 1
    this.#cancelIdle?.()
    this.#cancelIdle = undefined
  }

  /** False when this request of slot `id` was seen before. */
  noteRequest(id: number, generation: number): boolean {
    if (this.#requests[id] === generation) return false
    this.#requests[id] = generation
    return true
  }

  /** The slot may be used again. */
  free(id: number): void {
    this.#holders[id] = undefined
    this.#held -= 1
    if (this.role === 'opener' && this.#state === 'up') this.#freeIds.push(id)
    if (this.#held > 0) return
    this.#releaseWhenUnheld()
    if (this.role === 'opener' && this.#state === 'up') this.#closeWhenIdle()
  }

  #closeWhenIdle(): void {
    this.#cancelIdle = this.#host.clock.after(this.#host.limits.idleLinkMs, () => {
      if (this.#held === 0) this.fail(WSA.WSA_OPERATION_ABORTED)
    })
  }

  /** Our side of slot `id`; makes the memory for it where needed. Undefined when there is none to be had. */
  ownSlot(id: number): SlotView | undefined {
    const { group, byte } = layout.slotPlace(id)
    while (this.#own.slotGroups <= group) {
      if (this.#addSegment(layout.SLOT_SEGMENT_BYTES, 'slots') === undefined) return undefined
    }
    const segment = this.#own.slots(group)
    return segment === undefined ? undefined : { segment, byte }
  }

  /** The peer's side of slot `id`; undefined before it has given us that memory. */
  peerSlot(id: number): SlotView | undefined {
    const { group, byte } = layout.slotPlace(id)
    if (this.#theirs.slotGroups <= group) this.readChannel()
    const segment = this.#theirs.slots(group)
    return segment === undefined ? undefined : { segment, byte }
  }

  // --- further memory -----------------------------------------------------------------------------------------------

  takeMemory(bytes: number): Result<RegisteredMemory & { readonly piece: Piece }> {
    let piece = this.#pool.take(bytes)
    if (piece === undefined) {
      const index = this.#state === 'up' ? this.#addSegment(layout.RING_SEGMENT_BYTES, 'rings') : undefined
      if (index === undefined) return failure(WSA.WSAENOBUFS)
      this.#pool.addSegment(index)
      piece = this.#pool.take(bytes)
    }
    const segment = piece === undefined ? undefined : this.#own.rings(piece.segment)
    if (piece === undefined || segment === undefined) return failure(WSA.WSAENOBUFS)
    const descriptor = ((piece.segment << PIECE_PAGES_SHIFT) | (piece.offset / layout.PAGE_BYTES)) >>> 0
    return success({ bytes: segment.bytes, words: segment.words, offset: piece.offset, length: bytes, descriptor, piece })
  }

  giveMemory(piece: Piece): void {
    if (this.#state !== 'released') this.#pool.give(piece)
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const index = descriptor >>> PIECE_PAGES_SHIFT
    const offset = (descriptor & ((1 << PIECE_PAGES_SHIFT) - 1)) * layout.PAGE_BYTES
    if (index >= this.#theirs.count) this.readChannel()
    const segment = this.#theirs.rings(index)
    if (segment === undefined || bytes <= 0 || offset + bytes > layout.RING_SEGMENT_BYTES) return failure(WSA.WSAEFAULT)
    return success({ bytes: segment.bytes, words: segment.words, offset, length: bytes })
  }

  #addSegment(bytes: number, use: SegmentUse): number | undefined {
    const { native } = this.#host
    if (this.#own.bytes + bytes > this.#host.limits.maxBytesPerLink || !this.#own.reserve(bytes)) return undefined
    const memory = native.createMemory(bytes)
    if (typeof memory === 'number') {
      this.#own.unreserve(bytes)
      return undefined
    }
    const sent = native.send(this.#fd, encodeMessage({ kind: 'segment', index: this.#own.count, use, bytes }), [memory.fd])
    native.close(memory.fd)
    if (sent !== 0) {
      native.unmap(memory.buffer)
      this.#own.unreserve(bytes)
      return undefined
    }
    return this.#own.add(viewSegment(memory.buffer), use)
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Ends the link: the peer is gone, broke the protocol, or nobody needs it any more. */
  fail(code: WsaCode): void {
    if (this.#state === 'down' || this.#state === 'released') return
    this.#state = 'down'
    this.#incoming = undefined
    this.#unwatch()
    this.#cancelIdle?.()
    this.#watcher?.close()
    this.#host.native.close(this.#fd)
    this.#host.linkClosed(this)
    // Each socket hears of it in a turn of its own: what one of them does must not keep it from the others.
    for (const holder of this.#holders) {
      if (holder !== undefined) {
        this.#host.turns.schedule(() => {
          holder.linkDown(code)
        })
      }
    }
    this.#releaseWhenUnheld()
  }

  // What the peer has announced is still delivered, each in a turn of its own; then its connections end.
  #peerIsGone(): void {
    this.#watcher?.close()
    const finish = (): void => {
      if (this.dispatchOne()) this.#host.turns.schedule(finish)
      else this.fail(WSA.WSAECONNRESET)
    }
    this.#host.turns.schedule(finish)
  }

  #releaseWhenUnheld(): void {
    if (this.#held === 0 && this.#state === 'down') this.#release()
  }

  #unwatch(): void {
    if (this.#index < 0) return
    this.#host.turns.poller.unwatch(this.#index)
    this.#host.turns.remove(this.#index)
    this.#index = -1
  }

  /** From inside a down-call: sockets are told in a turn of their own. */
  #failLater(): void {
    this.#host.turns.schedule(() => {
      this.fail(WSA.WSAEFAULT)
    })
  }

  #release(): void {
    this.#state = 'released'
    const { native } = this.#host
    this.#ownWords = undefined
    this.#outgoing = undefined
    this.#peerWords = undefined
    this.#peerStatus = undefined
    if (this.#peerStatusBuffer !== undefined) native.unmap(this.#peerStatusBuffer)
    if (this.#doorbell >= 0) native.close(this.#doorbell)
    this.#own.release(native)
    this.#theirs.release(native)
  }
}

const EAGAIN = 11

function closeAll(native: ShmNative, fds: readonly number[]): void {
  for (const fd of fds) native.close(fd)
}

/** The code for a negative errno of memory and channel calls. */
export function codeOf(errno: number): WsaCode {
  switch (-errno) {
    case 1: // EPERM: seals, size or kind
      return WSA.WSAEFAULT
    case 12: // ENOMEM
    case 28: // ENOSPC
    case 105: // ENOBUFS
      return WSA.WSAENOBUFS
    case 23: // ENFILE
    case 24: // EMFILE
      return WSA.WSAEMFILE
    case 109: // ETOOMANYREFS
      return WSA.WSAEMFILE
    default:
      return WSA.WSAENETDOWN
  }
}

// What a peer may say when it rejects; anything else is noise.
function rejectionCode(code: number): WsaCode {
  const allowed: readonly number[] = [
    WSA.WSAEACCES,
    WSA.WSAVERNOTSUPPORTED,
    WSA.WSAENOBUFS,
    WSA.WSAEMFILE,
    WSA.WSAEPROCLIM,
    WSA.WSAEFAULT,
  ]
  return allowed.includes(code) ? (code as WsaCode) : WSA.WSAENETDOWN
}
