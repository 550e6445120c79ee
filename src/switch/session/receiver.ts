import { WSA } from '../../spi/index.ts'
import type { ConnectionMemory, RdmaLimits, SanSocket } from '../../spi/index.ts'
import { BlockReader, NOT_NOW, UNREADABLE } from './block-reader.ts'
import * as layout from './layout.ts'
import type { Unread } from './packed.ts'
import { copyIn, copyOut, ringIn } from './ring.ts'
import type { Ring } from './ring.ts'
import { inlineRingBytes } from './sender.ts'
import { UrgentMark } from './urgent.ts'

export interface ReceiverParts {
  readonly socket: SanSocket
  readonly memory: ConnectionMemory
  /** What the peer said it would never exceed. */
  readonly maxRingBytes: number
  /** Where the stream begins. */
  readonly firstCursor: number
  /** Of our provider: whether, and how much at a time, it reads of the peer's application memory. */
  readonly rdma: RdmaLimits | undefined
  /** Told when a large block that could not be read at once can be read. */
  readonly onFetched: () => void
  /** What came before `firstCursor` and is not read yet. */
  readonly before?: Unread | undefined
}

/**
 * The receiving half of a session: takes bytes out of the peer's ring and gives credit. Every word of the peer is read
 * once into a local and checked before it is used; what does not fit makes the receiver {@link broken}.
 */
export class Receiver {
  readonly #socket: SanSocket
  #memory: ConnectionMemory
  readonly #word: number
  #peerWord: number
  readonly #maxRingBytes: number
  readonly #rdma: RdmaLimits | undefined
  readonly #onFetched: () => void
  #ring: Ring
  #generation = 0
  #consumed = 0
  /** What the peer was last told of, when it waited. */
  #credited: number | undefined
  #broken = false
  /** What there may be beside plain bytes is made when the peer first announces it: most connections never see it. */
  #news = 0
  #isUntold = false
  #urgent: UrgentMark | undefined
  #blocks: BlockReader | undefined
  /** Something that is no plain byte lies ahead. */
  #special = false
  /** Of a session that was moved: what was unread then is read first, up to cursor `end`; then `ring`. */
  #before: { readonly end: number; readonly ring: Ring } | undefined

  constructor({ socket, memory, maxRingBytes, firstCursor, rdma, onFetched, before }: ReceiverParts) {
    this.#socket = socket
    this.#memory = memory
    this.#word = memory.send.offset / 4
    this.#peerWord = memory.receive.offset / 4
    this.#maxRingBytes = maxRingBytes
    this.#ring = ringIn(memory.receive, layout.HEADER_BYTES, inlineRingBytes(memory.receive.length))
    this.#rdma = rdma
    this.#onFetched = onFetched
    this.#consumed = firstCursor | 0
    if (firstCursor !== 0) this.#publishConsumed()
    if (before !== undefined) this.putBack(before)
  }

  /** Takes out whatever is unread: the peer may have its memory back. Undefined when it broke the protocol. */
  takeAll(): Unread | undefined {
    const from = this.#consumed
    const pieces: Uint8Array[] = []
    for (let adoptions = 0; adoptions < MAX_ADOPTIONS;) {
      const { here, bytes } = this.#unread()
      if (bytes === 0) break
      if (here === 0) {
        this.#publishConsumed()
        adoptions += 1
        if (!this.#adopt()) break
        continue
      }
      const piece = new Uint8Array(here)
      copyOut(this.#ring, this.#consumed, piece, 0, here)
      this.#consumed = (this.#consumed + here) | 0
      pieces.push(piece)
    }
    this.#look()
    this.#publishConsumed()
    const bytes = Buffer.concat(pieces)
    const mark = this.#urgent?.save(from, bytes.length)
    const isLeft = this.#unread().bytes > 0
    // A peer that asks again and again must not fill our memory.
    if (this.#broken || isLeft || bytes.length > MAX_PUT_BY_BYTES) return undefined
    return { bytes, mark, inline: this.urgentInline }
  }

  /** Gives out `unread` before whatever follows. */
  putBack({ bytes, mark, inline }: Unread): void {
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes.length, 1)))
    const ring: Ring = { bytes: new Uint8Array(size), base: 0, size }
    const from = (this.#consumed - bytes.length) | 0
    copyIn(ring, from, bytes, 0, bytes.length)
    this.#before = { end: this.#consumed, ring: this.#ring }
    this.#ring = ring
    this.#consumed = from
    if (inline || mark !== undefined) this.urgentInline = inline
    if (mark !== undefined) this.#mark.restore(from, mark)
    this.#special = this.#urgent?.isAhead === true
  }

  /** The cursor behind what was taken out of the peer's memory. */
  get taken(): number {
    return this.#before?.end ?? this.#consumed
  }

  /** A large block lies ahead. */
  get hasBlock(): boolean {
    this.#look()
    return (this.#blocks?.left ?? 0) > 0
  }

  /**
   * The peer is gone, or nothing of it is heard any more: what its header says now is its last word. What came later nobody would be
   * told of.
   */
  freeze(): void {
    const { send, receive } = this.#memory
    // Flags before bytes, and both before what is announced: each may only have been set after the next.
    const { flags } = this
    const produced = Atomics.load(receive.words, this.#peerWord + layout.PRODUCED)
    const words = receive.words.slice(this.#peerWord, this.#peerWord + layout.HEADER_BYTES / 4)
    words[layout.FLAGS] = flags
    words[layout.PRODUCED] = produced
    this.#memory = { send, receive: { ...receive, words, offset: 0 } }
    this.#peerWord = 0
  }

  get broken(): boolean {
    return this.#broken
  }

  /** The peer's flags as they are now. */
  get flags(): number {
    return Atomics.load(this.#memory.receive.words, this.#peerWord + layout.FLAGS)
  }

  /** Bytes that the next read can give. */
  get available(): number {
    const { bytes } = this.#unread()
    return this.#isPlain ? bytes : this.#readable(bytes)
  }

  /** True while nothing but plain bytes was announced. To be asked after the peer's cursor was loaded. */
  get #isPlain(): boolean {
    return !this.#special && this.#memory.receive.words[this.#peerWord + layout.NEWS] === this.#news
  }

  #look(): void {
    const { words } = this.#memory.receive
    const news = Atomics.load(words, this.#peerWord + layout.NEWS)
    if (news !== this.#news) {
      this.#news = news
      this.#isUntold = true
      this.#mark.look()
      this.#blocks ??= new BlockReader(this.#socket, this.#memory, this.#rdma, this.#onFetched)
      this.#blocks.look()
    }
    if (this.#blocks?.broken === true) this.#broken = true
    this.#special = this.#urgent?.isAhead === true || (this.#blocks?.left ?? 0) > 0
  }

  get #mark(): UrgentMark {
    return (this.#urgent ??= new UrgentMark(this.#memory.receive.words, this.#peerWord))
  }

  /** How many bytes the next read can give, of `unread` in the ring and what lies between them. */
  #readable(unread: number): number {
    this.#look()
    if (this.#broken) return 0
    const toBlock = this.#blocks?.distance(this.#consumed, unread) ?? Infinity
    // What a peer that has reset the connection had exposed cannot be reached any more.
    if (toBlock === 0) return (this.flags & layout.FLAG_ABORT) === 0 ? (this.#blocks?.left ?? 0) : 0
    const toMark = this.#urgent?.distance(this.#consumed, unread) ?? Infinity
    const most = Math.min(unread, toBlock)
    if (toMark > 0) return Math.min(most, toMark)
    return this.urgentInline ? most : most - 1
  }

  get urgentInline(): boolean {
    return this.#urgent?.inline ?? false
  }
  set urgentInline(inline: boolean) {
    this.#mark.inline = inline
  }

  /** True when the next byte of the stream is the urgent one. */
  get atMark(): boolean {
    const unread = this.#unread().bytes
    this.#look()
    return (
      this.#blocks?.distance(this.#consumed, unread) !== 0 &&
      this.#urgent?.distance(this.#consumed, unread) === 0
    )
  }

  /** True when the peer has announced something since this was last asked. */
  takeNews(): boolean {
    if (!this.#isPlain) this.#look()
    const untold = this.#isUntold
    this.#isUntold = false
    return untold
  }

  /** True once for each mark that lies ahead. */
  tellUrgent(): boolean {
    return this.#urgent?.tell() === true
  }

  /** The urgent byte, out of line; see {@link UrgentMark.take}. */
  takeUrgent(peek: boolean): number {
    const unread = this.#unread().bytes
    this.#look()
    return this.#urgent?.take(this.#consumed, unread, peek) ?? -WSA.WSAEINVAL
  }

  /** Copies up to `maxBytes` out; returns how many. */
  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    let done = 0
    // A peer may announce rings faster than we follow; what is left is read next time.
    for (let adoptions = 0; done < maxBytes && adoptions < MAX_ADOPTIONS;) {
      const { here, bytes } = this.#unread()
      let length = Math.min(here, maxBytes - done)
      if (!this.#isPlain) {
        const stop = this.#nextStop(here, bytes)
        if (stop === 'mark') {
          if (done > 0) break
          this.#passMark()
          continue
        }
        if (stop === 'block') {
          const read = this.#readBlock(target, to + done, maxBytes - done)
          done += read
          if (read === 0) break
          continue
        }
        length = Math.min(length, stop)
      }
      if (bytes === 0) break
      // All of this ring is read: the rest lies in the next one. The writer may free the old ring as soon as it sees that
      // we have moved on, so it must see first that everything in it was taken.
      if (here === 0) {
        this.#publishConsumed()
        adoptions += 1
        if (!this.#adopt()) break
        continue
      }
      copyOut(this.#ring, this.#consumed, target, to + done, length)
      this.#consumed = (this.#consumed + length) | 0
      done += length
      if (length < here || here === bytes) break
    }
    if (done > 0) this.#giveCredit()
    return done
  }

  /** What the next read begins with: plain bytes, this many at most, or something else. */
  #nextStop(here: number, unread: number): number | 'mark' | 'block' {
    this.#look()
    const toBlock = this.#blocks?.distance(this.#consumed, unread) ?? Infinity
    if (toBlock === 0) return 'block'
    const toMark = here === 0 ? Infinity : (this.#urgent?.distance(this.#consumed, unread) ?? Infinity)
    return toMark === 0 ? 'mark' : Math.min(toBlock, toMark)
  }

  // No read goes across the mark, so that the application can tell what lies before it from what lies behind.
  #passMark(): void {
    if (this.#urgent?.pass() !== true) return
    this.#consumed = (this.#consumed + 1) | 0
    this.#giveCredit()
  }

  #readBlock(target: Uint8Array, to: number, maxBytes: number): number {
    return this.#checked(this.#blocks?.read(target, to, maxBytes) ?? NOT_NOW)
  }

  #checked(read: number): number {
    if (read !== UNREADABLE) return read
    this.#broken = true
    return NOT_NOW
  }

  /** As {@link BlockReader.fetch}, where a block comes next. */
  fetch(target: Uint8Array, done: (bytes: number) => void): number {
    if (this.#isPlain) return NOT_NOW
    const { here, bytes } = this.#unread()
    if (this.#nextStop(here, bytes) !== 'block') return NOT_NOW
    return this.#checked(this.#blocks?.fetch(target, done) ?? NOT_NOW)
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
    if (this.#before !== undefined) {
      const { end, ring } = this.#before
      const here = (end - this.#consumed) >>> 0
      if (here > 0) return { bytes: here, here }
      this.#before = undefined
      this.#ring = ring
    }
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
    if (this.#before !== undefined) return
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
    // A writer that waits had filled the ring: there is more to come than was told. Where memory is mirrored, its flag is seen
    // long after it was told.
    const since = this.#credited === undefined ? Infinity : (this.#consumed - this.#credited) >>> 0
    if (since < this.#ring.size / CREDITS_PER_RING) return
    this.#credited = this.#consumed
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

/** The most that is kept of what was unread when a session moved, several times perhaps. */
const MAX_PUT_BY_BYTES = 16 << 20

/** Rings followed in one read. */
const MAX_ADOPTIONS = 4

/** A waiting writer is told of room in pieces of so much of the ring, at least. */
const CREDITS_PER_RING = 4

const NOTHING = { bytes: 0, here: 0 } as const
