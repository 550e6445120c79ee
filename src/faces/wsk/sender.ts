import { Fifo } from '../../base/fifo.ts'
import type { Stream } from '../../spi/index.ts'
import { writeFailure } from '../../spi/index.ts'
import type { Request } from './request.ts'
import { STATUS, ntStatusOf } from './status.ts'
import type { NtStatus } from './status.ts'

/** The ideal send backlog begins here, and follows what the connection takes. */
export const FIRST_IDEAL_BACKLOG_BYTES = 64 << 10
const MAX_IDEAL_BACKLOG_BYTES = 16 << 20

interface Send {
  readonly request: Request
  readonly segments: Uint8Array[]
  readonly total: number
  readonly noDelay: boolean
  /** The end of the stream follows it. */
  readonly last: boolean
  index: number
  offset: number
  left: number
}

/** What waits to be sent on one connection, in the order of the calls (WSK-SEND-1 to -6, WSK-DISC-2). */
export class Sender {
  readonly #stream: Stream
  readonly #onBacklog: (bytes: number) => void
  readonly #queue = new Fifo<Send>()
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
    this.#push(request, segments, noDelay, false)
  }

  /** Sends `segments`, then the end. A second end without bytes joins the first (WSK §12 D-5). */
  end(request: Request, segments: Uint8Array[]): void {
    if (this.#failure !== undefined || (this.#ending && segments.length > 0)) {
      request.complete(this.#failure ?? STATUS.STATUS_INVALID_DEVICE_STATE)
      return
    }
    this.#push(request, segments, false, true)
    this.#ending = true
  }

  #push(request: Request, segments: Uint8Array[], noDelay: boolean, last: boolean): void {
    let total = 0
    for (const { length } of segments) total += length
    const send: Send = { request, segments, total, noDelay, last, index: 0, offset: 0, left: total }
    this.#queue.push(send)
    if (this.#queue.length === 1) this.pump()
  }

  /** Every send that waits ends with `status`, every later one with `later`. */
  fail(status: NtStatus, later = status): void {
    if (this.#failure !== undefined) return
    this.#failure = later
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift())
      next.request.complete(status)
  }

  /** Hands over what the connection takes. Calls nobody. */
  pump(): void {
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (next.request.over && !next.last) {
        this.#queue.shift()
        continue
      }
      if (next.left > 0 && !this.#write(next)) return
      if (next.last) this.#stream.shutdown()
      if (this.#stream.unsent > 0) return
      this.#queue.shift()
      next.request.complete(STATUS.STATUS_SUCCESS, next.last ? 0 : next.total)
    }
  }

  /** @returns true when all of it is taken. */
  #write(send: Send): boolean {
    if (send.noDelay !== this.#noDelay) {
      this.#noDelay = send.noDelay
      this.#stream.setOption('TCP_NODELAY', send.noDelay ? 1 : 0)
    }
    let taken = this.#stream.write(send.segments, send.index, send.offset)
    if (taken < 0) {
      this.fail(ntStatusOf(writeFailure(taken)))
      return false
    }
    this.#burst += taken
    send.left -= taken
    while (taken > 0) {
      const rest = (send.segments[send.index]?.length ?? 0) - send.offset
      if (taken < rest) {
        send.offset += taken
        break
      }
      taken -= rest
      send.index += 1
      send.offset = 0
    }
    if (send.left > 0) this.#blocked()
    return send.left === 0
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
