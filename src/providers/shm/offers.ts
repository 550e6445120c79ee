import { WSA } from '../../spi/index.ts'
import type { Sharing, SocketAddress, Status, WsaCode } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import { step } from '../../base/machine.ts'
import { acceptLink, acceptingLinks } from './accept-link.ts'
import { GroupHead } from './group-head.ts'
import type { GroupHost } from './group-head.ts'
import { GroupMember } from './group-member.ts'
import { groupName, portName, rendezvousName } from './names.ts'
import { TRANSITIONS } from './offer-state.ts'
import type { OfferEvent, OfferState } from './offer-state.ts'
import { Rendezvous } from './rendezvous.ts'
import type { Visit } from './rendezvous.ts'
import { holdsListener, identifyPeer } from './trust.ts'

/** What a listener does so that openers find it. */
export interface Offer {
  /** Under which names requests may ask for the listener. */
  readonly names: readonly string[]
  /** True while others take connections for it, too: whom it cannot take, they can. */
  readonly isShared: boolean
  /** `WSAEADDRNOTAVAIL` when somebody else has the place. */
  open(): Status
  close(): void
}

export function makeOffer(
  host: GroupHost,
  address: SocketAddress,
  sharing: Sharing | undefined,
): Offer | WsaCode {
  if (sharing === undefined) return new LoneOffer(host, address)
  switch (sharing.as) {
    case 'port':
      return portOffer(host, address, sharing.descriptor)
    case 'holder': {
      const described = host.native.describeListener(sharing.descriptor)
      // Each socket of a shared port has its own place.
      if (typeof described !== 'number' && described.sharesPort)
        return portOffer(host, address, sharing.descriptor)
      return new GroupOffer(host, address, sharing)
    }
    default:
      return new GroupOffer(host, address, sharing)
  }
}

function portOffer(host: GroupHost, address: SocketAddress, descriptor: number): Offer | WsaCode {
  const described = host.native.describeListener(descriptor)
  if (typeof described === 'number') return WSA.WSAEINVAL
  return new PortOffer(host, portName(address, described.cookie))
}

/** One of several sockets that share a port. The kernel tells openers which. */
class PortOffer implements Offer {
  readonly names: readonly string[]
  readonly isShared = false
  readonly #rendezvous: Rendezvous

  constructor(host: GroupHost, name: string) {
    this.names = [name]
    this.#rendezvous = new Rendezvous(host, name, acceptingLinks(host, name))
  }

  open(): Status {
    return this.#rendezvous.open()
  }

  close(): void {
    this.#rendezvous.close()
  }
}

/** A listener that nobody shares, so far: whoever proves to hold the same TCP socket makes it the head of a group. */
class LoneOffer implements Offer {
  readonly names: readonly string[]
  readonly #host: GroupHost
  readonly #address: SocketAddress
  readonly #rendezvous: Rendezvous
  #head: GroupHead | undefined

  constructor(host: GroupHost, address: SocketAddress) {
    this.#host = host
    this.#address = address
    const name = rendezvousName(address)
    this.names = [name, groupName(address)]
    this.#rendezvous = new Rendezvous(host, name, (visit) => {
      if (visit.message.kind === 'join') return this.#share(visit)
      // A visitor that came while we became a group.
      if (this.#head !== undefined) return this.#head.open(visit, visit.message)
      acceptLink(host, name, visit, visit.message.segmentBytes)
      return 0
    })
  }

  get isShared(): boolean {
    return this.#head !== undefined
  }

  open(): Status {
    return this.#rendezvous.open()
  }

  close(): void {
    this.#rendezvous.close()
    this.#head?.close()
  }

  #share(visit: Visit): WsaCode | 0 {
    if (this.#head !== undefined) return this.#head.join(visit)
    const admits = provesToHold(this.#host, this.#address)
    if (!admits(visit)) return WSA.WSAEACCES
    const head = new GroupHead(this.#host, groupName(this.#address), {
      serves: true,
      admits,
      names: this.names,
    })
    const status = head.start()
    if (status !== 0) return status
    this.#head = head
    // From here on openers come to the group's name; who is at this door still gets in.
    this.#host.turns.schedule(() => {
      this.#rendezvous.close()
    })
    return head.join(visit)
  }
}

function provesToHold(host: GroupHost, address: SocketAddress): (visit: Visit) => boolean {
  return ({ message, peer }) =>
    message.kind === 'join' &&
    message.descriptor !== undefined &&
    holdsListener(host.native, peer.pid, message.descriptor, address)
}

const FIRST_WAIT_MS = 10
/** Each wait is twice as long as the one before; after so many there is nothing to be had. */
const MAX_WAITS = 8

/** A listener that shares its TCP socket, or takes connections for a process that has it. */
class GroupOffer implements Offer {
  readonly names: readonly string[]
  readonly isShared = true
  readonly #host: GroupHost
  readonly #address: SocketAddress
  readonly #sharing: Exclude<Sharing, { as: 'port' }>
  #state: OfferState = 'outside'
  #head: GroupHead | undefined
  #member: GroupMember | undefined
  #cancelWait: Cancel | undefined
  #waits = 0

  constructor(host: GroupHost, address: SocketAddress, sharing: Exclude<Sharing, { as: 'port' }>) {
    this.#host = host
    this.#address = address
    this.#sharing = sharing
    // A head that takes nothing itself has no name that a request could ask for.
    this.names = sharing.as === 'head' ? [] : [groupName(address)]
  }

  #move(event: OfferEvent): void {
    this.#state = step('offer', TRANSITIONS, this.#state, event)
  }

  open(): Status {
    if (this.#sharing.as === 'head') return this.#lead()
    const found = this.#look()
    // Who may lead comes in sooner or later; who may not needs a head.
    return this.#sharing.as === 'holder' ? 0 : found
  }

  close(): void {
    this.#cancelWait?.()
    this.#member?.close()
    this.#head?.close()
    this.#move('close')
  }

  /** Joins whoever is there, or leads. */
  #look(): Status {
    const group = groupName(this.#address)
    if (this.#sharing.as === 'member') {
      if (this.#join(group)) return 0
      this.#move('left')
      return WSA.WSAEADDRNOTAVAIL
    }
    // A listener that has been alone so far holds the plain name.
    if (this.#join(group) || this.#join(rendezvousName(this.#address))) return 0
    if (this.#lead() === 0) return 0
    this.#move('missed')
    this.#wait()
    return 0
  }

  #lead(): Status {
    const sharing = this.#sharing
    const admits =
      sharing.as === 'head'
        ? ({ peer }: Visit) => sharing.mayJoin(peer.pid)
        : provesToHold(this.#host, this.#address)
    const head = new GroupHead(this.#host, groupName(this.#address), {
      serves: sharing.as === 'holder',
      admits,
      names: this.names,
    })
    const status = head.start()
    if (status !== 0) return status
    this.#head = head
    this.#move('led')
    return 0
  }

  #join(at: string): boolean {
    const { native } = this.#host
    const fd = native.connect(at)
    if (fd < 0) return false
    const member = new GroupMember(this.#host, fd, groupName(this.#address), this.names, {
      admitted: () => {
        this.#waits = 0
        this.#move('admitted')
      },
      ended: (why) => {
        this.#ended(why)
      },
    })
    const descriptor = this.#sharing.as === 'holder' ? this.#sharing.descriptor : undefined
    if (typeof identifyPeer(native, fd) === 'number' || member.join(at, descriptor) !== 0) {
      native.close(fd)
      return false
    }
    this.#member = member
    this.#move('asked')
    return true
  }

  #ended(why: 'refused' | 'headGone'): void {
    const wasMember = this.#state === 'member'
    this.#member = undefined
    this.#move(why)
    if (why === 'refused') return
    // A head that is gone leaves its place to one of us.
    if (wasMember) this.#look()
    else this.#wait()
  }

  #wait(): void {
    this.#waits += 1
    if (this.#waits > MAX_WAITS) return
    this.#cancelWait = this.#host.clock.after(FIRST_WAIT_MS * 2 ** (this.#waits - 1), () => {
      this.#move('look')
      this.#look()
    })
  }
}
