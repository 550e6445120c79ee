import { WSA } from '../../spi/index.ts'
import type { Status, WsaCode } from '../../spi/index.ts'
import type { Watcher } from '../../native/shm.ts'
import { acceptLink } from './accept-link.ts'
import type { Link } from './link.ts'
import type { LinkMaker } from './link-host.ts'
import { MAX_MEMBERS, encodeMessage } from './messages.ts'
import { Rendezvous } from './rendezvous.ts'
import type { Visit } from './rendezvous.ts'
import { closeAll } from './segments.ts'

/** What the parts of a group need of the provider. */
export interface GroupHost extends LinkMaker {
  /** The links that openers have made to a listener, under any of its names. */
  linksAt(names: readonly string[]): readonly Link[]
}

export interface HeadOptions {
  /** True when the head is a member itself. */
  readonly serves: boolean
  /** Whether whoever wants to join may. */
  readonly admits: (visit: Visit) => boolean
  /** Under which names openers have come to the head itself, the group's among them. */
  readonly names: readonly string[]
}

interface Member {
  readonly fd: number
  readonly watcher: Watcher
}

/** The head's own number. */
const SELF = 0

/**
 * The head of a group: holds its rendezvous, and gives each opener that comes to one of the members, which goes on with it
 * alone. No connection passes through here.
 */
export class GroupHead {
  readonly #host: GroupHost
  readonly #options: HeadOptions
  readonly #rendezvous: Rendezvous
  readonly #members = new Map<number, Member>()
  /** The member after which the next turn begins. */
  #last = -1
  #tellScheduled = false
  #closed = false

  constructor(host: GroupHost, name: string, options: HeadOptions) {
    this.#host = host
    this.#options = options
    this.#rendezvous = new Rendezvous(host, name, (visit) =>
      visit.message.kind === 'join' ? this.join(visit) : this.open(visit, visit.message),
    )
  }

  /** `WSAEADDRNOTAVAIL` when the group has a head. */
  start(): Status {
    return this.#rendezvous.open()
  }

  close(): void {
    this.#closed = true
    this.#rendezvous.close()
    for (const { fd, watcher } of this.#members.values()) {
      watcher.close()
      this.#host.native.close(fd)
    }
    this.#members.clear()
  }

  get #numbers(): number[] {
    const numbers = [...this.#members.keys(), ...(this.#options.serves ? [SELF] : [])]
    return numbers.sort((a, b) => a - b)
  }

  // --- members ------------------------------------------------------------------------------------------------------

  /** Somebody wants to be a member. */
  join(visit: Visit): WsaCode | 0 {
    if (visit.fds.length > 0) return WSA.WSAEFAULT
    if (!this.#options.admits(visit)) return WSA.WSAEACCES
    let number = SELF + 1
    while (this.#members.has(number)) number += 1
    if (number >= MAX_MEMBERS) return WSA.WSAEPROCLIM
    const { fd } = visit
    // A member says nothing more; its channel ends when it leaves.
    const watcher = this.#host.turns.watch(fd, () => {
      this.#remove(number)
    })
    this.#members.set(number, { fd, watcher })
    this.#tell(number, fd, this.#numbers)
    this.#tellSoon()
    return 0
  }

  #remove(number: number): void {
    const member = this.#members.get(number)
    if (member === undefined) return
    this.#members.delete(number)
    member.watcher.close()
    this.#host.native.close(member.fd)
    this.#tellSoon()
  }

  // A member that does not read what it is told, knows less; it is asked for nothing that it could not refuse.
  #tell(number: number, fd: number, members: readonly number[]): void {
    this.#host.native.send(
      fd,
      encodeMessage({ kind: 'group', member: number, processId: process.pid, members }),
      [],
    )
  }

  /** Tells everybody once, however many come and go in this turn. */
  #tellSoon(): void {
    if (this.#tellScheduled) return
    this.#tellScheduled = true
    this.#host.turns.schedule(() => {
      this.#tellScheduled = false
      if (this.#closed) return
      const members = this.#numbers
      for (const [number, { fd }] of this.#members) this.#tell(number, fd, members)
      if (!this.#options.serves) return
      for (const link of this.#host.linksAt(this.#options.names)) link.tellGroup(SELF, members)
    })
  }

  // --- openers ------------------------------------------------------------------------------------------------------

  /** An opener wants a link: to the member it names, if that is still there, else to the next in turn. */
  open(visit: Visit, wanted: { readonly segmentBytes: number; readonly member?: number }): WsaCode | 0 {
    if (visit.fds.length !== 3) return WSA.WSAEFAULT
    const members = this.#numbers
    if (members.length === 0) return WSA.WSAETIMEDOUT
    const first = this.#inTurn(members, wanted.member)
    for (let i = 0; i < members.length; i++) {
      const number = members[(first + i) % members.length] as number
      if (!this.#give(number, visit, wanted.segmentBytes, members)) continue
      if (number !== wanted.member) this.#last = number
      return 0
    }
    return WSA.WSAEPROCLIM
  }

  #inTurn(members: readonly number[], wanted: number | undefined): number {
    const asked = wanted === undefined ? -1 : members.indexOf(wanted)
    if (asked >= 0) return asked
    const next = members.findIndex((number) => number > this.#last)
    return next < 0 ? 0 : next
  }

  #give(number: number, visit: Visit, segmentBytes: number, members: readonly number[]): boolean {
    if (number === SELF) {
      acceptLink(this.#host, this.#rendezvous.name, visit, segmentBytes)?.tellGroup(SELF, members)
      return true
    }
    const { native } = this.#host
    const member = this.#members.get(number)
    const message = encodeMessage({ kind: 'forward', segmentBytes })
    if (member === undefined || native.send(member.fd, message, [visit.fd, ...visit.fds]) !== 0) return false
    closeAll(native, [visit.fd, ...visit.fds])
    return true
  }
}
