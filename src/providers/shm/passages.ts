import { WSA, failure, success } from '../../spi/index.ts'
import type { Result } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import { acceptingLinks } from './accept-link.ts'
import type { Expecting } from './connection.ts'
import { connectCode } from './errno.ts'
import type { Incoming } from './incoming.ts'
import type { Link } from './link.ts'
import type { LinkMaker } from './link-host.ts'
import { LOOK_MS, MAX_EXPECTED, decodePassage } from './moving.ts'
import type { Passage, Ticket } from './moving.ts'
import { Rendezvous } from './rendezvous.ts'
import type { SlotRequest } from './request.ts'
import { enterRendezvous } from './routes.ts'
import { Slot } from './slot.ts'
import { Summons, summon } from './summons.ts'

export interface PassageHost extends LinkMaker {
  /** The links that stand, both roles. */
  readonly links: Iterable<Link>
}

/** Where connections that move meet again: one side waits under the name of its ticket, the other one comes and knocks. */
export class Passages {
  readonly #host: PassageHost
  /** Who waits under which name for the next process of its peer. */
  readonly #expected = new Map<
    string,
    { readonly secret: Uint8Array; readonly whom: Expecting; readonly stop: Cancel }
  >()
  /** Passages that were used and might be shown again. */
  readonly #used = new Set<string>()

  constructor(host: PassageHost) {
    this.#host = host
  }

  /** A passage is good once, and in this process only. */
  admit(bytes: Uint8Array): Result<Passage> {
    const passage = decodePassage(bytes)
    if (passage?.processId !== process.pid || this.#used.has(passage.ticket.name))
      return failure(WSA.WSAEINVAL)
    this.#used.add(passage.ticket.name)
    this.#host.clock.after(2 * this.#host.limits.moveMs, () => this.#used.delete(passage.ticket.name))
    return success(passage)
  }

  /**
   * Offers the rendezvous of a peer that has moved.
   *
   * @returns takes it away; undefined when too many are offered.
   */
  expect({ name, secret, summons }: Ticket, whom: Expecting): Cancel | undefined {
    // Each costs a descriptor, and a hostile peer can make all its connections move.
    if (this.#expected.size >= MAX_EXPECTED || this.#expected.has(name)) return undefined
    const rendezvous = new Rendezvous(this.#host, name, acceptingLinks(this.#host, name))
    if (rendezvous.open() !== 0) return undefined
    summon(this.#host.native, summons)
    const stop = (): void => {
      cancelTimer()
      rendezvous.close()
      this.#expected.delete(name)
    }
    const cancelTimer = this.#host.clock.after(this.#host.limits.moveMs, () => {
      stop()
      whom.abandoned()
    })
    this.#expected.set(name, { secret, whom, stop })
    return stop
  }

  /** Takes a request for a name under which somebody waits; whoever comes shows the secret. */
  take(incoming: Incoming, { listener, callerData }: SlotRequest): boolean {
    const expected = this.#expected.get(listener)
    if (expected === undefined) return false
    const { whom, secret, stop } = expected
    const slot = Buffer.compare(secret, callerData) === 0 ? Slot.of(incoming) : undefined
    if (slot === undefined) {
      incoming.refuse(WSA.WSAEACCES)
    } else if (whom.isParked) {
      whom.rejoin(slot)
    } else {
      stop()
      incoming.refuse(WSA.WSAECONNRESET)
    }
    return true
  }

  /**
   * Knocks where the peer of a connection that moved here waits: at once, and when it says that it has opened.
   *
   * @param tried Links to that process at whose other end it does not wait.
   */
  knock(
    { peerPid, ticket }: Passage,
    tried: ReadonlySet<Link>,
    opened: (link: Result<Link>) => void,
  ): Cancel {
    const { clock, limits, turns } = this.#host
    const until = clock.now() + limits.moveMs
    let isOver = false
    let cancelTimer: Cancel | undefined
    const stop = (): void => {
      isOver = true
      cancelTimer?.()
      summons.close()
    }
    const knock = (): void => {
      if (isOver) return
      const link = isAlive(peerPid) ? this.#enter(ticket.name, peerPid, tried) : failure(WSA.WSAECONNRESET)
      if (!link.ok && link.error === WSA.WSAETIMEDOUT && clock.now() < until) return
      stop()
      opened(link)
    }
    // Nobody tells us that the peer has died.
    const look = (): void => {
      if (isOver) return
      cancelTimer = clock.after(LOOK_MS, look)
      knock()
    }
    // First, so that it either finds us waiting or is found.
    const summons = new Summons(this.#host, ticket.summons, peerPid, knock)
    turns.schedule(look)
    return stop
  }

  // A link costs memory and descriptors: where there is one already, it carries this connection, too.
  #enter(name: string, peerPid: number, tried: ReadonlySet<Link>): Result<Link> {
    for (const link of this.#host.links) {
      if (tried.has(link) || !leadsTo(link, peerPid)) continue
      const fd = this.#host.native.connect(name)
      if (fd < 0) return failure(connectCode(fd))
      this.#host.native.close(fd)
      return success(link)
    }
    return enterRendezvous(this.#host, name, (peer) => peer.pid === peerPid)
  }

  close(): void {
    for (const { stop } of [...this.#expected.values()]) stop()
  }
}

/** By the kernel's word: whoever only says that it is that process must not see the secret. */
function leadsTo(link: Link, processId: number): boolean {
  return link.role === 'opener' && link.state === 'up' && !link.isReferred && link.peer.pid === processId
}

function isAlive(processId: number): boolean {
  try {
    return process.kill(processId, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}
