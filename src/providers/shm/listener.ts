import type { SocketAddress } from '../../spi/index.ts'
import { isWildcard } from '../../spi/index.ts'
import { Backlog } from '../../base/backlog.ts'
import type { Link } from './link.ts'
import { PendedRequests } from './pended.ts'
import type { PendedEnded } from './pended.ts'
import type { SlotRequest } from './request.ts'

/** A request waiting to be accepted. */
export interface PendingRequest {
  readonly link: Link
  readonly id: number
  readonly generation: number
  readonly request: SlotRequest
}

/** The requests that wait at one listening socket. */
export class RequestQueue extends Backlog<PendingRequest> {
  readonly address: SocketAddress
  readonly pended: PendedRequests

  constructor(address: SocketAddress, backlog: number, pendedEnded: PendedEnded) {
    super(backlog)
    this.address = address
    this.pended = new PendedRequests(this, pendedEnded)
  }

  /** True when this listener answers for `local`. */
  covers(local: SocketAddress): boolean {
    if (local.port !== this.address.port) return false
    if (local.address === this.address.address) return true
    // An IPv6 wildcard listens for both families unless told otherwise; the TCP listener decides who gets here.
    return isWildcard(this.address) && (this.address.family === 'IPv6' || local.family === 'IPv4')
  }
}
