import type { WsaCode } from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import type { Quota } from '../../base/quota.ts'
import type { ShmNative } from '../../native/shm.ts'
import type { Turns } from '../../native/turns.ts'
import type { ShmLimits } from './limits.ts'
import type { Link } from './link.ts'

/** What a link needs of the provider around it. */
export interface LinkHost {
  readonly native: ShmNative
  readonly turns: Turns
  readonly limits: ShmLimits
  readonly clock: Clock
  /** Bytes of shared memory that the process may allocate. */
  readonly budget: Quota
  /** A slot without a holder was notified: a request, or the end of one nobody took. */
  requested(link: Link, id: number): void
  /** The link can carry no further connection. */
  linkClosed(link: Link, code: WsaCode): void
  /** The acceptor says which member of its group it is, and which there are. */
  regrouped(link: Link, member: number, members: readonly number[]): void
}

/** What making links needs of it besides. */
export interface LinkMaker extends LinkHost {
  /** True while the limits allow another link. */
  mayLink(): boolean
  /** There is a new link. */
  linked(link: Link): void
}
