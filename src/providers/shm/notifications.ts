import * as layout from './layout.ts'

/** What an entry says about its slot: look at it, or the other side is through with it. */
export type NotificationKind = 'signal' | 'end'

/**
 * The ring on which we tell the peer which slots to look at; docs/doorbell-protocol.md. A slot has at most one unread
 * entry of each kind, so the ring never fills.
 */
export class OutgoingNotifications {
  readonly #own: Int32Array
  /** Position of the last entry of each slot, by kind. */
  readonly #last: Readonly<Record<NotificationKind, number[]>> = { signal: [], end: [] }
  #produced = 0

  /** @param own Words of our segment 0. */
  constructor(own: Int32Array) {
    this.#own = own
  }

  /**
   * Appends an entry unless the peer still has one to read.
   *
   * @param peer Words of the peer's segment 0, once there is one.
   * @returns `appended`; `pending` when an unread entry says it already; `full` when the peer's cursor cannot be honest.
   */
  append(id: number, kind: NotificationKind, peer: Int32Array | undefined): 'appended' | 'pending' | 'full' {
    const consumed = peer === undefined ? 0 : Atomics.load(peer, layout.NOTIFY_CONSUMED)
    const unread = (this.#produced - consumed) >>> 0
    if (unread > layout.NOTIFY_ENTRIES) return 'full'
    const last = this.#last[kind]
    if ((last[id] ?? -1) >= this.#produced - unread) return 'pending'
    if (unread >= layout.NOTIFY_ENTRIES) return 'full'
    this.#own[layout.NOTIFY_RING_WORD + (this.#produced & layout.NOTIFY_MASK)] =
      kind === 'signal' ? id : id | layout.NOTIFY_END
    last[id] = this.#produced
    this.#produced += 1
    Atomics.store(this.#own, layout.NOTIFY_PRODUCED, this.#produced | 0)
    return 'appended'
  }
}

/** The peer's ring, read entry by entry. */
export class IncomingNotifications {
  readonly #own: Int32Array
  readonly #peer: Int32Array
  #consumed = 0
  /** The slot of the entry taken last; any number below 2³⁰. */
  id = 0
  kind: NotificationKind = 'signal'

  constructor(own: Int32Array, peer: Int32Array) {
    this.#own = own
    this.#peer = peer
  }

  /** Takes the next entry into {@link id} and {@link kind}; `broken` when the peer's cursor is out of range. */
  take(): 'taken' | 'empty' | 'broken' {
    const unread = (Atomics.load(this.#peer, layout.NOTIFY_PRODUCED) - this.#consumed) >>> 0
    if (unread === 0) return 'empty'
    if (unread > layout.NOTIFY_ENTRIES) return 'broken'
    const entry = this.#peer[layout.NOTIFY_RING_WORD + (this.#consumed & layout.NOTIFY_MASK)] ?? 0
    this.id = entry & (layout.NOTIFY_END - 1)
    this.kind = (entry & layout.NOTIFY_END) === 0 ? 'signal' : 'end'
    this.#consumed = (this.#consumed + 1) | 0
    // Before the connection is looked at: whoever publishes after that look sees that it must append again.
    Atomics.store(this.#own, layout.NOTIFY_CONSUMED, this.#consumed)
    return 'taken'
  }
}
