import { Overlapped, SOCKET_OPTIONS, WSA } from '../../spi/index.ts'
import type { SanSocket, SocketOption, Status, Stream, StreamOwner } from '../../spi/index.ts'
import type { LargeDone } from './block-sender.ts'
import { Halves } from './halves.ts'
import type { Orphan, SessionParts } from './halves.ts'
import { FEATURE_MOVE } from './hello.ts'
import * as layout from './layout.ts'
import { Life } from './life.ts'
import { Mover } from './mover.ts'
import type { Suspended } from './mover.ts'
import type { PeerEvent } from './peer-state.ts'
import type { SessionState } from './session-state.ts'
import { Writing } from './writing.ts'

/** Whoever uses a session hears from it through these, never from inside a call into it. */
export interface SessionOwner extends StreamOwner {
  /** Acceptor only: the initiator goes through with the connection. */
  agreed?(): void
  /** The peer has marked a byte as urgent; {@link StreamOwner.readable} follows. */
  urgent?(): void
}

/**
 * One connection over a SAN: a byte stream each way, half-close and reset, with the meaning TCP gives them on Linux. What
 * has no comment here is {@link Stream}'s.
 *
 * @source WSD §3.9, §3.12, §3.13, §3.20; docs/session-protocol.md
 */
export class Session implements Stream, Orphan {
  readonly socket: SanSocket
  /** What is taken is in the peer's hands. */
  readonly unsent = 0
  readonly #parts: SessionParts
  readonly #halves: Halves
  readonly #life: Life
  readonly #writing: Writing
  /** Made when either side wants to move to another process. */
  #mover: Mover | undefined
  readonly #receive = new Overlapped({
    completed: (status) => {
      this.#received(status)
    },
  })
  #owner: SessionOwner | undefined

  constructor(parts: SessionParts) {
    const { socket, role, resumed } = parts
    this.socket = socket
    this.#parts = parts
    this.#halves = new Halves(parts, () => {
      if (this.#life.canRead) this.#owner?.readable()
    })
    this.#life = new Life(socket, this.#halves, () => {
      parts.orphans?.delete(this)
    })
    this.#writing = new Writing(this.#life, this.#halves)
    this.#post()
    if (resumed !== undefined) {
      this.#movable().resume(resumed)
    } else if (role === 'initiator') {
      this.#halves.sender.raise(layout.FLAG_OPEN)
      this.#life.move('agreed')
    }
  }

  get state(): SessionState {
    return this.#life.state
  }
  get bytesRead(): number {
    return this.#life.bytesRead
  }
  get bytesWritten(): number {
    return this.#life.bytesWritten
  }

  attach(owner: SessionOwner): void {
    this.#owner = owner
  }

  /** What only concerns TCP's packets is as good as set. */
  setOption(option: SocketOption, value: number): Status {
    return SOCKET_OPTIONS[option] === 'provider' ? this.socket.setSockOpt(option, value) : 0
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  write(chunks: readonly Uint8Array[], index = 0, offset = 0): number {
    return this.#writing.write(chunks, index, offset)
  }

  /**
   * As {@link write} of one chunk, whose last byte is urgent. What is left of a write that was cut short must be sent so,
   * too: until its last byte is taken nothing is marked.
   *
   * @source MSG_OOB; WSD-URG-1, -2, -5
   */
  sendUrgent(bytes: Uint8Array): number {
    return this.#writing.writeUrgent(bytes)
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
    return this.#writing.sendLarge(bytes, done)
  }

  /** Up to this many bytes are always written; infinitely many where large sends cannot be. */
  get largeThresholdBytes(): number {
    return this.#halves.large?.thresholdBytes ?? Infinity
  }

  /** The most that one large send takes; 0 where there are none. */
  get largeMaxBytes(): number {
    return this.#halves.large?.maxBytes ?? 0
  }

  shutdown(): void {
    this.#writing.shutdown()
  }

  // --- receiving ----------------------------------------------------------------------------------------------------

  get available(): number {
    return this.#life.canRead ? this.#halves.receiver.available : 0
  }

  read(maxBytes: number): Buffer | undefined {
    const chunk = this.#life.canRead ? this.#halves.receiver.read(maxBytes) : undefined
    if (chunk !== undefined) this.#life.bytesRead += chunk.length
    return chunk
  }

  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    const length = this.#life.canRead ? this.#halves.receiver.readInto(target, to, maxBytes) : 0
    this.#life.bytesRead += length
    return length
  }

  /**
   * Where a large block comes next: lets the provider read it straight into `target`, which is the session's until `done` is called
   * with how many bytes there are; 0 when it came to nothing.
   *
   * @returns how many bytes were read at once, `FETCHING`, or 0 where {@link readInto} is to be asked.
   */
  fetchInto(target: Uint8Array, done: (bytes: number) => void): number {
    if (!this.#life.canRead) return 0
    const length = this.#halves.receiver.fetch(target, (bytes) => {
      this.#life.bytesRead += bytes
      done(bytes)
    })
    if (length > 0) this.#life.bytesRead += length
    return length
  }

  /** True: urgent bytes are part of the stream; the option SO_OOBINLINE. */
  get urgentInline(): boolean {
    return this.#halves.receiver.urgentInline
  }
  set urgentInline(inline: boolean) {
    this.#halves.receiver.urgentInline = inline
  }

  /** True when the stream has been read up to the urgent byte; SIOCATMARK. */
  get atMark(): boolean {
    return this.#life.canRead && this.#halves.receiver.atMark
  }

  /**
   * The urgent byte, out of line: before the bytes that precede it, until a read passes it.
   *
   * @param peek It can be read again.
   * @returns 0 to 255; or, negative, `WSAEINVAL` when there is none, it was read, or it is inline.
   * @source recv with MSG_OOB; WSD-URG-3
   */
  readUrgent(peek = false): number {
    return this.#life.canRead ? this.#halves.receiver.takeUrgent(peek) : -WSA.WSAEINVAL
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  readEnd(): 'more' | 'end' | 'reset' {
    return this.#life.readEnd()
  }

  get aborted(): boolean {
    return this.#life.aborted
  }

  close(): void {
    this.#life.close()
  }

  reset(): void {
    this.#life.reset()
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
    const { state, isPeerThere } = this.#life
    if (state === 'negotiating' || state === 'closed') return WSA.WSAENOTCONN
    if (state === 'reset' || !isPeerThere) return WSA.WSAECONNRESET
    const { limits, peerHello } = this.#parts
    if (limits.duplicates !== true || (peerHello.features & FEATURE_MOVE) === 0) return WSA.WSAEOPNOTSUPP
    if (this.#mover?.isWanted === true) return WSA.WSAEALREADY
    if (this.#halves.isBusy) return WSA.WSAEWOULDBLOCK
    this.#movable().ask(processId, done)
    return 0
  }

  /**
   * Thinks better of {@link suspend}: the connection goes on here, and `done` is not called. False when it is too late.
   */
  withdraw(): boolean {
    return this.#mover?.withdraw() ?? false
  }

  /** True while either side is on its way to another process: nothing is written meanwhile. */
  get isMoving(): boolean {
    return this.#life.moving !== 'running'
  }

  #movable(): Mover {
    return (this.#mover ??= new Mover(this.#parts, this.#life, this.#halves, {
      running: () => {
        if (this.#life.canRead) this.#owner?.readable()
        if (this.#writing.mayGoOn) this.#owner?.writable()
      },
      broken: () => {
        this.#owner?.readable()
        if (this.#writing.isWaitedFor) this.#owner?.writable()
      },
    }))
  }

  // --- what the provider tells --------------------------------------------------------------------------------------

  /** The posted receive has completed: the peer signalled, or is gone. */
  #received(status: Status): void {
    this.#settle(status)
    const { state } = this.#life
    if (state === 'closed') {
      if (this.#life.moving === 'closing') this.#receivedLate(status)
      return
    }
    if (status === WSA.WSA_OPERATION_ABORTED) {
      this.providerEnded()
      return
    }
    if (status === 0) this.#post()
    else this.#lose(status === WSA.WSAECONNABORTED ? 'vanished' : 'left')
    if (state === 'negotiating') {
      // Whoever takes the connection looks for itself what came along, in a turn of its own.
      this.reconsider()
      return
    }
    if (this.#life.canRead) {
      this.#halves.receiver.credit()
      if (this.#halves.receiver.takeNews()) this.#tellNews()
    }
    if (this.#mover?.look() === false) return
    // Reading first, as the kernel's events come; either may close the session.
    if (this.#life.canRead) this.#owner?.readable()
    if (this.#writing.isWaitedFor) this.#owner?.writable()
  }

  // Closed while it stood still: the socket stays until whoever goes on with the other end has heard of it.
  #receivedLate(status: Status): void {
    if (status === 0) this.#post()
    else this.#life.hear('left')
    this.#mover?.look()
  }

  /** Without a close of ours: the provider was shut down, and takes the memory away. */
  providerEnded(): void {
    this.#life.leave()
    this.#owner?.readable()
    this.#owner?.writable()
  }

  /** Ends what waits for the peer, where it has done its part, or can no more. */
  #settle(status: Status): void {
    const { blocks } = this.#halves
    const isClosed = this.#life.state === 'closed'
    if (status === 0 && !isClosed) {
      blocks?.settle()
      return
    }
    const code = isClosed ? WSA.WSA_OPERATION_ABORTED : WSA.WSAECONNRESET
    blocks?.fail(code)
    this.#mover?.fail(code)
  }

  #tellNews(): void {
    const { receiver } = this.#halves
    if (receiver.tellUrgent()) this.#owner?.urgent?.()
    if ((receiver.flags & layout.FLAG_SUSPEND) !== 0) this.#movable()
  }

  /**
   * Acceptor: looks whether the initiator goes through with it, without waiting to be told.
   *
   * @returns false when it has not said so yet.
   */
  reconsider(): boolean {
    if (this.#life.state !== 'negotiating') return true
    if ((this.#halves.receiver.flags & layout.FLAG_OPEN) !== 0) {
      this.#life.move('agreed')
      this.#halves.sender.open()
      this.#owner?.agreed?.()
      return true
    }
    if (!this.#life.isPeerThere) {
      this.#life.move('reset')
      this.#owner?.readable()
    }
    return false
  }

  #post(): void {
    const status = this.socket.receive(this.#receive)
    if (status === WSA.WSA_IO_PENDING) return
    // Anything but "gone" is the provider's own trouble: how the stream ended nobody knows.
    this.#lose(status === WSA.WSAECONNRESET ? 'left' : 'vanished')
    this.#settle(status)
  }

  // Nothing is posted any more that the provider could complete.
  #lose(event: PeerEvent): void {
    this.#life.hear(event)
    if (this.#life.state !== 'closed') this.#parts.orphans?.add(this)
  }
}
