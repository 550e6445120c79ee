import type { EventObject, SocketAddress } from '../../spi/index.ts'
import { FD_ACCEPT, SOMAXCONN, isWildcard } from '../../spi/index.ts'
import { Fifo } from '../../base/fifo.ts'
import type { Link } from './link.ts'
import type { SlotRequest } from './request.ts'

/** A request waiting to be accepted. */
export interface PendingRequest {
  readonly link: Link
  readonly id: number
  readonly generation: number
  readonly request: SlotRequest
}

const DEFAULT_BACKLOG = 511

/** The requests that wait at one listening socket, never more than its backlog. */
export class RequestQueue {
  readonly address: SocketAddress
  readonly #waiting = new Fifo<PendingRequest>()
  #backlog: number
  #event: EventObject | null = null
  #recorded = 0

  constructor(address: SocketAddress, backlog: number) {
    this.address = address
    this.#backlog = effective(backlog)
  }

  get length(): number {
    return this.#waiting.length
  }

  /** True when this listener answers for `local`. */
  covers(local: SocketAddress): boolean {
    if (local.port !== this.address.port) return false
    if (local.address === this.address.address) return true
    // An IPv6 wildcard listens for both families unless told otherwise; the TCP listener decides who gets here.
    return isWildcard(this.address) && (this.address.family === 'IPv6' || local.family === 'IPv4')
  }

  /** False when the queue is full: the request is to be refused at once, and no event is raised. */
  offer(request: PendingRequest): boolean {
    if (this.#waiting.length >= this.#backlog) return false
    this.#waiting.push(request)
    this.#signal()
    return true
  }

  take(): PendingRequest | undefined {
    return this.#waiting.shift()
  }

  peek(): PendingRequest | undefined {
    return this.#waiting.peek()
  }

  /** Changes the limit; returns the newest requests beyond it. */
  setBacklog(backlog: number): PendingRequest[] {
    this.#backlog = effective(backlog)
    const kept: PendingRequest[] = []
    const dropped: PendingRequest[] = []
    for (let request = this.#waiting.shift(); request !== undefined; request = this.#waiting.shift()) {
      ;(kept.length < this.#backlog ? kept : dropped).push(request)
    }
    for (const request of kept) this.#waiting.push(request)
    return dropped
  }

  select(event: EventObject | null): void {
    this.#event = event
    if (this.#waiting.length > 0) this.#signal()
  }

  /** After an accept: reset, then look again, so that no signal for a request that is left gets lost (RACE-4). */
  rearm(): void {
    this.#event?.reset()
    if (this.#waiting.length > 0) this.#signal()
  }

  /** The recorded events, cleared. */
  enumerate(event: EventObject | null): number {
    const mask = this.#recorded
    this.#recorded = 0
    event?.reset()
    return mask
  }

  #signal(): void {
    this.#recorded = FD_ACCEPT
    this.#event?.set()
  }
}

function effective(backlog: number): number {
  return backlog >= SOMAXCONN || backlog < 1 ? DEFAULT_BACKLOG : backlog
}
