import type { ConnectionMemory, WsaCode } from '../../spi/index.ts'
import { step } from '../../base/machine.ts'
import type { EventOf, StateOf, Table } from '../../base/machine.ts'
import type { FurtherPiece } from './further-pool.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import * as messages from './messages.ts'
import type { Outbox, Outgoing } from './outbox.ts'
import { RangeSet } from './range-set.ts'
import { PeerMemory } from './reads.ts'

/** What the acceptor has answered to a request. */
export type Answer =
  | { readonly kind: 'accepted'; readonly calleeData: Uint8Array }
  | { readonly kind: 'refused'; readonly code: WsaCode }
  /** The answer takes a while. */
  | { readonly kind: 'judging' }

/** Which event is legal when, for the use of a slot: who is through with it. docs/states.md is drawn from it. */
export const TRANSITIONS = {
  open: { end: 'ending', peerEnded: 'left', lost: 'over' },
  /** This side is through; the peer is to be told. */
  ending: { told: 'ended', peerEnded: 'parting', lost: 'over' },
  ended: { peerEnded: 'over', lost: 'over' },
  /** The peer is through, and may say so again. */
  left: { end: 'parting', peerEnded: 'left', lost: 'over' },
  /** Both are through; the peer is to be told. */
  parting: { told: 'over', peerEnded: 'parting', lost: 'over' },
  over: { release: 'free' },
  free: {},
} as const satisfies Table

type State = StateOf<typeof TRANSITIONS>

/** What a slot tells the connection that holds it. */
export interface SlotHolder {
  answered(answer: Answer): void
  signalled(): void
  /** The peer is through with the connection. */
  ended(): void
  /** The peer is gone, and with it the link. */
  linkDown(code: WsaCode): void
  /** Both sides are through: the slot is somebody else's now. */
  released(): void
}

/** Something that goes before the next update. */
export interface Announcement {
  readonly kind: number
  readonly words: readonly number[]
  /** It has been sent as the message with that number, and reports when it has gone. */
  readonly sent?: (message: number) => void
}

interface Dirty {
  readonly memory: FurtherPiece
  readonly ranges: RangeSet
}

/**
 * One connection on a link: its two regions, what of them the peer has not been sent yet, and whether either side is
 * through with it. What waits is kept as ranges, not as copies, so a peer that takes nothing costs nothing more.
 */
export class Slot implements Outgoing {
  readonly link: Link
  readonly id: number
  readonly holder: SlotHolder
  readonly memory: ConnectionMemory
  queued = false
  #opening: { readonly kind: number; readonly bytes: Uint8Array } | undefined
  readonly #announcements: Announcement[] = []
  readonly #region = new RangeSet()
  #further: Dirty[] | undefined
  #signal = false
  #state: State = 'open'
  /** Opener: the acceptor may answer. */
  #asks: boolean
  /** The peer's further regions by their page. */
  readonly #registered = new Map<number, number>()
  #exposed: PeerMemory | undefined

  /** @param kind What goes first: the request, or the answer to it, with `data`. */
  constructor(link: Link, id: number, holder: SlotHolder, kind: number, data: Uint8Array) {
    this.link = link
    this.id = id
    this.holder = holder
    this.#opening = { kind, bytes: data }
    this.#asks = kind === messages.REQUEST
    const { bytes, words } = link
    const at = id * layout.REGION_BYTES
    const sent = layout.ARENA_AT + at
    const received = layout.MIRROR_AT + at
    bytes.fill(0, sent, sent + layout.ZEROED_BYTES)
    bytes.fill(0, received, received + layout.ZEROED_BYTES)
    this.memory = {
      send: { bytes, words, offset: sent, length: layout.REGION_BYTES, descriptor: 0 },
      receive: { bytes, words, offset: received, length: layout.REGION_BYTES },
    }
  }

  #move(event: EventOf<typeof TRANSITIONS>): void {
    this.#state = step('slot', TRANSITIONS, this.#state, event)
  }

  /** This side is not through. */
  get #isOurs(): boolean {
    return this.#state === 'open' || this.#state === 'left'
  }

  /** Lets the peer hear what goes first. */
  open(): void {
    this.link.send(this)
  }

  // --- what the connection says -------------------------------------------------------------------------------------

  /** A range of the region was written; offsets from its start. */
  wroteRegion(from: number, to: number): void {
    this.#region.add(this.memory.send.offset + from, this.memory.send.offset + to)
  }

  wroteFurther(memory: FurtherPiece, from: number, to: number): void {
    let dirty = this.#further?.find((one) => one.memory === memory)
    if (dirty === undefined) (this.#further ??= []).push((dirty = { memory, ranges: new RangeSet() }))
    dirty.ranges.add(memory.offset + from, memory.offset + to)
  }

  signal(): void {
    this.#signal = true
    this.link.send(this)
  }

  announce(announcement: Announcement): void {
    this.#announcements.push(announcement)
  }

  register(memory: FurtherPiece): void {
    this.announce({ kind: messages.REGISTER, words: [memory.descriptor, memory.length] })
  }

  withdraw(memory: FurtherPiece): void {
    this.announce({ kind: messages.DEREGISTER, words: [memory.descriptor] })
    this.#further = this.#further?.filter((dirty) => dirty.memory !== memory)
  }

  /** This side is through: nothing follows what was written. */
  end(): void {
    if (this.link.lives) {
      this.#move('end')
      this.link.send(this)
    } else this.#lose()
  }

  // --- sending ------------------------------------------------------------------------------------------------------

  post(outbox: Outbox): boolean {
    if (!this.#postOpening(outbox) || !this.#postAnnouncements(outbox) || !this.#postUpdate(outbox))
      return false
    if (this.#state !== 'ending' && this.#state !== 'parting') return true
    if (outbox.begin() < 0 || !outbox.send(messages.END, 0, this.id, 0)) return false
    this.#move('told')
    this.#releaseWhenOver()
    return true
  }

  #postOpening(outbox: Outbox): boolean {
    if (this.#opening === undefined) return true
    const at = outbox.begin()
    const { kind, bytes } = this.#opening
    if (at < 0) return false
    outbox.bytes.set(bytes, at + messages.HEADER_BYTES)
    if (!outbox.send(kind, 0, this.id, bytes.length)) return false
    this.#opening = undefined
    return true
  }

  #postAnnouncements(outbox: Outbox): boolean {
    for (let next = this.#announcements[0]; next !== undefined; next = this.#announcements[0]) {
      const at = outbox.begin()
      if (at < 0) return false
      const { kind, words, sent } = next
      for (const [i, word] of words.entries()) putWord(outbox.bytes, at + messages.HEADER_BYTES + 4 * i, word)
      if (!outbox.send(kind, 0, this.id, 4 * words.length, sent !== undefined)) return false
      sent?.(outbox.sent)
      this.#announcements.shift()
    }
    return true
  }

  // What is small, and of few ranges, goes along in the message; what is not is written past the peer's processor, before it.
  #postUpdate(outbox: Outbox): boolean {
    let further = 0
    let size = messages.HEADER_BYTES + this.#region.bytes + this.#region.count * messages.RANGE_BYTES
    for (const { ranges } of this.#further ?? []) {
      further += ranges.count
      size += ranges.bytes + ranges.count * messages.RANGE_BYTES
    }
    if (this.#region.count + further === 0 && !this.#signal) return true
    const whole = size <= layout.MESSAGE_BYTES && this.#region.count + further < messages.SIGNAL
    if (!whole && !this.#writeFurther(outbox)) return false
    let at = outbox.begin()
    if (at < 0) return false
    at += messages.HEADER_BYTES
    const first = at
    const { bytes } = outbox
    if (whole) for (const { ranges } of this.#further ?? []) at = putRanges(bytes, at, ranges)
    at = putRanges(bytes, at, this.#region)
    const count = this.#region.count + (whole ? further : 0)
    if (!outbox.send(messages.UPDATE, count | (this.#signal ? messages.SIGNAL : 0), this.id, at - first))
      return false
    this.#region.clear()
    this.#further = undefined
    this.#signal = false
    return true
  }

  #writeFurther(outbox: Outbox): boolean {
    for (const { ranges } of this.#further ?? []) {
      while (ranges.count > 0) {
        const from = ranges.start(0)
        if (!outbox.write(from - layout.ARENA_AT, ranges.end(0) - from)) return false
        ranges.removeFirst()
      }
    }
    return true
  }

  // --- what the peer says -------------------------------------------------------------------------------------------

  /** False when the peer may not say that. */
  registered(page: number, bytes: number): boolean {
    const at = page * layout.PAGE_BYTES
    const isFurther = at >= layout.REGIONS_BYTES && bytes > 0 && bytes <= layout.ARENA_BYTES - at
    if (!isFurther || this.#registered.has(page) || !this.link.mayRegister) return false
    this.link.registrations += 1
    this.#registered.set(page, bytes)
    return true
  }

  deregistered(page: number): boolean {
    if (!this.#registered.delete(page)) return false
    this.link.registrations -= 1
    return true
  }

  /** The length of the peer's further region that begins at `page`. */
  lengthOf(page: number): number | undefined {
    return this.#registered.get(page)
  }

  /** The application memory that the peer lets this connection read. */
  get exposed(): PeerMemory {
    return (this.#exposed ??= new PeerMemory())
  }

  peerIsThrough(): void {
    this.#move('peerEnded')
    this.holder.ended()
    this.#releaseWhenOver()
  }

  /** False when there is nothing to answer. The acceptor said yes, or no and is through with the slot, or that it takes a while. */
  answered(answer: Answer): boolean {
    if (!this.#asks) return false
    if (answer.kind === 'refused') this.#refused(answer)
    else this.holder.answered(answer)
    if (answer.kind !== 'judging') this.#asks = false
    return true
  }

  #refused(answer: Answer): void {
    this.#move('lost')
    this.holder.answered(answer)
    this.#releaseWhenOver()
  }

  /** The peer is gone, and with it the link. */
  linkDown(code: WsaCode): void {
    if (this.#state === 'free') return
    if (this.#isOurs) this.holder.linkDown(code)
    else this.#lose()
  }

  #lose(): void {
    this.#move('lost')
    this.#releaseWhenOver()
  }

  #releaseWhenOver(): void {
    if (this.#state !== 'over') return
    this.#move('release')
    this.link.registrations -= this.#registered.size
    this.link.free(this.id)
    this.holder.released()
  }
}

function putWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word
  bytes[at + 1] = word >>> 8
  bytes[at + 2] = word >>> 16
  bytes[at + 3] = word >>> 24
}

function putRanges(bytes: Uint8Array, at: number, ranges: RangeSet): number {
  let next = at
  for (let i = 0; i < ranges.count; i++) {
    const start = ranges.start(i)
    const end = ranges.end(i)
    putWord(bytes, next, start - layout.ARENA_AT)
    putWord(bytes, next + 4, end - start)
    bytes.copyWithin(next + messages.RANGE_BYTES, start, end)
    next += messages.RANGE_BYTES + end - start
  }
  return next
}
