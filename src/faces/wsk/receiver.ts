import { Fifo } from '../../base/fifo.ts'
import type { Stream } from '../../spi/index.ts'
import { segmentsOf } from './buffer.ts'
import type { WskBuf } from './buffer.ts'
import * as wsk from './constants.ts'
import type { WskDataIndication } from './dispatch.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { Request } from './request.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** The most that one indication carries. */
const INDICATION_BYTES = 64 << 10
/** Indications in one turn of the pump; then other sockets have their turn. */
const INDICATIONS_PER_TURN = 16

interface Receive {
  readonly request: Request
  readonly segments: Uint8Array[]
  readonly length: number
  readonly mode: 'plain' | 'waitAll' | 'drain'
  /** Bytes placed so far. */
  filled: number
  /** It was first, and there was nothing for it: what comes will be told. */
  looked: boolean
  /** Where the next one goes: a segment, and a place in it. */
  segment: number
  offset: number
}

/** What indicated bytes met with. */
export interface IndicationAnswer {
  readonly status: NtStatus
  /** Taken of them; counts with success only. */
  readonly accepted: number
}

export interface ReceiverHost {
  readonly dispatcher: Dispatcher
  /** What a client may hold before its peer is held back. */
  readonly windowBytes: number
  /** True while receive callbacks may be called. */
  readonly indicates: boolean
  /** True while a callback runs: what is received meanwhile waits for what it answers. */
  readonly inCall: boolean
  indicate(flags: number, list: WskDataIndication, bytes: number): IndicationAnswer
  /** The peer's end has been reached, and everything before it is taken. Told once. */
  ended(): void
  /** Runs {@link Receiver.pump} soon. */
  pumpSoon(): void
}

/** Unread, the peer's end, and what they mean for receives and indications (WSK §7). */
export class Receiver {
  readonly #stream: Stream
  readonly #host: ReceiverHost
  readonly #receives = new Fifo<Receive>()
  /** Bytes that were indicated and not taken: first to be read again. */
  #left: Uint8Array[] = []
  #leftBytes = 0
  #stalled = false
  /** Receives that are over, while the client does not know it yet: what follows their bytes is told after it does. */
  #untold = 0
  readonly #retained = new Map<WskDataIndication, number>()
  #retainedBytes = 0
  #ended = false
  #failure: NtStatus | undefined

  constructor(stream: Stream, host: ReceiverHost) {
    this.#stream = stream
    this.#host = host
  }

  /** Received and not taken; what is retained was taken (WSK 7.29). */
  get backlog(): number {
    return this.#leftBytes + this.#stream.available
  }
  get retainedBytes(): number {
    return this.#retainedBytes
  }
  /** True once the peer's end was reached. */
  get ended(): boolean {
    return this.#ended
  }

  // --- requests -----------------------------------------------------------------------------------------------------

  receive(request: Request, buffer: WskBuf, flags: number): void {
    const waitAll = (flags & wsk.WSK_FLAG_WAITALL) !== 0
    const drain = (flags & wsk.WSK_FLAG_DRAIN) !== 0
    const segments = segmentsOf(buffer)
    if ((flags & ~(wsk.WSK_FLAG_WAITALL | wsk.WSK_FLAG_DRAIN)) !== 0) {
      request.complete(STATUS.STATUS_NOT_SUPPORTED)
      return
    }
    if (segments === undefined || (waitAll && drain) || (drain && buffer.length > 0)) {
      request.complete(STATUS.STATUS_INVALID_PARAMETER)
      return
    }
    if (this.#failure !== undefined) {
      request.complete(this.#failure)
      return
    }
    if (buffer.length === 0 && !drain) {
      // Takes nothing, and lets the callbacks go on (WSK 7.10).
      this.#stalled = false
      request.complete(STATUS.STATUS_SUCCESS)
      this.#host.pumpSoon()
      return
    }
    const mode = drain ? 'drain' : waitAll ? 'waitAll' : 'plain'
    const receive: Receive = {
      request,
      segments,
      length: buffer.length,
      mode,
      filled: 0,
      looked: false,
      segment: 0,
      offset: 0,
    }
    request.onCancel = () => {
      // What was placed already is the client's (WSK 7.14).
      if (request.over) return
      this.#untold += 1
      request.complete(STATUS.STATUS_CANCELLED, receive.filled, this.#resume)
      this.#host.pumpSoon()
    }
    this.#receives.push(receive)
    if (this.#host.inCall) this.#host.pumpSoon()
    // Behind others it has its turn when there is something for them, too.
    else if (this.#receives.length === 1) this.#serve()
  }

  readonly #resume = (): void => {
    this.#untold -= 1
    this.#stalled = false
    if (this.#receives.peek()?.looked === true) return
    if (this.backlog > 0 || this.#reachedEnd()) this.#host.pumpSoon()
  }

  /** Gives back what was retained; false when some of it was not (WSK 7.22). */
  release(list: WskDataIndication): boolean {
    const nodes: WskDataIndication[] = []
    for (let node: WskDataIndication | null = list; node !== null; node = node.next) nodes.push(node)
    if (!nodes.every((node) => this.#retained.has(node))) return false
    for (const node of nodes) {
      this.#retainedBytes -= this.#retained.get(node) ?? 0
      this.#retained.delete(node)
    }
    this.#host.pumpSoon()
    return true
  }

  /** The callback was disabled: nothing is stalled any more (WSK 7.25). */
  unstall(): void {
    this.#stalled = false
  }

  /** Nothing more is read, received or indicated; what waits fails with `status`. */
  fail(status: NtStatus): void {
    if (this.#failure !== undefined) return
    this.#failure = status
    this.#left = []
    this.#leftBytes = 0
    for (let next = this.#receives.shift(); next !== undefined; next = this.#receives.shift()) {
      next.request.complete(status)
    }
  }

  // --- what arrives -------------------------------------------------------------------------------------------------

  /** Brings what is unread to whoever wants it. */
  pump(): void {
    for (let left = INDICATIONS_PER_TURN; this.#failure === undefined; left -= 1) {
      if (left === 0) {
        this.#host.pumpSoon()
        return
      }
      // A receive that waits goes first; but nobody may rely on it (WSK §12 D-20).
      const { chaos } = this.#host.dispatcher
      const overtake = chaos !== undefined && this.#mayIndicate && chaos.once(8)
      if (!overtake || this.#receives.peek()?.mode !== 'plain') this.#serve()
      const queued = this.#receives.length > 0 && !overtake
      if (queued || !this.#mayIndicate || !this.#indicate()) break
    }
    if (this.#untold === 0) this.#look()
  }

  /** Fills the receives that wait, in order. Calls nobody. */
  #serve(): void {
    for (;;) {
      const next = this.#receives.peek()
      if (next === undefined) return
      if (next.request.over) {
        this.#receives.shift()
        continue
      }
      if (!this.#fill(next)) {
        next.looked = true
        return
      }
      this.#receives.shift()
      // It took all there was: whether more has come, or the end, is looked at once the client knows.
      if (next.filled < next.length) return
    }
  }

  /** @returns true when the receive is over. */
  #fill(receive: Receive): boolean {
    if (receive.mode === 'drain') this.#discard()
    else this.#place(receive)
    const enough = receive.mode === 'waitAll' ? receive.length : 1
    const full = receive.mode !== 'drain' && receive.filled >= enough
    if (!full && !this.#reachedEnd()) return false
    this.#untold += 1
    receive.request.complete(STATUS.STATUS_SUCCESS, receive.filled, this.#resume)
    return true
  }

  /** Puts in what is there, as far as it goes. */
  #place(receive: Receive): void {
    while (receive.filled < receive.length) {
      const target = receive.segments[receive.segment] as Uint8Array
      const room = target.length - receive.offset
      const isAgain = this.#leftBytes > 0
      const placed = isAgain
        ? this.#readAgain(target, receive.offset, room)
        : this.#stream.readInto(target, receive.offset, room)
      receive.filled += placed
      receive.offset += placed
      if (placed === room) {
        receive.segment += 1
        receive.offset = 0
      } else if (!isAgain && (placed === 0 || receive.mode === 'plain')) {
        return
      }
    }
  }

  /** Reads what was indicated and not taken, as {@link Stream.readInto} does. */
  #readAgain(target: Uint8Array, to: number, maxBytes: number): number {
    const [left] = this.#left as [Uint8Array]
    const part = left.subarray(0, maxBytes)
    target.set(part, to)
    this.#leftBytes -= part.length
    if (part.length === left.length) this.#left.shift()
    else this.#left[0] = left.subarray(part.length)
    return part.length
  }

  #discard(): void {
    this.#left = []
    this.#leftBytes = 0
    while (this.#stream.read(INDICATION_BYTES) !== undefined) continue
  }

  #reachedEnd(): boolean {
    return this.#leftBytes === 0 && this.#stream.readEnd() === 'end'
  }

  #look(): void {
    if (this.#ended || this.#failure !== undefined || !this.#reachedEnd()) return
    this.#serve()
    // Receives that wait hear of it first.
    if (this.#untold > 0) return
    this.#ended = true
    this.#host.ended()
  }

  // --- indications --------------------------------------------------------------------------------------------------

  get #mayIndicate(): boolean {
    return (
      this.#host.indicates &&
      !this.#host.inCall &&
      !this.#stalled &&
      this.#untold === 0 &&
      this.backlog > 0 &&
      this.#retainedBytes < this.#host.windowBytes
    )
  }

  /** @returns true when more may follow. */
  #indicate(): boolean {
    const buffers = this.#left
    this.#left = []
    this.#leftBytes = 0
    const room = Math.max(1, Math.min(INDICATION_BYTES, this.#host.windowBytes - this.#retainedBytes))
    const fresh = this.#stream.read(room)
    if (fresh !== undefined) buffers.push(fresh)
    if (buffers.length === 0) return false
    const list = listOf(buffers)
    const total = buffers.reduce((sum, { length }) => sum + length, 0)
    const scarce = this.#retainedBytes + total > this.#host.windowBytes / 2
    const answer = this.#host.indicate(scarce ? wsk.WSK_FLAG_RELEASE_ASAP : 0, list, total)
    // It may have ended the connection, or closed the socket.
    if (this.#failure !== undefined) return false
    if (answer.status === STATUS.STATUS_PENDING) {
      for (let node: WskDataIndication | null = list; node !== null; node = node.next) {
        this.#retained.set(node, node.buffer.length)
      }
      this.#retainedBytes += total
      return true
    }
    const accepted =
      answer.status === STATUS.STATUS_SUCCESS ? Math.min(Math.max(0, answer.accepted), total) : 0
    if (accepted === total) return true
    this.#keep(buffers, accepted)
    this.#stalled = true
    return false
  }

  #keep(buffers: readonly Uint8Array[], from: number): void {
    let skip = from
    for (const buffer of buffers) {
      if (skip >= buffer.length) {
        skip -= buffer.length
        continue
      }
      // A copy: what was indicated is the client's, which may have changed it.
      const rest = Uint8Array.prototype.slice.call(buffer, skip)
      skip = 0
      this.#left.push(rest)
      this.#leftBytes += rest.length
    }
  }
}

function listOf(buffers: readonly Uint8Array[]): WskDataIndication {
  let next: WskDataIndication | null = null
  for (const buffer of buffers.toReversed()) {
    next = { next, buffer: { chain: [buffer], offset: 0, length: buffer.length } }
  }
  return next as WskDataIndication
}
