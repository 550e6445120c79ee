import type { ConnectionMemory, RegisteredMemory, SanSocket } from '../../spi/index.ts'
import * as layout from './layout.ts'
import { copyIn, ringIn } from './ring.ts'
import type { Ring } from './ring.ts'

/** The first ring beyond the one in the region, and how much larger each next one is. */
const FIRST_RING_BYTES = 16 << 10
const GROWTH = 8
/** A ring should hold this many writes of the size seen, so that writer and reader work at the same time. */
const WRITES_PER_RING = 4
const GROWTH_PAUSE = 64

/**
 * The sending half of a session: puts bytes into the ring, publishes the cursor, moves to a larger ring when one fills.
 * The peer's words are read once, checked, then used.
 */
export class Sender {
  readonly #socket: SanSocket
  readonly #memory: ConnectionMemory
  readonly #word: number
  readonly #peerWord: number
  readonly #maxRingBytes: number
  readonly #pieceBytes: number
  #registered: RegisteredMemory
  #ring: Ring
  /** The ring before, until the peer has moved on to ours. */
  #old: RegisteredMemory | undefined
  #ringStart = 0
  #generation = 0
  #produced = 0
  #peerConsumed = 0
  #flags = 0
  /** The memory may be somebody else's by now: flags are only remembered. */
  #still = false
  /** Attempts to let pass before memory is asked for again. */
  #growthPause = 0
  #broken = false

  /** @param firstCursor Where the stream begins; the peer must begin there, too. */
  constructor(
    socket: SanSocket,
    memory: ConnectionMemory,
    maxRingBytes: number,
    pieceBytes: number,
    firstCursor = 0,
  ) {
    this.#socket = socket
    this.#memory = memory
    this.#word = memory.send.offset / 4
    this.#peerWord = memory.receive.offset / 4
    this.#maxRingBytes = 2 ** Math.floor(Math.log2(Math.max(1, maxRingBytes)))
    this.#pieceBytes = pieceBytes
    this.#registered = memory.send
    this.#ring = ringIn(memory.send, layout.HEADER_BYTES, inlineRingBytes(memory.send.length))
    this.#produced = this.#ringStart = this.#peerConsumed = firstCursor | 0
    if (firstCursor !== 0) Atomics.store(memory.send.words, this.#word + layout.PRODUCED, this.#produced)
  }

  /** The peer wrote a cursor that cannot be: the connection is to be aborted. */
  get broken(): boolean {
    return this.#broken
  }

  get ringBytes(): number {
    return this.#ring.size
  }

  /**
   * Puts in what fits of `chunks`, from byte `offset` of the one at `index` on; returns how many bytes that were. Short
   * means blocked. The peer sees nothing of it before all of it, or a piece of it, is in.
   *
   * @param wanted How many bytes are offered.
   */
  write(chunks: readonly Uint8Array[], index: number, offset: number, wanted: number): number {
    if (wanted > this.#ring.size) this.#grow(wanted * WRITES_PER_RING)
    let taken = 0
    let unpublished = 0
    let at = index
    let from = offset
    while (taken < wanted) {
      let room = this.#room() - unpublished
      if (room <= 0) {
        if (unpublished > 0) this.#publish(unpublished)
        unpublished = 0
        if (this.#grow(this.#ring.size * GROWTH)) room = this.#room()
        if (room <= 0) room = this.#block()
        if (room <= 0) break
      }
      while (room > 0 && at < chunks.length) {
        const chunk = chunks[at] as Uint8Array
        const length = Math.min(room, chunk.length - from, this.#pieceBytes - unpublished)
        copyIn(this.#ring, this.#produced + unpublished, chunk, from, from + length)
        room -= length
        unpublished += length
        taken += length
        from += length
        if (from === chunk.length) {
          at += 1
          from = 0
        }
        if (unpublished === this.#pieceBytes) break
      }
      if (unpublished >= this.#pieceBytes || taken === wanted) {
        this.#publish(unpublished)
        unpublished = 0
      }
    }
    if (taken === wanted) this.#unblock()
    return taken
  }

  /** Publishes what is announced in the header, and tells the peer. */
  announce(): void {
    this.#socket.rdmaWrite(this.#memory.send, 0, layout.HEADER_BYTES, null)
    this.#socket.signal()
  }

  /** Changes flags that the peer is to act upon, and makes it look. */
  notice(raise: number, lower: number): void {
    this.#still = (raise & layout.FLAG_SUSPENDED) !== 0
    this.#flags = (this.#flags & ~lower) | raise
    const { words } = this.#memory.send
    Atomics.store(words, this.#word + layout.FLAGS, this.#flags)
    Atomics.add(words, this.#word + layout.NEWS, 1)
    this.announce()
  }

  get flags(): number {
    return this.#flags
  }

  /** The cursor of the next byte. */
  get produced(): number {
    return this.#produced
  }

  /**
   * As {@link write}, of one chunk whose last byte is urgent. The mark is set before the byte can be seen, so that nobody
   * takes it for a plain one; it travels in its place in the stream (WSD-URG-4).
   */
  writeUrgent(bytes: Uint8Array): number {
    const last = bytes.length - 1
    if (last < 0) return 0
    const taken = last === 0 ? 0 : this.write([bytes.subarray(0, last)], 0, 0, last)
    if (taken < last || !this.#makeRoom()) return taken
    const { words } = this.#memory.send
    const count = (words[this.#word + layout.URGENT] ?? 0) >>> 8
    Atomics.store(words, this.#word + layout.URGENT_AT, this.#produced)
    Atomics.store(words, this.#word + layout.URGENT, ((count + 1) << 8) | (bytes[last] ?? 0))
    Atomics.add(words, this.#word + layout.NEWS, 1)
    return taken + this.write([bytes.subarray(last)], 0, 0, 1)
  }

  // Room for one byte at least.
  #makeRoom(): boolean {
    return this.#room() > 0 || this.#grow(this.#ring.size * GROWTH) || this.#block() > 0
  }

  /** True when a blocked writer should try again. */
  get hasRoom(): boolean {
    return this.#room() > 0
  }

  /** True when the peer has not taken everything it was sent. */
  get unread(): boolean {
    return this.#produced !== Atomics.load(this.#memory.receive.words, this.#peerWord + layout.CONSUMED)
  }

  /** Says that this end takes the connection; the peer sees it with the next signal. */
  open(): void {
    this.#setFlags(this.#flags | layout.FLAG_OPEN)
  }

  /** Sets flags the peer is to see, and tells it. */
  raise(flags: number): void {
    if ((this.#flags & flags) === flags) return
    if (this.#still) {
      this.#flags |= flags
      return
    }
    this.#setFlags(this.#flags | flags)
    this.#socket.signal()
  }

  #publish(length: number): void {
    const { send } = this.#memory
    const at = this.#produced & (this.#ring.size - 1)
    const first = Math.min(length, this.#ring.size - at)
    const base = this.#ring.base - this.#registered.offset
    this.#socket.rdmaWrite(this.#registered, base + at, first, null)
    if (first < length) this.#socket.rdmaWrite(this.#registered, base, length - first, null)
    this.#produced = (this.#produced + length) | 0
    Atomics.store(send.words, this.#word + layout.PRODUCED, this.#produced)
    this.#socket.rdmaWrite(send, 0, layout.HEADER_BYTES, null)
    this.#socket.signal()
  }

  // Free bytes in the ring we write now; what is left in the one before does not count against it.
  #room(): number {
    const consumed = Atomics.load(this.#memory.receive.words, this.#peerWord + layout.CONSUMED)
    if ((consumed - this.#peerConsumed) >>> 0 > (this.#produced - this.#peerConsumed) >>> 0) {
      this.#broken = true
      return 0
    }
    this.#peerConsumed = consumed
    if (this.#old !== undefined) this.#retire()
    const behind = this.#old !== undefined && ((this.#ringStart - consumed) | 0) > 0
    const used = (this.#produced - (behind ? this.#ringStart : consumed)) >>> 0
    return Math.max(0, this.#ring.size - used)
  }

  #retire(): void {
    const adopted = Atomics.load(this.#memory.receive.words, this.#peerWord + layout.ADOPTED_GENERATION)
    if (adopted !== this.#generation) return
    if (this.#old !== this.#memory.send && this.#old !== undefined) this.#socket.deregisterMemory(this.#old)
    this.#old = undefined
  }

  // One handover at a time: the peer reads the announcement until it says that it has adopted the ring.
  #grow(wanted: number): boolean {
    if (this.#broken || this.#ring.size >= this.#maxRingBytes) return false
    if (this.#growthPause > 0) {
      this.#growthPause -= 1
      return false
    }
    this.#room()
    if (this.#old !== undefined) return false
    let size = FIRST_RING_BYTES
    while (size < wanted) size *= 2
    size = Math.min(size, this.#maxRingBytes)
    if (size <= this.#ring.size) return false
    const registered = this.#socket.registerMemory(size)
    if (!registered.ok) {
      // Memory is short: the ring there is still carries everything, slower.
      this.#growthPause = GROWTH_PAUSE
      return false
    }
    this.#old = this.#registered
    this.#registered = registered.value
    this.#ring = ringIn(registered.value, 0, size)
    this.#ringStart = this.#produced
    this.#generation = (this.#generation + 1) | 0
    const { words } = this.#memory.send
    words[this.#word + layout.RING_DESCRIPTOR] = registered.value.descriptor
    words[this.#word + layout.RING_BYTES] = size
    words[this.#word + layout.RING_START] = this.#ringStart
    Atomics.store(words, this.#word + layout.RING_GENERATION, this.#generation)
    return true
  }

  // Says that we wait, then looks once more: the peer may have made room before it could see that we wait.
  #block(): number {
    if ((this.#flags & layout.FLAG_BLOCKED) === 0) {
      this.#setFlags(this.#flags | layout.FLAG_BLOCKED)
      // Where memory is mirrored the flag arrives with a signal only.
      this.#socket.signal()
    }
    return this.#room()
  }

  #unblock(): void {
    if ((this.#flags & layout.FLAG_BLOCKED) !== 0) this.#setFlags(this.#flags & ~layout.FLAG_BLOCKED)
  }

  #setFlags(flags: number): void {
    this.#flags = flags
    const { send } = this.#memory
    Atomics.store(send.words, this.#word + layout.FLAGS, flags)
    this.#socket.rdmaWrite(send, 0, layout.HEADER_BYTES, null)
  }
}

/** The largest power of two that fits behind the header. */
export function inlineRingBytes(regionBytes: number): number {
  return 2 ** Math.floor(Math.log2(regionBytes - layout.HEADER_BYTES))
}
