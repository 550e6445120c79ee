import type { ConnectionMemory, SanSocket } from '../../spi/index.ts'
import * as layout from './layout.ts'
import { copyOut, ringIn } from './ring.ts'
import type { Ring } from './ring.ts'
import { inlineRingBytes } from './sender.ts'
import { UrgentMark } from './urgent.ts'

/**
 * The receiving half of a session: takes bytes out of the peer's ring and gives credit. Every word of the peer is read
 * once into a local and checked before it is used; what does not fit makes the receiver {@link broken}.
 */
export class Receiver {
  readonly #socket: SanSocket
  readonly #memory: ConnectionMemory
  readonly #word: number
  readonly #peerWord: number
  readonly #maxRingBytes: number
  readonly #urgent: UrgentMark
  #ring: Ring
  #generation = 0
  #consumed = 0
  #broken = false

  /**
   * @param maxRingBytes What the peer said it would never exceed.
   * @param firstCursor Where the stream begins.
   */
  constructor(socket: SanSocket, memory: ConnectionMemory, maxRingBytes: number, firstCursor = 0) {
    this.#socket = socket
    this.#memory = memory
    this.#word = memory.send.offset / 4
    this.#peerWord = memory.receive.offset / 4
    this.#maxRingBytes = maxRingBytes
    this.#ring = ringIn(memory.receive, layout.HEADER_BYTES, inlineRingBytes(memory.receive.length))
    this.#urgent = new UrgentMark(memory.receive.words, this.#peerWord)
    this.#consumed = firstCursor | 0
    if (firstCursor !== 0) this.#publishConsumed()
  }

  get broken(): boolean {
    return this.#broken
  }

  /** The peer's flags as they are now. */
  get flags(): number {
    return Atomics.load(this.#memory.receive.words, this.#peerWord + layout.FLAGS)
  }

  /** Bytes that can be read now. */
  get available(): number {
    const { bytes } = this.#unread()
    return this.#urgent.isPlain ? bytes : this.#urgent.readable(this.#consumed, bytes)
  }

  /** What the peer has marked as urgent. */
  get urgent(): UrgentMark {
    return this.#urgent
  }

  /** True when the next byte of the stream is the urgent one. */
  get atMark(): boolean {
    return this.#urgent.distance(this.#consumed, this.#unread().bytes) === 0
  }

  /** The urgent byte, out of line; see {@link UrgentMark.take}. */
  takeUrgent(peek: boolean): number {
    return this.#urgent.take(this.#consumed, this.#unread().bytes, peek)
  }

  /** Copies up to `maxBytes` out; returns how many. */
  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    let done = 0
    // A peer may announce rings faster than we follow; what is left is read next time.
    for (let adoptions = 0; done < maxBytes && adoptions < MAX_ADOPTIONS;) {
      const { here, bytes } = this.#unread()
      if (bytes === 0) break
      // All of this ring is read: the rest lies in the next one. The writer may free the old ring as soon as it sees that
      // we have moved on, so it must see first that everything in it was taken.
      if (here === 0) {
        this.#publishConsumed()
        adoptions += 1
        if (!this.#adopt()) break
        continue
      }
      let length = Math.min(here, maxBytes - done)
      if (!this.#urgent.isPlain) {
        const ahead = this.#urgent.distance(this.#consumed, bytes)
        // No read goes across the mark, so that the application can tell what lies before it from what lies behind.
        if (ahead === 0 && done > 0) break
        if (ahead === 0 && this.#urgent.pass()) {
          this.#consumed = (this.#consumed + 1) | 0
          this.#giveCredit()
          continue
        }
        if (ahead > 0) length = Math.min(length, ahead)
      }
      copyOut(this.#ring, this.#consumed, target, to + done, length)
      this.#consumed = (this.#consumed + length) | 0
      done += length
      if (length < here || here === bytes) break
    }
    if (done > 0) this.#giveCredit()
    return done
  }

  /** A new buffer of at most `maxBytes`, or undefined when nothing is there. The caller owns it. */
  read(maxBytes: number): Buffer | undefined {
    const length = Math.min(this.available, maxBytes)
    if (length === 0) return undefined
    const target = Buffer.allocUnsafe(length)
    const read = this.readInto(target, 0, length)
    return read === 0 ? undefined : target.subarray(0, read)
  }

  /** How much is unread, and how much of it lies in the ring we are reading. */
  #unread(): { readonly bytes: number; readonly here: number } {
    if (this.#broken) return NOTHING
    const { words } = this.#memory.receive
    // Cursor first: a ring announced before it is then seen, too.
    const produced = Atomics.load(words, this.#peerWord + layout.PRODUCED)
    const bytes = (produced - this.#consumed) >>> 0
    if (Atomics.load(words, this.#peerWord + layout.RING_GENERATION) === this.#generation) {
      return bytes > this.#ring.size ? this.#break() : { bytes, here: bytes }
    }
    const start = words[this.#peerWord + layout.RING_START] ?? 0
    const left = (start - this.#consumed) >>> 0
    if (left > this.#ring.size || bytes > this.#ring.size + this.#maxRingBytes) return this.#break()
    // Nothing lies beyond the switch yet.
    if (bytes <= left) return { bytes, here: bytes }
    return { bytes, here: left }
  }

  #publishConsumed(): void {
    Atomics.store(this.#memory.send.words, this.#word + layout.CONSUMED, this.#consumed)
  }

  #giveCredit(): void {
    this.#publishConsumed()
    this.credit()
  }

  /** Gives a waiting writer the room that there is; to be asked again after every signal of its. */
  credit(): void {
    const { send, receive } = this.#memory
    // Only a waiting writer wants to know, and only when waking it is worth while.
    if ((Atomics.load(receive.words, this.#peerWord + layout.FLAGS) & layout.FLAG_BLOCKED) === 0) return
    const unread = (Atomics.load(receive.words, this.#peerWord + layout.PRODUCED) - this.#consumed) >>> 0
    if (unread > this.#ring.size / 2) return
    this.#socket.rdmaWrite(send, 0, layout.HEADER_BYTES, null)
    this.#socket.signal()
  }

  // What is announced stays as it is until we say that we have adopted it; a peer that changes it harms its own stream.
  #adopt(): boolean {
    const { words } = this.#memory.receive
    const generation = Atomics.load(words, this.#peerWord + layout.RING_GENERATION)
    const size = words[this.#peerWord + layout.RING_BYTES] ?? 0
    const descriptor = (words[this.#peerWord + layout.RING_DESCRIPTOR] ?? 0) >>> 0
    const valid = size > 0 && size <= this.#maxRingBytes && (size & (size - 1)) === 0
    const region = valid ? this.#socket.peerMemory(descriptor, size) : undefined
    if (region?.ok !== true) {
      this.#broken = true
      return false
    }
    this.#ring = ringIn(region.value, 0, size)
    this.#generation = generation
    const { send } = this.#memory
    Atomics.store(send.words, this.#word + layout.ADOPTED_GENERATION, generation)
    this.#socket.rdmaWrite(send, 0, layout.HEADER_BYTES, null)
    return true
  }

  #break(): { readonly bytes: number; readonly here: number } {
    this.#broken = true
    return NOTHING
  }
}

/** Rings followed in one read. */
const MAX_ADOPTIONS = 4

const NOTHING = { bytes: 0, here: 0 } as const
