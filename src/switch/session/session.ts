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
import { FEATURE_RDMA_READ } from './hello.ts'
import type { Hello } from './hello.ts'
import * as layout from './layout.ts'
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
  readonly #parts: SessionParts
  readonly #sender: Sender
  readonly #receiver: Receiver
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
    const { socket, memory, limits, peerHello, firstCursor = 0 } = parts
    this.#parts = parts
    this.#sender = new Sender(socket, memory, maxRingBytes, limits.pieceBytes, firstCursor)
    this.#receiver = new Receiver({
      socket,
      memory,
      maxRingBytes: peerHello.maxRingBytes,
      firstCursor,
      rdma: limits.rdma,
      onFetched: this.#fetched,
    })
    this.#post()
    if (parts.role === 'initiator') {
      this.#sender.raise(layout.FLAG_OPEN)
      this.#move('agreed')
    }
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
   *   providers of both ends cannot do it or {@link largeThresholdBytes} is not exceeded, `WSAEALREADY` while another one is
   *   under way, `WSAENOBUFS` when the memory cannot be registered, or why {@link write} would fail. {@link write} carries the
   *   bytes then.
   * @source WSD-LARGE-1, -2, -1E; WSD-XFER-13
   */
  sendLarge(bytes: Uint8Array, done: LargeDone): Status {
    const { socket, memory, limits, peerHello } = this.#parts
    if (this.#state !== 'open' && this.#state !== 'halfOpen') {
      return this.#state === 'reset' ? WSA.WSAECONNRESET : WSA.WSAESHUTDOWN
    }
    if (this.#peerGone || (this.#receiver.flags & (layout.FLAG_ABORT | layout.FLAG_CLOSED)) !== 0) return WSA.WSAECONNRESET
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
    return over ? this.#writeToClosed(flags, remaining(chunks, index, offset)) : undefined
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
    else if ((flags & layout.FLAG_ABORT) !== 0 || (gone && this.#died(flags))) this.#move('reset')
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

  // --- what the provider tells --------------------------------------------------------------------------------------

  /** The posted receive has completed: the peer signalled, or is gone. */
  #received(status: Status): void {
    if (this.#blocks !== undefined) this.#settleLarge(status)
    if (this.#state === 'closed') return
    if (status === 0) this.#post()
    else this.#peerGone = true
    this.#lost ||= status === WSA.WSAECONNABORTED
    if (this.#state === 'negotiating') {
      // Whoever takes the connection looks for itself what came along, in a turn of its own.
      this.#negotiated()
      return
    }
    if (this.#readsPossible) {
      this.#receiver.credit()
      if (this.#receiver.tellUrgent()) this.#owner?.urgent?.()
    }
    // Reading first, as the kernel's events come; either may close the session.
    if (this.#readsPossible) this.#owner?.readable()
    if (this.#blocked && this.#mayWrite()) this.#owner?.writable()
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
    if (status !== WSA.WSA_IO_PENDING) this.#peerGone = true
  }
}

function remaining(chunks: readonly Uint8Array[], index: number, offset: number): number {
  let bytes = -offset
  for (let i = index; i < chunks.length; i++) bytes += chunks[i]?.length ?? 0
  return bytes
}
