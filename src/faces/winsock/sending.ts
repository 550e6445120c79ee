import { WSA, failure, success } from '../../spi/index.ts'
import type { Overlapped, Result, Stream, WsaCode } from '../../spi/index.ts'
import { writeFailure } from '../../spi/stream.ts'
import { Fifo } from '../../base/fifo.ts'
import type { Completion } from './completion.ts'
import { lengthOf } from './buffers.ts'
import { FD_WRITE, MSG_OOB } from './constants.ts'
import type { SocketEventRecord } from './event-record.ts'
import { urgentOf } from './urgent.ts'

/** An overlapped send; its buffers are the socket's until it has ended. */
interface Send {
  readonly chunks: readonly Uint8Array[]
  readonly total: number
  readonly urgent: boolean
  readonly overlapped: Overlapped
  taken: number
  index: number
  offset: number
}

/** The sending half of a connected socket: sends leave in the order of their calls, overlapped or not (WSD-XFER-18). */
export class Sending {
  readonly #stream: Stream
  readonly #completion: Completion
  readonly #events: SocketEventRecord
  /** At most so many bytes leave with one send that is not overlapped. */
  readonly #limit: () => number
  readonly #waiting = new Fifo<Send>()
  #ended = false
  #endWanted = false

  constructor(stream: Stream, completion: Completion, events: SocketEventRecord, limit: () => number) {
    this.#stream = stream
    this.#completion = completion
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
    if (urgent && urgentOf(this.#stream) === undefined) return failure(WSA.WSAEOPNOTSUPP)
    if (this.#ended) return failure(WSA.WSAESHUTDOWN)
    const whole = urgent ? [Buffer.concat(chunks)] : chunks
    return overlapped === undefined ? this.#sendNow(whole, urgent) : this.#post(whole, urgent, overlapped)
  }

  #sendNow(chunks: readonly Uint8Array[], urgent: boolean): Result<number> {
    const taken = this.#waiting.length > 0 ? 0 : this.#write(this.#limited(chunks), 0, 0, urgent)
    if (taken < 0) return failure(writeFailure(taken))
    if (taken > 0 || lengthOf(chunks) === 0) return success(taken)
    this.#events.arm(FD_WRITE)
    return failure(WSA.WSAEWOULDBLOCK)
  }

  #limited(chunks: readonly Uint8Array[]): readonly Uint8Array[] {
    let left = this.#limit()
    if (lengthOf(chunks) <= left) return chunks
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
    const total = lengthOf(chunks)
    this.#waiting.push({ chunks, total, urgent, overlapped, taken: 0, index: 0, offset: 0 })
    this.#pump()
    return failure(WSA.WSA_IO_PENDING)
  }

  #write(chunks: readonly Uint8Array[], index: number, offset: number, urgent: boolean): number {
    const socket = urgent ? urgentOf(this.#stream) : undefined
    if (socket === undefined) return this.#stream.write(chunks, index, offset)
    return socket.sendUrgent((chunks[0] ?? EMPTY).subarray(offset))
  }

  /** The stream has room, or has become hopeless. */
  writable(): void {
    this.#pump()
    if (this.#waiting.length === 0) this.#events.record(FD_WRITE)
  }

  #pump(): void {
    for (let send = this.#waiting.peek(); send !== undefined; send = this.#waiting.peek()) {
      const taken = this.#write(send.chunks, send.index, send.offset, send.urgent)
      if (taken < 0) {
        this.cancelAll(writeFailure(taken))
        return
      }
      advance(send, taken)
      if (send.taken < send.total) return
      this.#waiting.shift()
      this.#completion.end(send.overlapped, 0, send.total)
    }
    if (this.#endWanted) this.#shutdown()
  }

  /** The end of the stream follows what was sent before. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    if (this.#waiting.length === 0) this.#shutdown()
    else this.#endWanted = true
  }

  #shutdown(): void {
    this.#endWanted = false
    this.#stream.shutdown()
  }

  /** Takes one send back; what of it was taken is on its way. False when it is not waiting. */
  cancel(overlapped: Overlapped): boolean {
    const kept: Send[] = []
    let found = false
    for (let send = this.#waiting.shift(); send !== undefined; send = this.#waiting.shift()) {
      if (send.overlapped === overlapped) found = true
      else kept.push(send)
    }
    for (const send of kept) this.#waiting.push(send)
    if (found) this.#completion.end(overlapped, WSA.WSA_OPERATION_ABORTED, 0)
    return found
  }

  cancelAll(status: WsaCode): void {
    for (let send = this.#waiting.shift(); send !== undefined; send = this.#waiting.shift()) {
      this.#completion.end(send.overlapped, status, 0)
    }
  }
}

const EMPTY = new Uint8Array()

function advance(send: Send, taken: number): void {
  send.taken += taken
  send.offset += taken
  let chunk = send.chunks[send.index]
  while (chunk !== undefined && send.offset >= chunk.length) {
    send.offset -= chunk.length
    send.index += 1
    chunk = send.chunks[send.index]
  }
}
