import { advance, bytesFrom } from '../../base/chunks.ts'
import type { Progress } from '../../base/chunks.ts'
import type { Stream } from '../../spi/index.ts'
import { writeFailure } from '../../spi/index.ts'
import type { Request } from './request.ts'
import { STATUS, ntStatusOf } from './status.ts'
import type { NtStatus } from './status.ts'
import { Waiting } from './waiting.ts'

/** The ideal send backlog begins here, and follows what the connection takes. */
const FIRST_IDEAL_BACKLOG_BYTES = 64 << 10
const MAX_IDEAL_BACKLOG_BYTES = 16 << 20

/** A send that waits. */
interface Send extends Progress {
  readonly request: Request
  readonly total: number
  readonly noDelay: boolean
  /** The end of the stream follows it. */
  readonly last: boolean
  left: number
}

/** What waits to be sent on one connection, in the order of the calls (WSK-SEND-1 to -6, WSK-DISC-2). */
export class Sender {
  readonly #stream: Stream
  readonly #onBacklog: (bytes: number) => void
  /** An end that is cancelled goes out all the same. */
  readonly #queue = new Waiting<Send>(({ last }) => last)
  #failure: NtStatus | undefined
  #ending = false
  #noDelay = false
  #idealBacklog = FIRST_IDEAL_BACKLOG_BYTES
  /** Taken since the connection was last blocked. */
  #burst = 0

  /** @param onBacklog The ideal send backlog has changed. */
  constructor(stream: Stream, onBacklog: (bytes: number) => void) {
    this.#stream = stream
    this.#onBacklog = onBacklog
  }

  get idealBacklog(): number {
    return this.#idealBacklog
  }
  /** True once our end of the stream is on its way. */
  get ended(): boolean {
    return this.#ending && this.#queue.length === 0
  }

  send(request: Request, segments: Uint8Array[], noDelay: boolean): void {
    if (this.#failure !== undefined || this.#ending) {
      request.complete(this.#failure ?? STATUS.STATUS_INVALID_DEVICE_STATE)
      return
    }
    const total = bytesFrom(segments)
    const isFirst = this.#queue.length === 0
    // As a rule all of it goes at once, and nothing has to be queued.
    const taken = isFirst && total > 0 ? this.#write(segments, 0, 0, total, noDelay) : 0
    if (taken < 0) {
      const status = ntStatusOf(writeFailure(taken))
      this.fail(status)
      request.complete(status)
    } else if (isFirst && taken === total && this.#stream.unsent === 0) {
      request.complete(STATUS.STATUS_SUCCESS, total)
    } else {
      this.#push({ request, chunks: segments, total, noDelay, last: false }, taken)
    }
  }

  /** Sends `segments`, then the end. A second end without bytes joins the first (WSK §12 D-5). */
  end(request: Request, segments: Uint8Array[]): void {
    if (this.#failure !== undefined || (this.#ending && segments.length > 0)) {
      request.complete(this.#failure ?? STATUS.STATUS_INVALID_DEVICE_STATE)
      return
    }
    const total = bytesFrom(segments)
    this.#push({ request, chunks: segments, total, noDelay: false, last: true }, 0)
    if (this.#queue.length === 1) this.pump()
    this.#ending = true
  }

  /** Every send that waits ends with `status`, every later one with `later`. */
  fail(status: NtStatus, later = status): void {
    if (this.#failure !== undefined) return
    this.#failure = later
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift())
      next.request.complete(status)
  }

  #push(parts: Omit<Send, 'index' | 'offset' | 'left'>, taken: number): void {
    const send: Send = { ...parts, index: 0, offset: 0, left: parts.total - taken }
    advance(send, taken)
    this.#queue.push(send)
  }

  /** Hands over what the connection takes. Calls nobody. */
  pump(): void {
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (next.request.over && !next.last) {
        this.#queue.shift()
        continue
      }
      if (next.left > 0 && !this.#goOn(next)) return
      if (next.last) this.#stream.shutdown()
      if (this.#stream.unsent > 0) return
      this.#queue.shift()
      next.request.complete(STATUS.STATUS_SUCCESS, next.last ? 0 : next.total)
    }
  }

  /** @returns true when all of it is taken. */
  #goOn(send: Send): boolean {
    const taken = this.#write(send.chunks, send.index, send.offset, send.left, send.noDelay)
    if (taken < 0) {
      this.fail(ntStatusOf(writeFailure(taken)))
      return false
    }
    send.left -= taken
    advance(send, taken)
    return send.left === 0
  }

  /** As {@link Stream.write}; `left` is how many bytes that are. */
  #write(
    chunks: readonly Uint8Array[],
    index: number,
    offset: number,
    left: number,
    noDelay: boolean,
  ): number {
    if (noDelay !== this.#noDelay) {
      this.#noDelay = noDelay
      this.#stream.setOption('TCP_NODELAY', noDelay ? 1 : 0)
    }
    const taken = this.#stream.write(chunks, index, offset)
    if (taken < 0) return taken
    this.#burst += taken
    if (taken < left) this.#blocked()
    return taken
  }

  // What went in at one go is about what the connection holds: so much should wait to keep it full.
  #blocked(): void {
    const wanted = Math.min(MAX_IDEAL_BACKLOG_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, this.#burst))))
    this.#burst = 0
    if (wanted <= this.#idealBacklog) return
    this.#idealBacklog = wanted
    this.#onBacklog(wanted)
  }
}
