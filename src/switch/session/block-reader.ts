import { Overlapped, WSA } from '../../spi/index.ts'
import type { ConnectionMemory, RdmaLimits, SanSocket, Status } from '../../spi/index.ts'
import * as layout from './layout.ts'

/** The most memory that waits for a read which takes its time. */
const STAGING_BYTES = 1 << 20

/** What {@link BlockReader.read} answers instead of a number of bytes. */
export const NOT_NOW = 0
export const UNREADABLE = -1
/** It is under way. */
export const FETCHING = -2

/** With less room than this, and less than the rest of a block, a read of its own is not worth while. */
const STRAIGHT_BYTES = 256 << 10

/**
 * Reads the large blocks that the peer announces, one at a time, straight from its application's memory into ours. A block
 * lies in the stream before the byte of the ring at its cursor, and counts in no cursor. What the provider cannot read at
 * once is read into memory of our own, and given out when it is there.
 *
 * @source WSD-LARGE-R2 to -R6, -5E, -6E
 */
export class BlockReader {
  readonly #socket: SanSocket
  readonly #memory: ConnectionMemory
  readonly #word: number
  readonly #peerWord: number
  readonly #maxBytes: number
  readonly #onFetched: () => void
  #number = 0
  #at = 0
  #descriptor = 0
  #offset = 0
  /** Bytes of the block that nobody has read; 0 where there is no block. */
  #left = 0
  /** What a read that took its time has brought, from `#given` on. */
  #staging: Buffer | undefined
  #staged = 0
  #given = 0
  /** Bytes are on their way straight into the application's buffer. */
  #fetching = false
  #broken = false

  /** @param onFetched Told when what could not be read at once can be read now. */
  constructor(
    socket: SanSocket,
    memory: ConnectionMemory,
    limits: RdmaLimits | undefined,
    onFetched: () => void,
  ) {
    this.#socket = socket
    this.#memory = memory
    this.#word = memory.send.offset / 4
    this.#peerWord = memory.receive.offset / 4
    this.#maxBytes = limits?.maxBytes ?? 0
    this.#onFetched = onFetched
  }

  get left(): number {
    return this.#left
  }

  /** The peer announced what cannot be. */
  get broken(): boolean {
    return this.#broken
  }

  /** Looks for a new block, once the one before is read. */
  look(): void {
    if (this.#left > 0 || this.#broken) return
    const { words } = this.#memory.receive
    const number = Atomics.load(words, this.#peerWord + layout.BLOCK)
    if (number === this.#number) return
    const bytes = (words[this.#peerWord + layout.BLOCK_BYTES] ?? 0) >>> 0
    if (this.#maxBytes === 0 || number !== ((this.#number + 1) | 0) || bytes === 0) {
      this.#broken = true
      return
    }
    this.#number = number
    this.#at = words[this.#peerWord + layout.BLOCK_AT] ?? 0
    this.#descriptor = (words[this.#peerWord + layout.BLOCK_DESCRIPTOR] ?? 0) >>> 0
    this.#offset = 0
    this.#left = bytes
  }

  /** Bytes of the ring before the block; infinitely many when none lies among, or right behind, what is `unread`. */
  distance(consumed: number, unread: number): number {
    if (this.#left === 0) return Infinity
    const ahead = (this.#at - consumed) >>> 0
    return ahead <= unread ? ahead : Infinity
  }

  /** Reads up to `maxBytes` into `target` at `to`; how many, {@link NOT_NOW}, or {@link UNREADABLE}. */
  read(target: Uint8Array, to: number, maxBytes: number): number {
    if (this.#fetching) return NOT_NOW
    if (this.#staging !== undefined) return this.#give(target, to, maxBytes)
    const wanted = Math.min(maxBytes, this.#left, this.#maxBytes)
    const status = this.#request(target.subarray(to, to + wanted), null)
    if (status === 0) return this.#advance(wanted)
    if (status === WSA.WSAEWOULDBLOCK) return this.#fetch()
    return UNREADABLE
  }

  /**
   * Reads straight into `target`, which is the provider's until `done` is called with how many bytes there are.
   *
   * @returns how many were read at once, {@link FETCHING}, {@link UNREADABLE}, or {@link NOT_NOW} where {@link read} is to be asked.
   */
  fetch(target: Uint8Array, done: (bytes: number) => void): number {
    const wanted = Math.min(target.length, this.#left, this.#maxBytes)
    const isWorth = wanted === this.#left || wanted >= STRAIGHT_BYTES
    if (!isWorth || this.#fetching || this.#staging !== undefined) return NOT_NOW
    const overlapped = new Overlapped({
      completed: (status, bytes) => {
        this.#fetching = false
        if (status === 0 && bytes === wanted) this.#advance(wanted)
        else this.#broken = status !== WSA.WSA_OPERATION_ABORTED
        done(status === 0 ? bytes : 0)
      },
    })
    const status = this.#request(target.subarray(0, wanted), overlapped)
    if (status === 0) return this.#advance(wanted)
    this.#fetching = status === WSA.WSA_IO_PENDING
    return this.#fetching ? FETCHING : UNREADABLE
  }

  #request(target: Uint8Array, overlapped: Overlapped | null): Status {
    return this.#socket.rdmaRead?.(this.#descriptor, this.#offset, target, overlapped) ?? WSA.WSAEOPNOTSUPP
  }

  #fetch(): number {
    const staging = Buffer.allocUnsafeSlow(Math.min(this.#left, this.#maxBytes, STAGING_BYTES))
    const overlapped = new Overlapped({
      completed: (status, bytes) => {
        if (status === WSA.WSA_OPERATION_ABORTED) return
        this.#staged = bytes
        this.#broken = status !== 0 || bytes !== staging.length
        this.#onFetched()
      },
    })
    const status = this.#request(staging, overlapped)
    if (status !== 0 && status !== WSA.WSA_IO_PENDING) return UNREADABLE
    this.#staging = staging
    this.#given = 0
    this.#staged = status === 0 ? staging.length : 0
    return NOT_NOW
  }

  #give(target: Uint8Array, to: number, maxBytes: number): number {
    const staging = this.#staging
    const length = Math.min(maxBytes, this.#staged - this.#given)
    if (staging === undefined || length === 0) return NOT_NOW
    target.set(staging.subarray(this.#given, this.#given + length), to)
    this.#given += length
    if (this.#given === staging.length) this.#staging = undefined
    return this.#advance(length)
  }

  /** The last byte tells the peer, after the read (RACE-19), that its memory is its own again. */
  #advance(bytes: number): number {
    this.#offset += bytes
    this.#left -= bytes
    if (this.#left === 0) {
      const { send } = this.#memory
      Atomics.store(send.words, this.#word + layout.BLOCK_TAKEN, this.#number)
      this.#socket.rdmaWrite(send, 0, layout.HEADER_BYTES, null)
      this.#socket.signal()
    }
    return bytes
  }
}
