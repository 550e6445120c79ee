import { constants } from 'node:os'
import { Fifo } from '../../base/fifo.ts'
import type { Fabric } from '../../native/fabric.ts'
import { LINK_MESSAGES_DONE, LINK_WANTS_ROOM } from '../../native/fabric.ts'
import * as layout from './layout.ts'
import * as messages from './messages.ts'

/** Whoever has something to say on a link; asked in turn. What it holds back is bounded by itself. */
export interface Outgoing {
  /** True while it stands in the queue. */
  queued: boolean
  /** Posts what there is; false when the link is full, and it is asked again. */
  post(outbox: Outbox): boolean
}

/** Receives that stay for giving receives back, so that two full sides never wait for each other. */
const RESERVED = 1
/** So many receives are given back unasked. */
const GIVE_BACK = layout.MESSAGES / 2

/**
 * The sending half of a link: message buffers, and credits for the receives that the peer has posted. A message is sent
 * only where a receive waits for it, so neither side can overrun the other.
 */
export class Outbox {
  readonly #native: Fabric
  readonly #link: number
  readonly #words: Int32Array
  readonly #queue = new Fifo<Outgoing>()
  /** The whole memory of the link. */
  readonly bytes: Uint8Array
  #credits = 0
  #owed = 0
  #sent = 0
  readonly #onBroken: () => void

  /** @param onBroken A post has failed for good. */
  constructor(native: Fabric, link: number, memory: ArrayBuffer, onBroken: () => void) {
    this.#native = native
    this.#link = link
    this.#words = new Int32Array(memory, 0, 2)
    this.bytes = new Uint8Array(memory)
    this.#onBroken = onBroken
  }

  /** The link is up: the peer has posted its receives. */
  open(): void {
    this.#credits = layout.MESSAGES
    this.flush()
  }

  close(): void {
    this.#credits = 0
    while (this.#queue.shift() !== undefined);
  }

  /** Nothing waits to be posted. */
  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  /** The peer has posted `count` receives more; false when it cannot have. */
  credit(count: number): boolean {
    this.#credits += count
    return this.#credits <= layout.MESSAGES
  }

  /** A receive of ours was posted again. */
  owe(): void {
    this.#owed += 1
  }

  add(outgoing: Outgoing): void {
    if (outgoing.queued) return
    outgoing.queued = true
    this.#queue.push(outgoing)
  }

  /** Posts as much as fits; what does not is posted when the peer gives receives back, or room is announced. */
  flush(): void {
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      if (!next.post(this)) {
        this.wantNews()
        break
      }
      this.#queue.shift()
      next.queued = false
    }
    if (this.#owed >= GIVE_BACK) this.say(messages.NOTHING)
  }

  /** The byte offset of a message to fill in, or -1 when none may be sent. */
  begin(reserved = RESERVED): number {
    const done = this.#words[LINK_MESSAGES_DONE] ?? 0
    if (this.#credits <= reserved || ((this.#sent - done) | 0) >= layout.MESSAGES) return -1
    return layout.SENT_AT + (this.#sent & (layout.MESSAGES - 1)) * layout.MESSAGE_BYTES
  }

  /**
   * Sends the message begun, with `length` bytes after the header; false when it must wait, and be begun anew.
   *
   * @param reports {@link hasGone} tells as soon as it has, and not some messages later.
   */
  send(kind: number, count: number, slot: number, length: number, reports = false): boolean {
    const index = this.#sent & (layout.MESSAGES - 1)
    const at = layout.SENT_AT + index * layout.MESSAGE_BYTES
    const { bytes } = this
    bytes[at] = kind
    bytes[at + 1] = count
    bytes[at + 2] = this.#owed
    bytes[at + 3] = 0
    bytes[at + 4] = slot
    bytes[at + 5] = slot >>> 8
    bytes[at + 6] = 0
    bytes[at + 7] = 0
    if (!this.#posted(this.#native.send(this.#link, index, messages.HEADER_BYTES + length, reports)))
      return false
    this.#sent = (this.#sent + 1) | 0
    this.#credits -= 1
    this.#owed = 0
    return true
  }

  /** How many messages were sent, wrapping. */
  get sent(): number {
    return this.#sent
  }

  /** The message with which {@link sent} became `sent`, and all before it, left this side. */
  hasGone(sent: number): boolean {
    return (((this.#words[LINK_MESSAGES_DONE] ?? 0) - sent) | 0) >= 0
  }

  /** The next completion is announced. */
  wantNews(): void {
    this.#words[LINK_WANTS_ROOM] = 1
  }

  /** Writes a range of the arena into the peer's mirror; false when it must wait. */
  write(offset: number, length: number): boolean {
    return this.#credits > 0 && this.#posted(this.#native.write(this.#link, offset, length))
  }

  /** Says something that is about no slot, where that is possible now; the last receive serves for this. */
  say(kind: number): boolean {
    return this.begin(0) >= 0 && this.send(kind, 0, 0, 0)
  }

  #posted(status: number): boolean {
    if (status !== 0 && status !== AGAIN) this.#onBroken()
    return status === 0
  }
}

/** What the fabric answers where there is no room now. */
export const AGAIN = -constants.errno.EAGAIN

/** The answers that wait at a link without a slot of its own to wait in, and the farewell. */
export class Answers implements Outgoing {
  queued = false
  readonly #waiting = new Fifo<{ readonly kind: number; readonly slot: number; readonly detail: number }>()

  /** False when more wait than an honest peer can cause. */
  add(kind: number, slot: number, detail = 0): boolean {
    if (this.#waiting.length >= 2 * layout.MAX_SLOTS) return false
    this.#waiting.push({ kind, slot, detail })
    return true
  }

  post(outbox: Outbox): boolean {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      const at = outbox.begin()
      if (at < 0) return false
      for (let i = 0; i < 4; i++) outbox.bytes[at + messages.HEADER_BYTES + i] = next.detail >>> (8 * i)
      if (!outbox.send(next.kind, 0, next.slot, 4)) return false
      this.#waiting.shift()
    }
    return true
  }
}
