import { WSA, failure, success } from '../../spi/index.ts'
import type { Overlapped, Result, Status, Stream, WsaCode } from '../../spi/index.ts'
import { bytesFrom } from '../../base/chunks.ts'
import { Fifo } from '../../base/fifo.ts'
import type { Completion } from './completion.ts'
import { FD_CLOSE, FD_OOB, FD_READ, MSG_OOB, MSG_PEEK, MSG_WAITALL } from './constants.ts'
import type { SocketEventRecord } from './event-record.ts'
import { FETCHING, sessionOf } from './session-of.ts'

/** An overlapped receive; its buffers are the socket's until it has ended. */
interface Receive {
  readonly buffers: readonly Uint8Array[]
  readonly total: number
  readonly all: boolean
  readonly overlapped: Overlapped
  received: number
}

/** The receiving half of a connected socket: receives are filled in the order of their calls. */
export class Receiving {
  readonly #stream: Stream
  readonly #completion: Completion
  readonly #events: SocketEventRecord
  readonly #waiting = new Fifo<Receive>()
  /** The first of them is being filled by the provider; and how it is to end, where it was given up meanwhile: whatever came, or short of all. */
  #fetching: { givenUp?: WsaCode; unlessAll?: WsaCode } | undefined
  /** Taken from the stream to be looked at, and not read yet. */
  #peeked: Uint8Array = EMPTY
  #ended = false

  constructor(stream: Stream, completion: Completion, events: SocketEventRecord) {
    this.#stream = stream
    this.#completion = completion
    this.#events = events
  }

  /** Bytes that a receive would find; FIONREAD. */
  get available(): number {
    return this.#peeked.length + this.#stream.available
  }

  /** Bytes were looked at and not read: with them unread a close is a reset, whatever the stream knows. */
  get hasPeeked(): boolean {
    return this.#peeked.length > 0
  }

  receive(buffers: readonly Uint8Array[], flags: number, overlapped: Overlapped | undefined): Result<number> {
    if ((flags & ~(MSG_OOB | MSG_PEEK | MSG_WAITALL)) !== 0) return failure(WSA.WSAEOPNOTSUPP)
    const all = (flags & MSG_WAITALL) !== 0
    // Looking, and urgent data, are for now or never.
    if ((flags & (MSG_OOB | MSG_PEEK)) !== 0 && (all || overlapped !== undefined))
      return failure(WSA.WSAEOPNOTSUPP)
    if ((flags & MSG_OOB) !== 0) return this.#receiveUrgent(buffers, (flags & MSG_PEEK) !== 0)
    if (this.#ended) return failure(WSA.WSAESHUTDOWN)
    if ((flags & MSG_PEEK) !== 0) return this.#peek(buffers)
    if (overlapped !== undefined) return this.#post(buffers, all, overlapped)
    if (all) return failure(WSA.WSAEOPNOTSUPP)
    const result = this.#receiveNow(buffers)
    this.#tell()
    return result
  }

  #receiveNow(buffers: readonly Uint8Array[]): Result<number> {
    this.#events.arm(FD_READ)
    if (this.#waiting.length > 0) return failure(WSA.WSAEWOULDBLOCK)
    if (bytesFrom(buffers) === 0) return success(0)
    const read = this.#readInto(buffers, 0)
    return read > 0 ? success(read) : this.#nothing()
  }

  #nothing(): Result<number> {
    const end = this.#stream.readEnd()
    if (end === 'more') return failure(WSA.WSAEWOULDBLOCK)
    return end === 'end' ? success(0) : failure(WSA.WSAECONNRESET)
  }

  #peek(buffers: readonly Uint8Array[]): Result<number> {
    const wanted = bytesFrom(buffers)
    const more = wanted - this.#peeked.length
    const read = more > 0 ? this.#stream.read(more) : undefined
    if (read !== undefined) this.#peeked = Buffer.concat([this.#peeked, read])
    if (this.#peeked.length === 0) return this.#nothing()
    let done = 0
    for (const buffer of buffers) {
      const piece = this.#peeked.subarray(done, done + buffer.length)
      buffer.set(piece)
      done += piece.length
    }
    return success(done)
  }

  #receiveUrgent(buffers: readonly Uint8Array[], peek: boolean): Result<number> {
    const session = sessionOf(this.#stream)
    if (session === undefined) return failure(WSA.WSAEOPNOTSUPP)
    this.#events.arm(FD_OOB)
    const target = buffers.find((buffer) => buffer.length > 0)
    if (target === undefined) return success(0)
    const byte = session.readUrgent(peek)
    if (byte < 0) return failure(-byte as WsaCode)
    target[0] = byte
    return success(1)
  }

  #post(buffers: readonly Uint8Array[], all: boolean, overlapped: Overlapped): Result<number> {
    overlapped.begin()
    this.#waiting.push({ buffers, total: bytesFrom(buffers), all, overlapped, received: 0 })
    this.readable()
    return failure(WSA.WSA_IO_PENDING)
  }

  /** Bytes, the end or a reset can be read; the receives that wait go first. */
  readable(): void {
    for (let receive = this.#waiting.peek(); receive !== undefined; receive = this.#waiting.peek()) {
      const before = receive.received
      if (this.#fetch(receive)) return
      receive.received += this.#readInto(receive.buffers, receive.received)
      const status = this.#endOf(receive)
      // No read goes across the urgent byte, or into a large send: what lies behind them is read next.
      if (status === undefined && receive.received > before) continue
      if (status === undefined) return
      this.#waiting.shift()
      this.#completion.end(receive.overlapped, status, status === 0 ? receive.received : 0)
    }
    this.#tell()
  }

  /** A large send of the peer goes straight into the first buffer with room; false when none comes next. */
  #fetch(receive: Receive): boolean {
    if (this.#fetching !== undefined) return true
    const target = this.#peeked.length > 0 ? undefined : restOf(receive)
    if (target === undefined) return false
    const read = sessionOf(this.#stream)?.fetchInto(target, (bytes) => {
      this.#fetched(receive, bytes)
    })
    if (read === FETCHING) this.#fetching = {}
    else receive.received += read ?? 0
    return read === FETCHING
  }

  #fetched(receive: Receive, bytes: number): void {
    const { givenUp, unlessAll } = this.#fetching ?? {}
    this.#fetching = undefined
    receive.received += bytes
    const status = givenUp ?? (receive.received < receive.total ? unlessAll : undefined)
    if (status !== undefined) {
      this.#waiting.shift()
      this.#completion.end(receive.overlapped, status, 0)
    }
    this.readable()
  }

  // How a receive ends now; undefined while it does not.
  #endOf({ received, total, all }: Receive): Status | undefined {
    if (received > 0 && (!all || received === total)) return 0
    // One for no bytes waits until there are some.
    if (total === 0 && this.available > 0) return 0
    if (this.available > 0) return undefined
    const end = this.#stream.readEnd()
    if (end === 'more') return undefined
    return end === 'end' || received > 0 ? 0 : WSA.WSAECONNRESET
  }

  #tell(): void {
    if (this.#ended || this.#waiting.length > 0 || !this.#events.isSelected) return
    if (this.available > 0) this.#events.record(FD_READ)
    else this.tellClose()
  }

  /** What holds now, for an application that has just asked to be told. */
  tellNow(): void {
    const session = sessionOf(this.#stream)
    if (session !== undefined && session.readUrgent(true) >= 0) this.#events.record(FD_OOB)
    this.#tell()
  }

  /** FD_CLOSE comes after the last byte was read. */
  tellClose(): void {
    const end = this.available > 0 ? 'more' : this.#stream.readEnd()
    if (end !== 'more') this.#events.record(FD_CLOSE, end === 'end' ? 0 : WSA.WSAECONNRESET)
  }

  urgent(): void {
    this.#events.record(FD_OOB)
  }

  #readInto(buffers: readonly Uint8Array[], from: number): number {
    let skip = from
    let done = 0
    for (const buffer of buffers) {
      const at = Math.min(skip, buffer.length)
      skip -= at
      const length = buffer.length - at
      if (length === 0) continue
      const read = this.#take(buffer, at, length)
      done += read
      if (read < length) break
    }
    return done
  }

  #take(target: Uint8Array, to: number, length: number): number {
    const piece = this.#peeked.subarray(0, length)
    target.set(piece, to)
    this.#peeked = this.#peeked.subarray(piece.length)
    return piece.length + this.#stream.readInto(target, to + piece.length, length - piece.length)
  }

  /** Nothing is received any more. */
  end(): void {
    this.#ended = true
    this.cancelAll(WSA.WSAESHUTDOWN)
  }

  /** Takes one receive back; false when it is not waiting. */
  cancel(overlapped: Overlapped): boolean {
    const first = this.#waiting.peek()
    if (this.#fetching !== undefined && first?.overlapped === overlapped) {
      // What is on its way comes first, and ends it; one for more than that is taken back then.
      if (first.all) this.#fetching.unlessAll = WSA.WSA_OPERATION_ABORTED
      return true
    }
    if (this.#waiting.take((receive) => receive.overlapped === overlapped) === undefined) return false
    this.#completion.end(overlapped, WSA.WSA_OPERATION_ABORTED, 0)
    return true
  }

  cancelAll(status: WsaCode): void {
    const filled = this.#fetching === undefined ? undefined : this.#waiting.shift()
    for (let receive = this.#waiting.shift(); receive !== undefined; receive = this.#waiting.shift()) {
      this.#completion.end(receive.overlapped, status, 0)
    }
    if (this.#fetching === undefined || filled === undefined) return
    // Its buffer is the provider's until the bytes are there.
    this.#fetching.givenUp = status
    this.#waiting.push(filled)
  }
}

const EMPTY = new Uint8Array()

/** What is left of the first buffer with room. */
function restOf({ buffers, received }: Receive): Uint8Array | undefined {
  let skip = received
  for (const buffer of buffers) {
    if (skip < buffer.length) return buffer.subarray(skip)
    skip -= buffer.length
  }
  return undefined
}
