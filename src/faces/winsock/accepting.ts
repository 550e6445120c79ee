import { WSA, failure, success } from '../../spi/index.ts'
import type { Overlapped, Result, SocketAddress, TcpipArrival } from '../../spi/index.ts'
import type { Condition, IncomingRequest, Judgement } from '../../switch/incoming.ts'
import type { Carried } from '../../switch/face.ts'
import type { Arrival } from '../../switch/listen.ts'
import type { Schedule } from '../../switch/network-event.ts'
import { FD_ACCEPT } from './constants.ts'
import type { SocketEventRecord } from './event-record.ts'
import type { PendingAccept } from './pending-accept.ts'

/** What the application's condition function is shown. */
export interface CallerId {
  readonly remote: SocketAddress
  readonly local: SocketAddress
}

export type WinsockCondition = (caller: CallerId) => 'CF_ACCEPT' | 'CF_REJECT' | 'CF_DEFER'

/** What waits at a listener, in the order in which it came: connections, and requests that are none yet (WSD-ACCEPT-4). */
type Waiting =
  | { readonly kind: 'connection'; readonly incoming: Carried }
  | { readonly kind: 'request'; readonly request: IncomingRequest }

/**
 * The accepting half of a listening socket. Connections are made ahead of the application up to the backlog, as the kernel
 * makes them; with SO_CONDITIONAL_ACCEPT a SAN peer waits until the application has accepted it. Beyond the backlog a SAN
 * peer waits, and a connection over TCP/IP is reset, since the kernel has made it already.
 */
export class Accepting {
  readonly #schedule: Schedule
  readonly #events: SocketEventRecord
  readonly #conditional: boolean
  #backlog: number
  #waiting: Waiting[] = []
  #accepts: PendingAccept[] = []
  /** Accepted requests whose connection has not come yet, and who is to have it. */
  readonly #coming = new Map<IncomingRequest, PendingAccept | undefined>()
  /** Accepts that have their connection, and wait for the first data. */
  readonly #receiving = new Set<PendingAccept>()

  constructor(schedule: Schedule, events: SocketEventRecord, backlog: number, conditional: boolean) {
    this.#schedule = schedule
    this.#events = events
    this.#backlog = backlog
    this.#conditional = conditional
  }

  setBacklog(backlog: number): void {
    this.#backlog = backlog
  }

  /** Asked by the switch while a SAN peer's connect is pending. */
  readonly condition: Condition = (request): Judgement => {
    request.onAbandoned = () => {
      this.#abandoned(request)
    }
    if (!this.#conditional && this.#load < this.#backlog) {
      this.#coming.set(request, undefined)
      return 'accept'
    }
    this.#waiting.push({ kind: 'request', request })
    this.#changed()
    return 'defer'
  }

  get #load(): number {
    return this.#waiting.length + this.#coming.size
  }

  /** A connection has come over a SAN. */
  arrived({ session, local, remote, provider, request }: Arrival): void {
    const incoming = { stream: session, local, remote, direction: 'in', provider } as const
    const accept = request === undefined ? undefined : this.#coming.get(request)
    if (request !== undefined) this.#coming.delete(request)
    if (accept !== undefined) this.#deliver(accept, incoming)
    else this.#queue(incoming)
  }

  arrivedOverTcpip({ stream, local, remote }: TcpipArrival): void {
    const parts = { direction: 'in', provider: 'tcpip', reason: 'peer-not-switched' } as const
    if (this.#load < this.#backlog) this.#queue({ stream, local, remote, ...parts })
    else stream.reset()
  }

  #deliver(accept: PendingAccept, incoming: Carried): void {
    this.#receiving.add(accept)
    accept.deliver(incoming, () => {
      this.#receiving.delete(accept)
    })
  }

  #queue(incoming: Carried): void {
    this.#waiting.push({ kind: 'connection', incoming })
    this.#changed()
  }

  /** The peer has given up: whoever was to have the connection gets the next one. */
  #abandoned(request: IncomingRequest): void {
    const accept = this.#coming.get(request)
    this.#coming.delete(request)
    this.#waiting = this.#waiting.filter((entry) => entry.kind !== 'request' || entry.request !== request)
    if (accept !== undefined) this.#accepts.unshift(accept)
    this.#changed()
  }

  // Something waits, or an accept does.
  #changed(): void {
    while (this.#accepts.length > 0) {
      const accept = this.#accepts[0] as PendingAccept
      const taken = this.#take(accept.request.condition, accept)
      if (!taken.ok && taken.error === WSA.WSAECONNREFUSED) continue
      // The condition function has cancelled this accept, or taken what was first.
      if (!taken.ok && taken.error === WSA.WSAEWOULDBLOCK && this.#waiting.length > 0) continue
      // Deferred, it stays first; the next accept asks again.
      if (!taken.ok && taken.error === WSA.WSATRY_AGAIN) {
        this.#accepts.shift()
        accept.fail(WSA.WSATRY_AGAIN)
        continue
      }
      if (!taken.ok) break
      this.#accepts.shift()
      if (taken.value !== undefined) this.#deliver(accept, taken.value)
    }
    this.#tell()
  }

  #tell(): void {
    if (this.#accepts.length === 0 && this.#waiting.length > 0) this.#events.record(FD_ACCEPT)
  }

  /** What holds now, for an application that has just asked to be told. */
  tellNow(): void {
    this.#tell()
  }

  /**
   * Takes the first that waits and asks `condition`. A request over a SAN that is accepted becomes a connection later: it is
   * delivered to `accept`, or waits first in the queue.
   */
  #take(
    condition: WinsockCondition | undefined,
    accept: PendingAccept | undefined,
  ): Result<Carried | undefined> {
    const first = this.#waiting[0]
    if (first === undefined) return failure(WSA.WSAEWOULDBLOCK)
    const { remote, local } = first.kind === 'connection' ? first.incoming : first.request
    const verdict = condition === undefined ? 'CF_ACCEPT' : this.#ask(condition, { remote, local })
    // The condition function may have closed the listener, taken what is first, or cancelled the accept.
    if (this.#waiting[0] !== first || (accept !== undefined && this.#accepts[0] !== accept))
      return failure(WSA.WSAEWOULDBLOCK)
    if (verdict === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
    this.#waiting.shift()
    if (verdict === 'CF_REJECT') {
      if (first.kind === 'connection') first.incoming.stream.reset()
      else first.request.reject()
      this.#refill()
      return failure(WSA.WSAECONNREFUSED)
    }
    if (first.kind === 'connection') {
      this.#refill()
      return success(first.incoming)
    }
    this.#coming.set(first.request, accept)
    first.request.accept()
    return success(undefined)
  }

  // One that throws rejects; what it threw is thrown again in a turn of its own.
  #ask(condition: WinsockCondition, caller: CallerId): ReturnType<WinsockCondition> {
    try {
      return condition(caller)
    } catch (error) {
      this.#schedule(() => {
        throw error
      })
      return 'CF_REJECT'
    }
  }

  // Room has come: requests that had to wait for it become connections.
  #refill(): void {
    if (this.#conditional) return
    const next = this.#waiting.findIndex(({ kind }) => kind === 'request')
    const entry = this.#waiting[next]
    if (entry?.kind !== 'request') return
    this.#waiting.splice(next, 1)
    this.#coming.set(entry.request, undefined)
    entry.request.accept()
  }

  /** An accept that does not wait. */
  accept(condition: WinsockCondition | undefined): Result<Carried> {
    this.#events.arm(FD_ACCEPT)
    // Who came first is served first.
    const taken = this.#accepts.length > 0 ? failure(WSA.WSAEWOULDBLOCK) : this.#take(condition, undefined)
    this.#tell()
    if (!taken.ok) return taken
    return taken.value === undefined ? failure(WSA.WSAEWOULDBLOCK) : success(taken.value)
  }

  /** An accept that waits. */
  post(accept: PendingAccept): void {
    this.#accepts.push(accept)
    this.#changed()
  }

  /** Takes one accept back; a connection that was on its way to it goes to the next. False when it is not waiting. */
  cancel(overlapped: Overlapped): boolean {
    const isIt = (accept: PendingAccept | undefined): boolean => accept?.request.overlapped === overlapped
    const coming = [...this.#coming].find(([, accept]) => isIt(accept))
    const accept = this.#accepts.find(isIt) ?? coming?.[1]
    if (accept === undefined) return [...this.#receiving].find(isIt)?.withdraw() === true
    this.#accepts = this.#accepts.filter((each) => each !== accept)
    if (coming !== undefined) this.#coming.set(coming[0], undefined)
    accept.fail(WSA.WSA_OPERATION_ABORTED)
    return true
  }

  /** The listener closes: accepts end, connections that nobody took are reset (WSD-ACCEPT-24). */
  close(): void {
    const accepts = [...this.#accepts, ...this.#coming.values()]
    const waiting = this.#waiting
    this.#accepts = []
    this.#waiting = []
    this.#coming.clear()
    for (const entry of waiting) if (entry.kind === 'connection') entry.incoming.stream.reset()
    for (const accept of accepts) accept?.fail(WSA.WSA_OPERATION_ABORTED)
    for (const accept of this.#receiving) accept.withdraw()
  }
}
