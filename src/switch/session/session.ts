import { Overlapped, SOCKET_OPTIONS, WSA } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  ProviderLimits,
  SanSocket,
  SocketOption,
  Status,
  Stream,
  StreamOwner,
  WsaCode,
} from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import { BlockSender } from './block-sender.ts'
import type { LargeDone } from './block-sender.ts'
import { FEATURE_MOVE, FEATURE_RDMA_READ } from './hello.ts'
import type { Hello } from './hello.ts'
import * as layout from './layout.ts'
import { Mover } from './mover.ts'
import type { Suspended } from './mover.ts'
import { PACKED_VERSION, encodePacked } from './packed.ts'
import type { PackedSession, Unread } from './packed.ts'
import { Receiver } from './receiver.ts'
import { Sender } from './sender.ts'
import { next } from './session-state.ts'
import type { SessionEvent, SessionState } from './session-state.ts'

/** Whoever uses a session hears from it through these, never from inside a call into it. */
export interface SessionOwner extends StreamOwner {
  /** Acceptor only: the initiator goes through with the connection. */
  agreed?(): void
  /** The peer has marked a byte as urgent; {@link StreamOwner.readable} follows. */
  urgent?(): void
}

export interface SessionParts {
  readonly socket: SanSocket
  readonly memory: ConnectionMemory
  readonly limits: ProviderLimits
  readonly peerHello: Hello
  readonly role: 'initiator' | 'acceptor'
  /** Where both streams begin, for tests: cursors wrap at 2³², and nobody wants to send so much. 0 unless said otherwise. */
  readonly firstCursor?: number
  /** What another process has packed: the session goes on where it stood. */
  readonly resumed?: PackedSession
}

/**
 * One connection over a SAN: a byte stream each way, half-close and reset, with the meaning TCP gives them on Linux.
 *
 * @source WSD §3.9, §3.12, §3.13, §3.20; docs/session-protocol.md
 */
export class Session implements Stream {
  readonly socket: SanSocket
  /** What is taken is in the peer's hands. */
  readonly unsent = 0
  #parts: SessionParts
  #sender: Sender
  #receiver: Receiver
  /** Made when either side wants to move to another process. */
  #mover: Mover | undefined
  /** Made for the first large send. */
  #blocks: BlockSender | undefined
  readonly #receive = new Overlapped({
    completed: (status) => {
      this.#received(status)
    },
  })
  #owner: SessionOwner | undefined
  #state: SessionState = 'negotiating'
  /** What a write can take without anybody reading. */
  readonly #sendBufferBytes: number
  #peerGone = false
  /** Nobody knows what became of the peer. */
  #lost = false
  #blocked = false
  /** A write went to a peer that had closed: the next one fails, as after the reset it would provoke. */
  #wroteIntoClosed = false
  #bytesRead = 0
  #bytesWritten = 0

  constructor(parts: SessionParts) {
    this.socket = parts.socket
    const maxRingBytes = Math.min(parts.limits.maxMemoryBytes, parts.peerHello.maxRingBytes)
    this.#sendBufferBytes = Math.max(maxRingBytes, parts.limits.regionBytes)
    this.#parts = parts
    const { resumed, firstCursor = 0 } = parts
    this.#sender = this.#newSender(resumed?.sent ?? firstCursor)
    this.#receiver = this.#newReceiver(resumed?.received ?? firstCursor)
    this.#post()
    if (resumed !== undefined) {
      this.#resume(resumed)
    } else if (parts.role === 'initiator') {
      this.#sender.raise(layout.FLAG_OPEN)
      this.#move('agreed')
    }
  }

  #newSender(firstCursor: number): Sender {
    const { socket, memory, limits, peerHello } = this.#parts
    const maxRingBytes = Math.min(limits.maxMemoryBytes, peerHello.maxRingBytes)
    return new Sender(socket, memory, maxRingBytes, limits.pieceBytes, firstCursor)
  }

  #newReceiver(firstCursor: number, memory = this.#parts.memory, before?: Unread): Receiver {
    const { socket, limits, peerHello } = this.#parts
    const { maxRingBytes } = peerHello
    return new Receiver({
      socket,
      memory,
      maxRingBytes,
      firstCursor,
      rdma: limits.rdma,
      onFetched: this.#fetched,
      before,
    })
  }

  get state(): SessionState {
    return this.#state
  }
  get bytesRead(): number {
    return this.#bytesRead
  }
  get bytesWritten(): number {
    return this.#bytesWritten
  }

  /** Who hears of what happens. What has happened before is told by a later event or found by asking. */
  attach(owner: SessionOwner): void {
    this.#owner = owner
  }

  #move(event: SessionEvent): void {
    const to = next(this.#state, event)
    invariant(to, `${event} is legal in session state ${this.#state}`)
    this.#state = to
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  /**
   * Takes what fits of `chunks`, from byte `offset` of the one at `index` on. Fewer bytes than offered: the writer is
   * blocked, and {@link SessionOwner.writable} follows.
   *
   * @returns bytes taken; or, negative, `WSAESHUTDOWN` after the end was sent here or the peer has closed,
   *   `WSAECONNRESET` after a reset.
   */
  write(chunks: readonly Uint8Array[], index = 0, offset = 0): number {
    const refused = this.#refusal(chunks, index, offset)
    if (refused !== undefined) return refused
    return this.#wrote(this.#sender.write(chunks, index, offset), remaining(chunks, index, offset))
  }

  /**
   * As {@link write} of one chunk, whose last byte is urgent. What is left of a write that was cut short must be sent so,
   * too: until its last byte is taken nothing is marked.
   *
   * @source MSG_OOB; WSD-URG-1, -2, -5
   */
  sendUrgent(bytes: Uint8Array): number {
    const refused = this.#refusal([bytes], 0, 0)
    return refused ?? this.#wrote(this.#sender.writeUrgent(bytes), bytes.length)
  }

  /**
   * Sends `bytes` after everything written before, without a copy of ours: the peer reads them from where they are, which
   * belongs to the session until `done` is called: with 0 when the peer has read all of it, `WSAECONNRESET` when it is gone,
   * `WSA_OPERATION_ABORTED` after a close or reset here (which is a reset to the peer, who misses the rest). What is written
   * meanwhile comes behind it.
   *
   * @returns 0, and `done` follows in a turn of its own. Anything else, and nothing has happened: `WSAEOPNOTSUPP` where the
   *   providers of both ends cannot do it or {@link largeThresholdBytes} is not exceeded, `WSAEALREADY` while another one, or a
   *   hand-over, is under way, `WSAENOBUFS` when the memory cannot be registered, or why {@link write} would fail. {@link write} carries the
   *   bytes then.
   * @source WSD-LARGE-1, -2, -1E; WSD-XFER-13
   */
  sendLarge(bytes: Uint8Array, done: LargeDone): Status {
    const { socket, memory, limits, peerHello } = this.#parts
    if (this.#state !== 'open' && this.#state !== 'halfOpen') {
      return this.#state === 'reset' ? WSA.WSAECONNRESET : WSA.WSAESHUTDOWN
    }
    if (this.#peerGone || (this.#receiver.flags & (layout.FLAG_ABORT | layout.FLAG_CLOSED)) !== 0) return WSA.WSAECONNRESET
    if (!this.#isRunning) return WSA.WSAEALREADY
    const peerReads = (peerHello.features & FEATURE_RDMA_READ) !== 0
    this.#blocks ??= new BlockSender(socket, memory, peerReads ? limits.rdma : undefined)
    const status = this.#blocks.send(bytes, this.#sender.produced, done)
    if (status !== 0) return status
    this.#bytesWritten += bytes.length
    this.#sender.announce()
    return 0
  }

  /** Up to this many bytes are always written; infinitely many where large sends cannot be. */
  get largeThresholdBytes(): number {
    const { limits, peerHello } = this.#parts
    const possible = (peerHello.features & FEATURE_RDMA_READ) !== 0 ? limits.rdma : undefined
    return possible?.thresholdBytes ?? Infinity
  }

  /** Why nothing can be written now, or what a write to a closed peer answers. */
  #refusal(chunks: readonly Uint8Array[], index: number, offset: number): number | undefined {
    if (this.#state !== 'open' && this.#state !== 'halfOpen') {
      return this.#state === 'reset' ? -WSA.WSAECONNRESET : -WSA.WSAESHUTDOWN
    }
    const flags = this.#receiver.flags
    const over = this.#peerGone || (flags & (layout.FLAG_ABORT | layout.FLAG_CLOSED)) !== 0
    if (over) return this.#writeToClosed(flags, remaining(chunks, index, offset))
    if (this.#isRunning) return undefined
    this.#blocked = true
    return 0
  }

  #wrote(taken: number, wanted: number): number {
    if (this.#sender.broken) return this.#violated()
    this.#blocked = taken < wanted
    this.#bytesWritten += taken
    return taken
  }

  // The kernel takes the first write after the peer has closed, as far as its buffer goes, and fails what comes after the
  // reset that it provokes.
  #writeToClosed(flags: number, length: number): number {
    if ((flags & layout.FLAG_ABORT) !== 0 || this.#died(flags)) {
      // A reset after the peer's end is a broken pipe, one out of the blue is a reset.
      return (flags & layout.FLAG_END) !== 0 ? -WSA.WSAESHUTDOWN : -WSA.WSAECONNRESET
    }
    if (this.#wroteIntoClosed || this.#blocked || length > this.#sendBufferBytes) return -WSA.WSAESHUTDOWN
    this.#wroteIntoClosed = true
    this.#bytesWritten += length
    return length
  }

  /** Sends the end of the stream after everything written. Idempotent. */
  shutdown(): void {
    if (this.#state !== 'open' && this.#state !== 'halfOpen') return
    this.#sender.raise(layout.FLAG_END)
    this.#move('localEnd')
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  /** Bytes that can be read now. */
  get available(): number {
    return this.#readsPossible ? this.#receiver.available : 0
  }

  /** A new buffer of at most `maxBytes` that the caller owns, or undefined when nothing is there. */
  read(maxBytes: number): Buffer | undefined {
    const chunk = this.#readsPossible ? this.#receiver.read(maxBytes) : undefined
    if (chunk !== undefined) this.#bytesRead += chunk.length
    return chunk
  }

  /** Copies at most `maxBytes` into the caller's own buffer at `to`; returns how many bytes. */
  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    const length = this.#readsPossible ? this.#receiver.readInto(target, to, maxBytes) : 0
    this.#bytesRead += length
    return length
  }

  /** True: urgent bytes are part of the stream; the option SO_OOBINLINE. */
  get urgentInline(): boolean {
    return this.#receiver.urgentInline
  }
  set urgentInline(inline: boolean) {
    this.#receiver.urgentInline = inline
  }

  /** True when the stream has been read up to the urgent byte; SIOCATMARK. */
  get atMark(): boolean {
    return this.#readsPossible && this.#receiver.atMark
  }

  /**
   * The urgent byte, out of line: before the bytes that precede it, until a read passes it.
   *
   * @param peek It can be read again.
   * @returns 0 to 255; or, negative, `WSAEINVAL` when there is none, it was read, or it is inline.
   * @source recv with MSG_OOB; WSD-URG-3
   */
  readUrgent(peek = false): number {
    return this.#readsPossible ? this.#receiver.takeUrgent(peek) : -WSA.WSAEINVAL
  }

  get #readsPossible(): boolean {
    return this.#state === 'open' || this.#state === 'draining'
  }

  /**
   * What follows when nothing more can be read: `more` may come, the peer's `end` was reached, or the connection was
   * `reset`. Ask after {@link read} found nothing.
   */
  readEnd(): 'more' | 'end' | 'reset' {
    if (this.#state === 'halfOpen' || this.#state === 'finished') return 'end'
    if (this.#state !== 'open' && this.#state !== 'draining') return 'reset'
    // Gone first, then flags, then bytes: each may only have been set after the next.
    const gone = this.#peerGone
    const flags = this.#receiver.flags
    if (this.#receiver.available > 0) return 'more'
    if (this.#receiver.broken || this.#sender.broken) this.#violated()
    else if ((flags & layout.FLAG_ABORT) !== 0 || (gone && (this.#died(flags) || this.#mover?.standsStill === true))) this.#move('reset')
    else if (gone || (flags & layout.FLAG_END) !== 0) this.#move('remoteEnd')
    else return 'more'
    return this.readEnd()
  }

  get aborted(): boolean {
    if (this.#state === 'reset') return true
    const gone = this.#peerGone
    const flags = this.#receiver.flags
    return (flags & layout.FLAG_ABORT) !== 0 || (gone && this.#died(flags))
  }

  /** What only concerns TCP's packets is as good as set. */
  setOption(option: SocketOption, value: number): Status {
    return SOCKET_OPTIONS[option] === 'provider' ? this.socket.setSockOpt(option, value) : 0
  }

  // The kernel closes the sockets of a process that dies: with a reset where it had bytes unread, else with an end. Where the
  // transport failed, an end would be a guess.
  #died(flags: number): boolean {
    if (!this.#peerGone || (flags & layout.FLAG_CLOSED) !== 0) return false
    return this.#lost || this.#sender.unread || this.#blocks?.pending === true
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Closes. Bytes left unread make it a reset, as closing a TCP socket does. */
  close(): void {
    if (this.#state === 'closed') return
    const unread = this.#readsPossible && this.#receiver.available > 0
    if (unread) this.reset()
    else this.#end(layout.FLAG_END | layout.FLAG_CLOSED)
  }

  /** Ends the connection abruptly; the peer reads `WSAECONNRESET` after what it was sent before. */
  reset(): void {
    if (this.#state !== 'closed') this.#end(layout.FLAG_ABORT | layout.FLAG_CLOSED)
  }

  #end(flags: number): void {
    this.#blocked = false
    // A large send that is cut off leaves a gap: the peer must not take it for the end.
    const cut = this.#blocks?.pending === true ? layout.FLAG_ABORT : 0
    this.#sender.raise(cut === 0 ? flags : (flags & ~layout.FLAG_END) | cut)
    this.#move('close')
    this.socket.close()
  }

  // The peer broke the protocol: this connection ends, and no other.
  #violated(): number {
    this.#sender.raise(layout.FLAG_ABORT)
    if (this.#state !== 'reset') this.#move('reset')
    return -WSA.WSAECONNRESET
  }

  // --- moving to another process -------------------------------------------------------------------------------------

  /**
   * Hands this end of the connection to process `processId`, with everything that was not read yet. The peer stands still
   * meanwhile; reading goes on until `done` is called, in a turn of its own: with what {@link Switch.resume} of that process
   * makes the session from, and then this one is closed; or with why the connection goes on here.
   *
   * @returns 0, and `done` follows. Anything else, and nothing has happened: `WSAEOPNOTSUPP` where a provider cannot do it,
   *   `WSAEALREADY` while it is under way, `WSAEWOULDBLOCK` while a large send of either side is, `WSAENOTCONN`, `WSAECONNRESET`.
   * @source WSD-DUP-8 to -18
   */
  suspend(processId: number, done: Suspended): Status {
    if (this.#state === 'negotiating' || this.#state === 'closed') return WSA.WSAENOTCONN
    if (this.#state === 'reset' || this.#peerGone) return WSA.WSAECONNRESET
    const { limits, peerHello } = this.#parts
    if (limits.duplicates !== true || (peerHello.features & FEATURE_MOVE) === 0) return WSA.WSAEOPNOTSUPP
    if (this.#mover?.isWanted === true) return WSA.WSAEALREADY
    if (this.#isBusy) return WSA.WSAEWOULDBLOCK
    this.#mover ??= this.#newMover('running')
    this.#mover.ask(processId, done)
    return 0
  }

  /** True while either side is on its way to another process: nothing is written meanwhile. */
  get isMoving(): boolean {
    return !this.#isRunning
  }

  get #isRunning(): boolean {
    return this.#mover === undefined || this.#mover.state === 'running'
  }

  get #isBusy(): boolean {
    return this.#blocks?.pending === true || this.#receiver.hasBlock
  }

  /** Lets the mover look; false when nobody is to be told anything now. */
  #stillRuns(mover: Mover): boolean {
    const before = mover.state
    mover.look()
    if (before === 'running' || this.#peerGone) return this.state !== 'closed'
    // What it went over to is told by `running`.
    return false
  }

  #newMover(start: 'running' | 'resuming'): Mover {
    const { socket, role } = this.#parts
    return new Mover(
      {
        socket,
        role,
        halves: () => ({ sender: this.#sender, receiver: this.#receiver }),
        receiverOver: (firstCursor, memory, before) => this.#newReceiver(firstCursor, memory, before),
        read: (receiver) => {
          this.#receiver = receiver
        },
        rejoin: (memory) => {
          this.#parts = { ...this.#parts, memory }
          this.#blocks = undefined
          this.#sender = this.#newSender(this.#sender.produced)
          return this.#sender
        },
        isBusy: () => this.#isBusy,
        pack: (duplicate, unread) => this.#pack(duplicate, unread),
        running: () => {
          if (this.#readsPossible) this.#owner?.readable()
          if (this.#mayWrite()) this.#owner?.writable()
        },
        violated: () => {
          this.#violated()
        },
      },
      start,
    )
  }

  #pack(duplicate: Uint8Array, unread: Unread): Uint8Array {
    const { role, peerHello } = this.#parts
    const packed = encodePacked({
      version: PACKED_VERSION,
      duplicate,
      role,
      state: this.#state as PackedSession['state'],
      peerHello,
      sent: this.#sender.produced,
      received: this.#receiver.taken,
      bytesRead: this.#bytesRead,
      bytesWritten: this.#bytesWritten,
      unread,
    })
    this.#move('close')
    this.socket.close()
    return packed
  }

  /** In the next process: stands still until the peer has found us. */
  #resume({ state, bytesRead, bytesWritten, unread }: PackedSession): void {
    this.#state = state
    this.#bytesRead = bytesRead
    this.#bytesWritten = bytesWritten
    this.#mover = this.#newMover('resuming')
    this.#mover.putBy(unread, state === 'halfOpen' || state === 'finished' ? layout.FLAG_END : 0)
    const isShut = state === 'draining' || state === 'finished'
    this.#sender.notice(layout.FLAG_OPEN | layout.FLAG_RESUMED | (isShut ? layout.FLAG_END : 0), 0)
  }

  // --- what the provider tells --------------------------------------------------------------------------------------

  /** The posted receive has completed: the peer signalled, or is gone. */
  #received(status: Status): void {
    if (this.#blocks !== undefined) this.#settleLarge(status)
    if (this.#mover !== undefined && (status !== 0 || this.#state === 'closed')) {
      this.#mover.fail(this.#state === 'closed' ? WSA.WSA_OPERATION_ABORTED : WSA.WSAECONNRESET)
    }
    if (this.#state === 'closed') return
    if (status === 0) this.#post()
    else this.#peerGone = true
    // Aborted without a close of ours: the provider was shut down.
    this.#lost ||= status === WSA.WSAECONNABORTED || status === WSA.WSA_OPERATION_ABORTED
    if (this.#state === 'negotiating') {
      // Whoever takes the connection looks for itself what came along, in a turn of its own.
      this.#negotiated()
      return
    }
    if (this.#readsPossible) {
      this.#receiver.credit()
      if (this.#receiver.takeNews()) this.#tellNews()
    }
    if (this.#mover !== undefined && !this.#stillRuns(this.#mover)) return
    // Reading first, as the kernel's events come; either may close the session.
    if (this.#readsPossible) this.#owner?.readable()
    if (this.#blocked && this.#mayWrite()) this.#owner?.writable()
  }

  #tellNews(): void {
    if (this.#receiver.tellUrgent()) this.#owner?.urgent?.()
    if ((this.#receiver.flags & layout.FLAG_SUSPEND) !== 0) this.#mover ??= this.#newMover('running')
  }

  #settleLarge(status: Status): void {
    if (this.#state === 'closed') this.#blocks?.fail(WSA.WSA_OPERATION_ABORTED)
    else if (status === 0) this.#blocks?.settle()
    else this.#blocks?.fail(WSA.WSAECONNRESET)
  }

  readonly #fetched = (): void => {
    if (this.#readsPossible) this.#owner?.readable()
  }

  /**
   * Acceptor: looks whether the initiator goes through with it, without waiting to be told.
   *
   * @returns false when it has not said so yet.
   */
  reconsider(): boolean {
    return this.#state === 'negotiating' ? this.#negotiated() : true
  }

  #negotiated(): boolean {
    const flags = this.#receiver.flags
    if ((flags & layout.FLAG_OPEN) !== 0) {
      this.#move('agreed')
      this.#owner?.agreed?.()
      return true
    }
    if (this.#peerGone) {
      this.#move('reset')
      this.#owner?.readable()
    }
    return false
  }

  #mayWrite(): boolean {
    if (this.#state !== 'open' && this.#state !== 'halfOpen') return true
    const over = layout.FLAG_ABORT | layout.FLAG_CLOSED
    return this.#peerGone || (this.#receiver.flags & over) !== 0 || this.#sender.hasRoom || this.#sender.broken
  }

  #post(): void {
    const status: Status | WsaCode = this.socket.receive(this.#receive)
    if (status === WSA.WSA_IO_PENDING) return
    this.#peerGone = true
    // Anything but "gone" is the provider's own trouble: how the stream ended nobody knows.
    this.#lost ||= status !== WSA.WSAECONNRESET
  }
}

function remaining(chunks: readonly Uint8Array[], index: number, offset: number): number {
  let bytes = -offset
  for (let i = index; i < chunks.length; i++) bytes += chunks[i]?.length ?? 0
  return bytes
}
