import { channel } from 'node:diagnostics_channel'
import type { SocketAddress, WsaCode } from '../spi/index.ts'
import type { Role } from './policy.ts'
import type { Reason } from './reasons.ts'

/** A connection that a SAN carries. Published on `sockswitch:connect` and `sockswitch:accept`. */
export interface SwitchedMessage {
  readonly provider: string
  readonly local: SocketAddress
  readonly remote: SocketAddress
}

/** A connect that failed for good over the SAN. Published on `sockswitch:refuse`. */
export interface RefusedMessage {
  readonly code: WsaCode
  readonly remote: SocketAddress
}

/** What stays on TCP/IP. Published on `sockswitch:stay`. */
export interface StayMessage {
  readonly reason: Reason
  readonly role?: Role
  /** connect: where to; listen: the address bound; accept: where the peer comes from. */
  readonly address?: SocketAddress
}

const CONNECT = channel('sockswitch:connect')
const ACCEPT = channel('sockswitch:accept')
const REFUSE = channel('sockswitch:refuse')
const STAY = channel('sockswitch:stay')

/** Counts what became of connections and listeners since the switch started, and tells whoever subscribes. */
export class Stats {
  connects = 0
  accepts = 0
  refusals = 0
  #observedAccepts = 0
  readonly #reasons = new Map<Reason, number>()

  connected(provider: string, local: SocketAddress, remote: SocketAddress): void {
    this.connects += 1
    if (CONNECT.hasSubscribers) CONNECT.publish({ provider, local, remote } satisfies SwitchedMessage)
  }

  accepted({ provider, local, remote }: SwitchedMessage): void {
    this.accepts += 1
    if (ACCEPT.hasSubscribers) ACCEPT.publish({ provider, local, remote } satisfies SwitchedMessage)
  }

  refused(code: WsaCode, remote: SocketAddress): void {
    this.refusals += 1
    if (REFUSE.hasSubscribers) REFUSE.publish({ code, remote } satisfies RefusedMessage)
  }

  /** A peer's request that rules turn away; it goes on over TCP/IP. */
  turnedAway(reason: 'rule' | 'observed', remote: SocketAddress): void {
    if (reason === 'observed') this.#observedAccepts += 1
    if (STAY.hasSubscribers) STAY.publish({ reason, role: 'accept', address: remote } satisfies StayMessage)
  }

  stayed(reason: Reason, role?: Role, address?: SocketAddress): void {
    this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1)
    if (STAY.hasSubscribers) {
      STAY.publish({ reason, ...(role && { role }), ...(address && { address }) } satisfies StayMessage)
    }
  }

  /** What would have been switched, had it not only been observed. */
  get observed(): { readonly connects: number; readonly accepts: number } {
    return { connects: this.#reasons.get('observed') ?? 0, accepts: this.#observedAccepts }
  }

  /** How many stayed on TCP/IP, by reason. */
  get reasons(): Readonly<Partial<Record<Reason, number>>> {
    return Object.fromEntries(this.#reasons)
  }
}
