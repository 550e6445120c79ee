import { WSA } from '../../spi/index.ts'
import * as layout from './layout.ts'
import type { SavedMark } from './packed.ts'

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
  /** The newest word seen. */
  #seen = 0
  /** Cursor of the urgent byte that the stream has not passed yet. */
  #at: number | undefined
  #byte = 0
  #taken = false
  #told = true

  /** @param base Word index of the peer's header. */
  constructor(words: Int32Array, base: number) {
    this.#words = words
    this.#base = base
  }

  /** A mark lies ahead. */
  get isAhead(): boolean {
    return this.#at !== undefined
  }

  /** Looks for a new mark. To be asked after the peer's cursor was loaded. */
  look(): void {
    for (let looks = 0; looks < LOOKS; looks++) {
      const word = Atomics.load(this.#words, this.#base + layout.URGENT)
      if (word === this.#seen) return
      this.#at = Atomics.load(this.#words, this.#base + layout.URGENT_AT)
      this.#byte = word & 0xff
      this.#taken = false
      this.#told = false
      this.#seen = word
    }
  }

  /** True once for each mark found, while it lies ahead. */
  tell(): boolean {
    const news = !this.#told && this.isAhead
    this.#told = true
    return news
  }

  /** Bytes between `consumed` and the mark; infinitely many when no mark lies among what is `unread`. */
  distance(consumed: number, unread: number): number {
    if (this.#at === undefined) return Infinity
    const ahead = (this.#at - consumed) >>> 0
    return ahead < unread ? ahead : Infinity
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

  /** The mark, if it lies among `unread` bytes from `consumed` on. */
  save(consumed: number, unread: number): SavedMark | undefined {
    const ahead = this.distance(consumed, unread)
    return ahead === Infinity ? undefined : { ahead, byte: this.#byte, taken: this.#taken }
  }

  /** Puts a mark where it was. */
  restore(consumed: number, { ahead, byte, taken }: SavedMark): void {
    this.#at = (consumed + ahead) | 0
    this.#byte = byte
    this.#taken = taken
  }
}
