import { WSA } from '../../spi/index.ts'
import type { Overlapped, Status } from '../../spi/index.ts'
import type { Backlog } from '../../base/backlog.ts'
import type { SlotHolder } from './link.ts'
import type { PendingRequest } from './listener.ts'
import { agreeEnded, announceJudging, isOpen } from './slot.ts'

/** Told once that a request waits no more. */
export type PendedEnded = (pended: Overlapped, status: Status) => void

/** A request that waits for judgement. It holds its slot, and so hears when the opener gives up. */
class PendedRequest implements SlotHolder {
  readonly request: PendingRequest
  readonly #lost: () => void

  constructor(request: PendingRequest, lost: () => void) {
    this.request = request
    this.#lost = lost
  }

  notified(): void {
    this.look()
  }
  ended(): void {
    this.look()
  }
  linkDown(): void {
    this.look()
  }

  look(): void {
    if (!isOpen(this.request)) this.#lost()
  }
}

/** The pended requests of one listening socket. */
export class PendedRequests {
  readonly #waiting = new Map<Overlapped, PendedRequest>()
  readonly #backlog: Backlog<PendingRequest>
  readonly #ended: PendedEnded

  /** @param backlog Against which they count. */
  constructor(backlog: Backlog<PendingRequest>, ended: PendedEnded) {
    this.#backlog = backlog
    this.#ended = ended
  }

  /** Lets `request` wait, and tells its opener; false when there is no memory to tell it in. */
  add(pended: Overlapped, request: PendingRequest): boolean {
    if (!announceJudging(request)) return false
    const held = new PendedRequest(request, () => {
      const { link, id, generation } = request
      this.remove(pended, WSA.WSAECONNRESET)
      if (link.state === 'up') agreeEnded(link, id, generation)
    })
    this.#waiting.set(pended, held)
    this.#backlog.pend()
    pended.begin()
    request.link.hold(request.id, held)
    return true
  }

  /** The request that waits as `pended`, if its opener still wants it. */
  get(pended: Overlapped): PendingRequest | undefined {
    this.#waiting.get(pended)?.look()
    return this.#waiting.get(pended)?.request
  }

  /** The request waits no more; undefined when it did not. */
  remove(pended: Overlapped, status: Status): PendingRequest | undefined {
    const held = this.#waiting.get(pended)
    if (held === undefined) return undefined
    this.#waiting.delete(pended)
    this.#backlog.unpend()
    pended.end(status, 0)
    held.request.link.free(held.request.id)
    this.#ended(pended, status)
    return held.request
  }

  /** The listener closes: nothing waits any more. Returns the requests to be refused. */
  clear(): PendingRequest[] {
    const left: PendingRequest[] = []
    for (const pended of [...this.#waiting.keys()]) {
      const request = this.remove(pended, WSA.WSA_OPERATION_ABORTED)
      if (request !== undefined) left.push(request)
    }
    return left
  }
}
