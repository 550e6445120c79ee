import { WSA, failure, success } from '../../spi/index.ts'
import type { RdmaAccess, Result, Status } from '../../spi/index.ts'
import { step } from '../../base/machine.ts'
import type { EventOf, StateOf, Table } from '../../base/machine.ts'
import type { Fabric } from '../../native/fabric.ts'
import { resourceCode } from './errno.ts'
import * as layout from './layout.ts'
import * as messages from './messages.ts'
import type { Outbox, Outgoing } from './outbox.ts'
import type { Slot } from './slot.ts'

/** Which event is legal when, for a stretch of the application's memory; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The peer may read there. */
  open: { concealed: 'draining', closed: 'lingering' },
  /** This side is through with the connection: what the peer is reading it may read to its end. */
  lingering: { concealed: 'draining' },
  /** Nothing more can be asked for; what was may still be on its way. */
  draining: { gone: 'drained' },
  /** It is the application's again. */
  drained: {},
} as const satisfies Table

interface Exposed {
  /** Kept for as long as the fabric may look at it. */
  readonly memory: Uint8Array
  /** The fabric's number; undefined where the peer may not read. */
  readonly exposure: number | undefined
  state: StateOf<typeof TRANSITIONS>
  /** Once this message has gone, so has all that was asked for; undefined while it is not posted. */
  fence: number | undefined
  /** Heartbeats in a state that is to end. */
  beats: number
}

/** What one connection exposes, by descriptor. */
interface Holding {
  readonly all: Map<number, Exposed>
  /** Nobody is to be told, or asks, what becomes of it. */
  isClosed: boolean
}

const ACCESSES: readonly string[] = ['read', 'write', 'readWrite']
/** So many heartbeats are left to a peer for the read that it had begun when this side closed. */
const MAX_LINGERING = 1

/**
 * The application memory that the connections on a link let the peer read. After {@link Fabric.conceal} the fabric refuses what
 * is asked for, but what was asked for before may still wait for the peer to take it: until a message sent after it has gone,
 * the memory is not the application's again.
 */
export class Exposures implements Outgoing {
  queued = false
  readonly #fabric: Fabric
  readonly #link: number
  readonly #outbox: Outbox
  readonly #holdings = new Map<Slot, Holding>()
  #descriptors = 0

  constructor(fabric: Fabric, link: number, outbox: Outbox) {
    this.#fabric = fabric
    this.#link = link
    this.#outbox = outbox
  }

  // --- what the connection says -------------------------------------------------------------------------------------

  /** EXPOSE-1 to -3. The peer hears of it before the next signal. */
  expose(slot: Slot, memory: Uint8Array, access: RdmaAccess): Result<number> {
    if (memory.length === 0 || !ACCESSES.includes(access)) return failure(WSA.WSAEINVAL)
    const { all } = this.#holdingOf(slot)
    if (memory.length > layout.MAX_EXPOSED_BYTES || all.size >= layout.MAX_EXPOSED)
      return failure(WSA.WSAENOBUFS)
    this.#descriptors = (this.#descriptors + 1) >>> 0
    const descriptor = this.#descriptors
    let exposure: number | undefined
    if (access !== 'write') {
      const exposed = this.#fabric.expose(this.#link, memory)
      if (typeof exposed === 'number') return failure(resourceCode(-exposed))
      exposure = exposed.exposure
      const words = [descriptor, memory.length, ...halves(exposed.address), ...halves(exposed.key)]
      slot.announce({ kind: messages.EXPOSE, words })
    }
    all.set(descriptor, { memory, exposure, state: 'open', fence: undefined, beats: 0 })
    return success(descriptor)
  }

  #holdingOf(slot: Slot): Holding {
    const known = this.#holdings.get(slot)
    if (known !== undefined) return known
    const holding: Holding = { all: new Map(), isClosed: false }
    this.#holdings.set(slot, holding)
    return holding
  }

  /** EXPOSE-4; asked again it may say otherwise, and the slot's holder is signalled when it does. */
  conceal(slot: Slot, descriptor: number): Status {
    const all = this.#holdings.get(slot)?.all
    const exposed = all?.get(descriptor)
    if (all === undefined || exposed === undefined) return WSA.WSAEINVAL
    if (exposed.exposure !== undefined) {
      if (exposed.state === 'open') this.#withdraw(slot, descriptor, exposed)
      this.#fabric.look(this.#link)
      if (!this.#isDrained(exposed)) {
        this.#outbox.wantNews()
        return WSA.WSAEINVAL
      }
    }
    all.delete(descriptor)
    return 0
  }

  #withdraw(slot: Slot, descriptor: number, exposed: Exposed): void {
    this.#close(exposed)
    slot.announce({
      kind: messages.CONCEAL,
      words: [descriptor],
      sent: (message) => {
        exposed.fence = message
      },
    })
    slot.link.send(slot)
  }

  /** This side is through with the connection. */
  closed(slot: Slot): void {
    const holding = this.#holdings.get(slot)
    if (holding === undefined) return
    holding.isClosed = true
    for (const [descriptor, exposed] of holding.all) {
      if (exposed.exposure === undefined || this.#isDrained(exposed)) holding.all.delete(descriptor)
      else if (exposed.state === 'open') this.#move(exposed, 'closed')
    }
    if (holding.all.size === 0) this.#holdings.delete(slot)
  }

  /** The peer is through with the connection, and reads nothing of it any more. */
  peerClosed(slot: Slot): void {
    let isToFence = false
    for (const exposed of this.#holdings.get(slot)?.all.values() ?? []) {
      if (exposed.state !== 'open' && exposed.state !== 'lingering') continue
      this.#close(exposed)
      isToFence = true
    }
    if (isToFence) this.#fenceOff()
  }

  // --- how they end -------------------------------------------------------------------------------------------------

  #move(exposed: Exposed, event: EventOf<typeof TRANSITIONS>): void {
    exposed.state = step('exposure', TRANSITIONS, exposed.state, event)
    exposed.beats = 0
  }

  #close(exposed: Exposed): void {
    this.#move(exposed, 'concealed')
    if (exposed.exposure !== undefined) this.#fabric.conceal(this.#link, exposed.exposure)
  }

  #isDrained(exposed: Exposed): boolean {
    const { state, fence } = exposed
    if (state === 'draining' && fence !== undefined && this.#outbox.hasGone(fence))
      this.#move(exposed, 'gone')
    return exposed.state === 'drained'
  }

  // A message about nothing, where no other can be the fence.
  #fenceOff(): void {
    this.#outbox.add(this)
    this.#outbox.flush()
    this.#outbox.wantNews()
  }

  post(outbox: Outbox): boolean {
    if (outbox.begin() < 0 || !outbox.send(messages.NOTHING, 0, 0, 0, true)) return false
    for (const { all } of this.#holdings.values()) {
      for (const exposed of all.values()) {
        if (exposed.state === 'draining') exposed.fence ??= outbox.sent
      }
    }
    return true
  }

  /** Messages have gone: forgets what went with them, or tells whoever was to ask again, once. */
  settle(): void {
    let isWaiting = false
    for (const [slot, holding] of this.#holdings) {
      for (const [descriptor, exposed] of holding.all) {
        if (exposed.state !== 'draining') continue
        if (!this.#isDrained(exposed)) isWaiting = true
        else if (holding.isClosed) holding.all.delete(descriptor)
        else slot.holder.signalled()
      }
      if (holding.isClosed && holding.all.size === 0) this.#holdings.delete(slot)
    }
    if (isWaiting) this.#outbox.wantNews()
  }

  /** A heartbeat has passed; false when the peer has not taken what it asked for, and counts as dead. */
  beat(): boolean {
    let isToFence = false
    for (const { all } of this.#holdings.values()) {
      for (const exposed of all.values()) {
        if (exposed.state === 'open' || exposed.state === 'drained') continue
        exposed.beats += 1
        if (exposed.state === 'draining' && exposed.beats > layout.MAX_STALLED_BEATS) return false
        if (exposed.state !== 'lingering' || exposed.beats <= MAX_LINGERING) continue
        this.#close(exposed)
        isToFence = true
      }
    }
    if (isToFence) this.#fenceOff()
    return true
  }

  /** The link has ended, and the fabric with it. */
  clear(): void {
    this.#holdings.clear()
  }
}

/** A number of 64 bits in two of 32, the low one first. */
function halves(number: bigint): [number, number] {
  return [Number(number & 0xffff_ffffn), Number(number >> 32n)]
}
