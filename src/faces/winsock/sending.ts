import { WSA, failure, success } from '../../spi/index.ts'
import type { Overlapped, Result, Stream, WsaCode } from '../../spi/index.ts'
import { writeFailure } from '../../spi/stream.ts'
import type { Cancel } from '../../base/clock.ts'
import { advance, bytesFrom } from '../../base/chunks.ts'
import type { Progress } from '../../base/chunks.ts'
import { Fifo } from '../../base/fifo.ts'
import { FD_WRITE, MSG_OOB } from './constants.ts'
import type { SocketEventRecord } from './event-record.ts'
import type { Home } from './home.ts'
import { sessionOf } from './session-of.ts'

/** An overlapped send; its buffers are the socket's until it has ended. */
interface Send extends Progress {
  readonly total: number
  readonly urgent: boolean
  readonly overlapped: Overlapped
  taken: number
}

/** How long a send that was taken back may go on while the peer reads our application's memory, in ms (WSD-BLOCK-6). */
const PATIENCE_MS = 1000

/** The sending half of a connected socket: sends leave in the order of their calls, overlapped or not (WSD-XFER-18). */
export class Sending {
  readonly #home: Home
  readonly #stream: Stream
  readonly #events: SocketEventRecord
  /** At most so many bytes leave with one send that is not overlapped. */
  readonly #limit: () => number
  readonly #waiting = new Fifo<Send>()
  /** The peer reads part of the first send where it is; `patience`: until it was taken back for good. */
  #reading: { patience: Cancel | undefined } | undefined
  /** What comes behind the sends that wait: more of them, our end, or it has left. */
  #end: 'open' | 'wanted' | 'sent' = 'open'
  /** Told when nothing waits to be sent any more. */
  onDrained: (() => void) | undefined

  constructor(home: Home, stream: Stream, events: SocketEventRecord, limit: () => number) {
    this.#home = home
    this.#stream = stream
    this.#events = events
    this.#limit = limit
  }

  /** Nothing is waiting here or at the carrier. */
  get drained(): boolean {
    return this.#waiting.length === 0 && this.#stream.unsent === 0
  }

  send(chunks: readonly Uint8Array[], flags: number, overlapped: Overlapped | undefined): Result<number> {
    if ((flags & ~MSG_OOB) !== 0) return failure(WSA.WSAEOPNOTSUPP)
    const urgent = (flags & MSG_OOB) !== 0
    if (urgent && sessionOf(this.#stream) === undefined) return failure(WSA.WSAEOPNOTSUPP)
    if (this.#end !== 'open') return failure(WSA.WSAESHUTDOWN)
    const whole = urgent ? [Buffer.concat(chunks)] : chunks
    return overlapped === undefined ? this.#sendNow(whole, urgent) : this.#post(whole, urgent, overlapped)
  }

  #sendNow(chunks: readonly Uint8Array[], urgent: boolean): Result<number> {
    const taken = this.#waiting.length > 0 ? 0 : this.#write(this.#limited(chunks), 0, 0, urgent)
    if (taken < 0) return failure(writeFailure(taken))
    if (taken > 0 || bytesFrom(chunks) === 0) return success(taken)
    this.#events.arm(FD_WRITE)
    return failure(WSA.WSAEWOULDBLOCK)
  }

  #limited(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    let left = this.#limit()
    if (bytesFrom(chunks) <= left) return chunks
    const kept: Uint8Array[] = []
    for (const chunk of chunks) {
      if (left <= 0) break
      kept.push(chunk.subarray(0, left))
      left -= chunk.length
    }
    return kept
  }

  #post(chunks: readonly Uint8Array[], urgent: boolean, overlapped: Overlapped): Result<number> {
    overlapped.begin()
    const total = bytesFrom(chunks)
    this.#waiting.push({ chunks, total, urgent, overlapped, taken: 0, index: 0, offset: 0 })
    this.#pump()
    return failure(WSA.WSA_IO_PENDING)
  }

  #write(chunks: readonly Uint8Array[], index: number, offset: number, urgent: boolean): number {
    const session = urgent ? sessionOf(this.#stream) : undefined
    if (session === undefined) return this.#stream.write(chunks, index, offset)
    return session.sendUrgent((chunks[0] ?? EMPTY).subarray(offset))
  }

  /** The stream has room, or has become hopeless. */
  writable(): void {
    this.#pump()
    if (this.#waiting.length === 0) this.#events.record(FD_WRITE)
    if (this.drained) this.onDrained?.()
  }

  #pump(): void {
    for (let send = this.#waiting.peek(); send !== undefined; send = this.#waiting.peek()) {
      if (this.#reading !== undefined || !this.#goOn(send)) return
    }
    if (this.#end === 'wanted') this.#shutdown()
  }

  /** Sends more of the first send; false when what follows has to wait. */
  #goOn(send: Send): boolean {
    const large = this.#sendLarge(send)
    if (large === 0) return false
    // Nothing of it has left: the application may try again (WSD-LARGE-1E).
    if (large === WSA.WSAENOBUFS && send.taken === 0) {
      this.#endFirst(WSA.WSAENOBUFS)
      return true
    }
    const chunks = this.#upToLarge(send)
    const taken = this.#write(chunks, send.index, send.offset, send.urgent)
    if (taken < 0) {
      this.cancelAll(writeFailure(taken))
      return true
    }
    const isAll = taken === bytesFrom(chunks, send.index, send.offset)
    this.#advance(send, taken)
    return isAll
  }

  /** What was taken of the first send counts, and ends it when that is all of it; false while it is not. */
  #advance(send: Send, taken: number): boolean {
    send.taken += taken
    advance(send, taken)
    if (send.taken < send.total) return false
    this.#endFirst(0)
    return true
  }

  #endFirst(status: 0 | WsaCode): void {
    const send = this.#waiting.shift()
    if (send !== undefined) this.#home.completion.end(send.overlapped, status, status === 0 ? send.total : 0)
  }

  // --- large sends --------------------------------------------------------------------------------------------------

  /** Lets the peer read the next stretch out of the application's memory: 0, or why it is to be written (WSD-XFER-13). */
  #sendLarge(send: Send): 0 | WsaCode {
    const session = send.urgent ? undefined : sessionOf(this.#stream)
    const chunk = send.chunks[send.index]
    if (session === undefined || chunk === undefined) return WSA.WSAEOPNOTSUPP
    const stretch = chunk.subarray(send.offset, send.offset + session.largeMaxBytes)
    if (stretch.length <= session.largeThresholdBytes) return WSA.WSAEOPNOTSUPP
    const status = session.sendLarge(stretch, (code) => {
      this.#largeEnded(send, stretch.length, code)
    })
    if (status === 0) this.#reading = { patience: undefined }
    return status
  }

  /** The chunks before the next one that the peer is to read where it is. */
  #upToLarge({ chunks, index, urgent }: Send): readonly Uint8Array[] {
    const threshold = (urgent ? undefined : sessionOf(this.#stream)?.largeThresholdBytes) ?? Infinity
    const next = chunks.findIndex((chunk, at) => at > index && chunk.length > threshold)
    return next < 0 ? chunks : chunks.slice(0, next)
  }

  #largeEnded(send: Send, length: number, status: 0 | WsaCode): void {
    const givenUp = this.#reading?.patience
    givenUp?.()
    this.#reading = undefined
    // The socket has closed meanwhile.
    if (this.#waiting.peek() !== send) return
    if (status !== 0) this.cancelAll(status)
    else if (!this.#advance(send, length) && givenUp !== undefined) this.#endFirst(WSA.WSA_OPERATION_ABORTED)
    this.writable()
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** The end of the stream follows what was sent before. */
  end(): void {
    if (this.#end !== 'open') return
    this.#end = 'wanted'
    if (this.#waiting.length === 0) this.#shutdown()
  }

  #shutdown(): void {
    this.#end = 'sent'
    this.#stream.shutdown()
  }

  /**
   * Takes one send back; what of it was taken is on its way. Where the peer is reading the application's memory that comes
   * first, and the connection is reset when it takes too long (WSD-BLOCK-5, -6). False when it is not waiting.
   */
  cancel(overlapped: Overlapped): boolean {
    const first = this.#waiting.peek()
    if (this.#reading !== undefined && first?.overlapped === overlapped) {
      this.#reading.patience ??= this.#home.clock.after(PATIENCE_MS, () => {
        this.#stream.reset()
      })
      return true
    }
    if (this.#waiting.take((send) => send.overlapped === overlapped) === undefined) return false
    this.#home.completion.end(overlapped, WSA.WSA_OPERATION_ABORTED, 0)
    return true
  }

  cancelAll(status: WsaCode): void {
    while (this.#waiting.length > 0) this.#endFirst(status)
  }
}

const EMPTY = new Uint8Array()
