import { Fifo } from '../base/fifo.ts'
import { SOMAXCONN, WSA, failure, isWildcard, success } from '../spi/index.ts'
import type {
  ConditionFunction,
  Overlapped,
  Result,
  SocketAddress,
  Status,
  Verdict,
  WsaCode,
} from '../spi/index.ts'
import type { IncomingRequest } from './carrier.ts'
import type { EventRecord } from './network-events.ts'

/** The queue of a `listen` that leaves its length to the provider. */
const DEFAULT_BACKLOG = 511

/** A request that the condition function accepts. */
interface Judged {
  readonly request: IncomingRequest
  readonly calleeData: Uint8Array
}

/** The requests of one listening socket: those in its queue, and those that wait for judgement. Both count against its backlog. */
export class Listener {
  readonly address: SocketAddress
  readonly #events: EventRecord
  readonly #announce: (pended: Overlapped) => void
  readonly #queue = new Fifo<IncomingRequest>()
  readonly #pended = new Map<Overlapped, IncomingRequest>()
  #backlog: number
  #closed = false

  /** @param announce Told once of each pended request that waits no more. */
  constructor(
    address: SocketAddress,
    backlog: number,
    events: EventRecord,
    announce: (pended: Overlapped) => void,
  ) {
    this.address = address
    this.#backlog = effective(backlog)
    this.#events = events
    this.#announce = announce
  }

  /** True when this listener answers for `local`. */
  covers(local: SocketAddress): boolean {
    if (local.port !== this.address.port) return false
    if (local.address === this.address.address) return true
    // An IPv6 wildcard listens for both families unless told otherwise; the TCP listener decides who gets here.
    return isWildcard(this.address) && (this.address.family === 'IPv6' || local.family === 'IPv4')
  }

  get hasWaiting(): boolean {
    return this.#queue.length > 0
  }

  /** LISTEN-2: false when the queue is full; the request is to be refused. */
  offer(request: IncomingRequest): boolean {
    if (this.#closed || this.#queue.length + this.#pended.size >= this.#backlog) return false
    this.#queue.push(request)
    this.#events.recordAccept()
    return true
  }

  /** LISTEN-3. */
  setBacklog(backlog: number): void {
    this.#backlog = effective(backlog)
    const waiting: IncomingRequest[] = []
    for (let one = this.#queue.shift(); one !== undefined; one = this.#queue.shift()) waiting.push(one)
    for (const one of waiting) {
      if (this.#queue.length + this.#pended.size < this.#backlog) this.#queue.push(one)
      else one.refuse(WSA.WSAECONNREFUSED)
    }
  }

  /** Asks `condition` about the first request, or about the one that waits as `pended` (ACCEPT-1 to -9). */
  judge(condition: ConditionFunction, pended: Overlapped | undefined): Result<Judged> {
    return pended === undefined ? this.#judgeFirst(condition) : this.#judgePended(condition, pended)
  }

  #judgeFirst(condition: ConditionFunction): Result<Judged> {
    const request = this.#first()
    if (request === undefined) {
      this.#events.acceptTaken(false)
      return failure(WSA.WSAEWOULDBLOCK)
    }
    const verdict = condition(seen(request))
    // The condition function may close its listener, which refuses this request with the others.
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
    this.#queue.shift()
    this.#events.acceptTaken(this.hasWaiting)
    return verdict.decision === 'CF_PEND' ? this.#pend(request, verdict.pended) : answer(request, verdict)
  }

  // ACCEPT-6.
  #first(): IncomingRequest | undefined {
    for (let first = this.#queue.peek(); first !== undefined; first = this.#queue.peek()) {
      if (first.isOpen()) return first
      this.#queue.shift()
      first.refuse(WSA.WSAECONNABORTED)
    }
    return undefined
  }

  #judgePended(condition: ConditionFunction, pended: Overlapped): Result<Judged> {
    const request = this.#pended.get(pended)
    if (request?.isOpen() === false) this.#withdrawn(pended)
    if (request === undefined || !this.#pended.has(pended)) return failure(WSA.WSAEINVAL)
    const verdict = condition(seen(request))
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    if (verdict.decision === 'CF_DEFER' || verdict.decision === 'CF_PEND') return failure(WSA.WSA_IO_PENDING)
    return this.#endPended(pended, 0) === undefined ? failure(WSA.WSAEINVAL) : answer(request, verdict)
  }

  #pend(request: IncomingRequest, pended: Overlapped): Result<Judged> {
    const waits = request.pend(() => {
      this.#withdrawn(pended)
    })
    if (!waits) {
      request.refuse(WSA.WSAENOBUFS)
      return failure(WSA.WSAENOBUFS)
    }
    this.#pended.set(pended, request)
    pended.begin()
    // Given up while the condition function ran.
    if (!request.isOpen()) this.#withdrawn(pended)
    return failure(WSA.WSA_IO_PENDING)
  }

  #withdrawn(pended: Overlapped): void {
    this.#endPended(pended, WSA.WSAECONNRESET)?.refuse(WSA.WSAECONNABORTED)
  }

  /** ACCEPT-10: the request waits no more; undefined when it did not. */
  #endPended(pended: Overlapped, status: Status): IncomingRequest | undefined {
    const request = this.#pended.get(pended)
    if (request === undefined) return undefined
    this.#pended.delete(pended)
    request.unpend()
    pended.end(status, 0)
    this.#announce(pended)
    return request
  }

  /** CLOSE-4. Nobody listens here any more, which says nothing about TCP/IP (CONNECT-2). */
  close(): void {
    this.#closed = true
    for (let one = this.#queue.shift(); one !== undefined; one = this.#queue.shift())
      one.refuse(WSA.WSAETIMEDOUT)
    for (const pended of [...this.#pended.keys()]) {
      this.#endPended(pended, WSA.WSA_OPERATION_ABORTED)?.refuse(WSA.WSAETIMEDOUT)
    }
  }
}

function effective(backlog: number): number {
  return backlog >= SOMAXCONN ? DEFAULT_BACKLOG : backlog
}

/** What the condition function sees of a request, and no more. */
function seen({ remote, local, callerData }: IncomingRequest): Parameters<ConditionFunction>[0] {
  return { remote, local, callerData }
}

function answer(
  request: IncomingRequest,
  verdict: Verdict & { decision: 'CF_ACCEPT' | 'CF_REJECT' },
): Result<Judged> {
  if (verdict.decision === 'CF_ACCEPT') return success({ request, calleeData: verdict.calleeData })
  const code: WsaCode = verdict.error ?? WSA.WSAECONNREFUSED
  request.refuse(code)
  return failure(WSA.WSAECONNREFUSED)
}
