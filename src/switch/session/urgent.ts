import { WSA } from '../../spi/index.ts'
import * as layout from './layout.ts'

/** How often a mark that changes while it is read is read again. */
const LOOKS = 4

/**
 * The peer's urgent byte, as TCP has it: one mark, the newest; the byte stands in the stream at the mark. Out of line a read
 * skips it there and {@link take} gives it out; inline it is read like any other. The peer's words are bounded by what is
 * unread: a mark anywhere else is not there.
 *
 * @source WSD §3.15; the behaviour is that of Linux (MSG_OOB, SO_OOBINLINE, SIOCATMARK)
 */
export class UrgentMark {
  /** True: the urgent byte is part of the stream. */
  inline = false
  readonly #words: Int32Array
  readonly #base: number
  /** Announcements seen. */
  #seen = 0
  /** Cursor of the urgent byte that the stream has not passed yet. */
  #at: number | undefined
  #byte = 0
  #taken = false

  /** @param base Word index of the peer's header. */
  constructor(words: Int32Array, base: number) {
    this.#words = words
    this.#base = base
  }

  /** True while there is nothing but plain bytes; for the reader's fast path. */
  get isPlain(): boolean {
    return this.#at === undefined && this.#words[this.#base + layout.NEWS] === this.#seen
  }

  /** Looks for a new mark; true when there is one. To be asked after the peer's cursor was loaded. */
  look(): boolean {
    for (let looks = 0; looks < LOOKS; looks++) {
      const news = Atomics.load(this.#words, this.#base + layout.NEWS)
      if (news === this.#seen) return looks > 0
      const at = this.#words[this.#base + layout.URGENT_AT] ?? 0
      this.#byte = (this.#words[this.#base + layout.URGENT_BYTE] ?? 0) & 0xff
      this.#at = at
      this.#taken = false
      this.#seen = news
    }
    return true
  }

  /** Bytes between `consumed` and the mark; infinitely many when no mark lies among what is `unread`. */
  distance(consumed: number, unread: number): number {
    this.look()
    if (this.#at === undefined) return Infinity
    const ahead = (this.#at - consumed) >>> 0
    return ahead < unread ? ahead : Infinity
  }

  /** How many of `unread` bytes the next read can give. */
  readable(consumed: number, unread: number): number {
    const ahead = this.distance(consumed, unread)
    if (ahead > 0) return Math.min(ahead, unread)
    return this.inline ? unread : unread - 1
  }

  /** The stream passes the mark; true when the byte there is to be skipped. */
  pass(): boolean {
    this.#at = undefined
    return !this.inline
  }

  /**
   * The urgent byte, once; again only after `peek`.
   *
   * @returns 0 to 255; or, negative, `WSAEINVAL` when there is none, it was taken, or it is read inline.
   */
  take(consumed: number, unread: number, peek: boolean): number {
    if (this.distance(consumed, unread) === Infinity || this.inline || this.#taken) return -WSA.WSAEINVAL
    this.#taken = !peek
    return this.#byte
  }
}
