import { WSA, failure, success } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import type { Link } from './link.ts'
import type { Later, Route, Way } from './routes.ts'

/**
 * The way to a group of listeners: one link for each member, and the connects go to them in turn. A member that leaves
 * requests unanswered is passed over while others answer.
 */
export class GroupRoute implements Route {
  readonly #maxWaiting: number
  readonly #open: (member: number) => Way
  readonly #links = new Map<number, Link>()
  /** Links that have not said yet which member they lead to. */
  readonly #fresh = new Set<Link>()
  /** Connects made before any member has said who the others are. */
  readonly #waiting: Later[] = []
  #members: readonly number[] = []
  #next = 0

  /** @param open Makes a link to a member, or, if that is gone, to another. */
  constructor(maxWaiting: number, open: (member: number) => Way) {
    this.#maxWaiting = maxWaiting
    this.#open = open
  }

  /** Members known. */
  get size(): number {
    return this.#members.length
  }

  get links(): Iterable<Link> {
    return [...this.#links.values(), ...this.#fresh]
  }

  add(link: Link): void {
    this.#fresh.add(link)
  }

  choose(later: Later): Way | 'later' {
    if (this.#members.length > 0) return this.#choose()
    if (this.#waiting.length >= this.#maxWaiting) return failure(WSA.WSAEPROCLIM)
    this.#waiting.push(later)
    return 'later'
  }

  #choose(): Way {
    const members = this.#members
    let best = -1
    let fewest = Infinity
    for (let i = 0; i < members.length && fewest > 0; i++) {
      const at = (this.#next + i) % members.length
      const unanswered = this.#links.get(members[at] as number)?.unanswered ?? 0
      if (unanswered >= fewest) continue
      fewest = unanswered
      best = at
    }
    const member = members[best]
    if (member === undefined) return failure(WSA.WSAETIMEDOUT)
    this.#next = (best + 1) % members.length
    const known = this.#links.get(member)
    if (known !== undefined) return success(known)
    const opened = this.#open(member)
    if (opened.ok) this.#links.set(member, opened.value)
    if (opened.ok) return opened
    // The head is gone or too busy; whom we know still serves.
    const [other] = this.#links.values()
    return other === undefined ? opened : success(other)
  }

  /** What the acceptor of `link` says: which member it is, and which there are. */
  regroup(link: Link, member: number, members: readonly number[]): void {
    if (!this.#forget(link)) return
    this.#links.set(member, link)
    // The one that was found first has the first turn.
    if (this.#members.length === 0) this.#next = Math.max(members.indexOf(member), 0)
    this.#members = members
    this.#next %= members.length
    for (const later of this.#waiting.splice(0)) later(this.#choose())
  }

  drop(link: Link, idle = false): boolean {
    const member = [...this.#links].find(([, held]) => held === link)?.[0]
    if (this.#forget(link) && !idle) this.#members = this.#members.filter((other) => other !== member)
    return this.#links.size === 0 && this.#fresh.size === 0
  }

  #forget(link: Link): boolean {
    let known = this.#fresh.delete(link)
    for (const [member, held] of this.#links) {
      if (held !== link) continue
      this.#links.delete(member)
      known = true
    }
    return known
  }

  /** No link is left, and with it no answer. */
  giveUp(code: WsaCode): void {
    for (const later of this.#waiting.splice(0)) later(failure(code))
  }
}
