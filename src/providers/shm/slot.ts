import { MAX_CONNECT_DATA_BYTES, WSA } from '../../spi/index.ts'
import type { ConnectionMemory, MemoryRegion, WsaCode } from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import type { SlotView } from './link-memory.ts'
import { TICKET_BYTES } from './moving.ts'
import { writeRequest } from './request.ts'
import type { SlotRequest } from './request.ts'

/** What the acceptor has answered to a request. */
export type Answer =
  | { readonly kind: 'accepted'; readonly calleeData: Uint8Array }
  | { readonly kind: 'refused'; readonly code: WsaCode }
  | { readonly kind: 'judging' }

/** Where a request stands: in which slot, in which use of it. */
export interface RequestPlace {
  readonly link: Link
  readonly id: number
  readonly generation: number
}

/**
 * One use of a slot of a link: the two state words, and the connect data, that opener and acceptor write for each other.
 * docs/shared-memory.md explains states and generations.
 */
export class Slot {
  readonly link: Link
  readonly id: number
  readonly #generation: number
  readonly #own: SlotView
  #peer: SlotView | undefined
  #unanswered = false

  private constructor(link: Link, id: number, generation: number, own: SlotView, peer?: SlotView) {
    this.link = link
    this.id = id
    this.#generation = generation
    this.#own = own
    this.#peer = peer
  }

  /** Opener: writes a request into slot `id`, which it has taken, and announces it. */
  static request(link: Link, id: number, own: SlotView, request: SlotRequest): Slot {
    const { words, bytes } = own.segment
    const word = own.byte / 4
    const slot = new Slot(link, id, layout.nextGeneration(layout.generationOf(words[word] ?? 0)), own)
    clearRegion(own)
    words[word + layout.SLOT_DATA_BYTES] = writeRequest(
      bytes,
      regionByte(own) + layout.CONNECT_DATA_BYTE,
      request,
    )
    slot.#unanswered = true
    link.unanswered += 1
    slot.#publish(layout.PHASE_OPEN)
    return slot
  }

  /** The request is answered, or there is nobody left to answer it. */
  settle(): void {
    if (this.#unanswered) this.link.unanswered -= 1
    this.#unanswered = false
  }

  /** Acceptor: our side of a request that is to be accepted; undefined when there is no memory for it. */
  static of({ link, id, generation }: RequestPlace): Slot | undefined {
    const own = link.memory.ownSlot(id)
    const peer = link.memory.peerSlot(id)
    return own === undefined || peer === undefined ? undefined : new Slot(link, id, generation, own, peer)
  }

  /** Acceptor: says yes. */
  accept(calleeData: Uint8Array): void {
    clearRegion(this.#own)
    this.#own.segment.bytes.set(calleeData, regionByte(this.#own) + layout.CONNECT_DATA_BYTE)
    this.#own.segment.words[this.#own.byte / 4 + layout.SLOT_DATA_BYTES] = calleeData.length
    this.#publish(layout.PHASE_ACCEPTED)
  }

  /** Opener: what the acceptor has answered, if it has. Copied out of its memory. */
  answer(): Answer | undefined {
    const peer = (this.#peer ??= this.link.memory.peerSlot(this.id))
    if (peer === undefined) return undefined
    const { words, bytes } = peer.segment
    const word = peer.byte / 4
    const state = Atomics.load(words, word + layout.SLOT_STATE)
    if (layout.generationOf(state) !== this.#generation) return undefined
    switch (layout.phaseOf(state)) {
      case layout.PHASE_ACCEPTED: {
        const length = Math.min((words[word + layout.SLOT_DATA_BYTES] ?? 0) >>> 0, MAX_CONNECT_DATA_BYTES)
        const from = regionByte(peer) + layout.CONNECT_DATA_BYTE
        return { kind: 'accepted', calleeData: bytes.slice(from, from + length) }
      }
      case layout.PHASE_REFUSED:
        return { kind: 'refused', code: refusalCode(words[word + layout.SLOT_DETAIL] ?? 0) }
      case layout.PHASE_CLOSED:
      case layout.PHASE_MOVED:
        // Accepted and given up before we looked: nobody there has heard of us, so this is not final.
        return { kind: 'refused', code: WSA.WSAECONNABORTED }
      case layout.PHASE_JUDGING:
        return { kind: 'judging' }
      default:
        return undefined
    }
  }

  /** The two regions; once the request is answered. */
  get memory(): ConnectionMemory {
    invariant(this.#peer, "the peer's side is known")
    return { send: { ...regionOf(this.#own), descriptor: 0 }, receive: regionOf(this.#peer) }
  }

  /** Says that this side is through with the slot; `quietly` where the peer is not waiting to hear it. */
  end(quietly = false): void {
    if (quietly) this.#store(layout.PHASE_CLOSED)
    else this.#publish(layout.PHASE_CLOSED)
  }

  /** Says that this side is through with the slot, and that another process comes for the connection with this ticket. */
  leave(ticket: Uint8Array): void {
    this.#own.segment.bytes.set(ticket, this.#own.byte + layout.SLOT_TICKET_BYTE)
    this.#store(layout.PHASE_MOVED)
    this.link.notify(this.id, 'end')
  }

  /** The ticket with which another process comes for the peer's side, if it has moved; a copy. */
  get peerTicket(): Uint8Array | undefined {
    const peer = this.#peer
    if (peer === undefined || this.#peerState() !== layout.slotState(this.#generation, layout.PHASE_MOVED))
      return undefined
    const from = peer.byte + layout.SLOT_TICKET_BYTE
    return peer.segment.bytes.slice(from, from + TICKET_BYTES)
  }

  /** True when the peer no longer takes part in the connection. */
  get peerEnded(): boolean {
    const state = this.#peerState()
    if (state === undefined) return false
    const expected = this.link.role === 'opener' ? layout.PHASE_ACCEPTED : layout.PHASE_OPEN
    return state !== layout.slotState(this.#generation, expected)
  }

  /** True when, after our own end, nothing of ours is in the peer's hands any more. */
  get peerIsThrough(): boolean {
    if (this.link.state === 'down') return true
    const state = this.#peerState()
    if (state === undefined) return false
    // An opener that uses the slot again has seen our end.
    if (layout.generationOf(state) !== this.#generation) return this.link.role === 'acceptor'
    const phase = layout.phaseOf(state)
    return phase === layout.PHASE_CLOSED || phase === layout.PHASE_REFUSED || phase === layout.PHASE_MOVED
  }

  #peerState(): number | undefined {
    const peer = (this.#peer ??= this.link.memory.peerSlot(this.id))
    return peer === undefined ? undefined : Atomics.load(peer.segment.words, peer.byte / 4)
  }

  #store(phase: number): void {
    Atomics.store(this.#own.segment.words, this.#own.byte / 4, layout.slotState(this.#generation, phase))
  }

  #publish(phase: number): void {
    this.#store(phase)
    this.link.notify(this.id, phase === layout.PHASE_CLOSED ? 'end' : 'signal')
  }
}

/** Tells the peer of a waiting request that it is refused. */
export function refuse(place: RequestPlace, code: WsaCode): void {
  answerUnheld(place, layout.PHASE_REFUSED, code)
}

/** Agrees that a request which its opener gave up is over, so that the opener can use the slot again. */
export function agreeEnded(place: RequestPlace): void {
  if (!place.link.isHeld(place.id)) answerUnheld(place, layout.PHASE_CLOSED, 0)
}

/** Tells the peer of a waiting request that its answer may take a while; false when there is no memory to say it in. */
export function announceJudging(place: RequestPlace): boolean {
  return answerUnheld(place, layout.PHASE_JUDGING, 0)
}

/** True while the opener wants an answer. */
export function isOpen({ link, id, generation }: RequestPlace): boolean {
  const peer = link.state === 'up' ? link.memory.peerSlot(id) : undefined
  if (peer === undefined) return false
  const state = Atomics.load(peer.segment.words, peer.byte / 4)
  return state === layout.slotState(generation, layout.PHASE_OPEN)
}

function answerUnheld({ link, id, generation }: RequestPlace, phase: number, detail: number): boolean {
  const own = link.memory.ownSlot(id)
  if (own === undefined) return false
  const word = own.byte / 4
  own.segment.words[word + layout.SLOT_DETAIL] = detail
  Atomics.store(own.segment.words, word + layout.SLOT_STATE, layout.slotState(generation, phase))
  link.notify(id, phase === layout.PHASE_CLOSED ? 'end' : 'signal')
  return true
}

function regionByte(slot: SlotView): number {
  return slot.byte + layout.SLOT_HEADER_BYTES
}

function regionOf(slot: SlotView): MemoryRegion {
  const { bytes, words } = slot.segment
  return { bytes, words, offset: regionByte(slot), length: layout.REGION_BYTES }
}

function clearRegion(slot: SlotView): void {
  const from = regionByte(slot) / 4
  slot.segment.words.fill(0, from, from + layout.CONNECT_DATA_BYTE / 4)
}

// The peer's word: anything but a known refusal is treated as "not final".
function refusalCode(detail: number): WsaCode {
  const known: readonly number[] = [
    WSA.WSAECONNREFUSED,
    WSA.WSAECONNRESET,
    WSA.WSAEHOSTUNREACH,
    WSA.WSAETIMEDOUT,
    WSA.WSAENOBUFS,
    WSA.WSAEPROCLIM,
    WSA.WSA_QOS_POLICY_FAILURE,
    WSA.WSAVERNOTSUPPORTED,
    WSA.WSAEFAULT,
    WSA.WSAEACCES,
  ]
  return known.includes(detail) ? (detail as WsaCode) : WSA.WSAENETDOWN
}
