import { WSA } from '../../spi/index.ts'
import type { Overlapped, Status } from '../../spi/index.ts'
import type { Backlog } from '../../base/backlog.ts'
import type { PendingRequest } from './link.ts'

/** Told once that a request waits no more. */
export type PendedEnded = (pended: Overlapped, status: Status) => void

/** The requests of one listening socket that wait for judgement. */
export class PendedRequests {
  readonly #waiting = new Map<Overlapped, PendingRequest>()
  readonly #backlog: Backlog<PendingRequest>
  readonly #ended: PendedEnded

  /** @param backlog Against which they count. */
  constructor(backlog: Backlog<PendingRequest>, ended: PendedEnded) {
    this.#backlog = backlog
    this.#ended = ended
  }

  /** Lets `request` wait, and tells its opener. */
  add(pended: Overlapped, request: PendingRequest): void {
    this.#waiting.set(pended, request)
    this.#backlog.pend()
    pended.begin()
    request.lost = () => {
      this.remove(pended, WSA.WSAECONNRESET)
    }
    request.link.judging(request)
  }

  get(pended: Overlapped): PendingRequest | undefined {
    return this.#waiting.get(pended)
  }

  /** The request waits no more; undefined when it did not. */
  remove(pended: Overlapped, status: Status): PendingRequest | undefined {
    const request = this.#waiting.get(pended)
    if (request === undefined) return undefined
    this.#waiting.delete(pended)
    request.lost = undefined
    this.#backlog.unpend()
    pended.end(status, 0)
    this.#ended(pended, status)
    return request
  }

  /** The listener closes: nothing waits any more. Returns the requests to be refused. */
  clear(): PendingRequest[] {
    const left = [...this.#waiting.values()]
    for (const pended of [...this.#waiting.keys()]) this.remove(pended, WSA.WSA_OPERATION_ABORTED)
    return left
  }
}
