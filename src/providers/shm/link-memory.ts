import { WSA, failure, success } from '../../spi/index.ts'
import type { MemoryRegion, RegisteredMemory, Result, WsaCode } from '../../spi/index.ts'
import type { ShmNative } from '../../native/shm.ts'
import { codeOf } from './errno.ts'
import * as layout from './layout.ts'
import { Quota } from '../../base/quota.ts'
import { MemoryPool } from '../../base/memory-pool.ts'
import type { Piece } from '../../base/memory-pool.ts'
import { encodeMessage } from './messages.ts'
import type { LinkMessage, SegmentUse } from './messages.ts'
import { SegmentTable, closeAll, viewSegment } from './segments.ts'
import type { Segment } from './segments.ts'

/** Where a slot lies: words and bytes of one side's segment, at this byte. */
export interface SlotView {
  readonly segment: Segment
  readonly byte: number
}

/** Further memory of a connection. */
export interface FurtherPiece extends RegisteredMemory {
  readonly piece: Piece
}

/** A descriptor of further memory: the number of its segment, then that of its first page. */
const PIECE_PAGES_SHIFT = 16

/** The memory of one link: our segments, which the peer maps, and the peer's, which we map. */
export class LinkMemory {
  readonly #native: ShmNative
  #fd: number
  readonly #maxBytes: number
  readonly #readChannel: () => void
  readonly #own: SegmentTable
  readonly #theirs: SegmentTable
  readonly #pool = new MemoryPool(layout.RING_SEGMENT_BYTES)

  /**
   * @param fd The channel over which segments go to the peer.
   * @param readChannel Takes what has arrived there, such as a segment that the peer speaks of already.
   */
  constructor(native: ShmNative, fd: number, budget: Quota, maxBytes: number, readChannel: () => void) {
    this.#native = native
    this.#fd = fd
    this.#maxBytes = maxBytes
    this.#readChannel = readChannel
    this.#own = new SegmentTable(budget)
    this.#theirs = new SegmentTable(new Quota(maxBytes))
  }

  /** Makes our segment 0; the caller sends and closes the descriptor. */
  create(): Result<{ readonly fd: number; readonly segment: Segment }> {
    if (!this.#own.reserve(layout.LINK_SEGMENT_BYTES)) return failure(WSA.WSAENOBUFS)
    const memory = this.#native.createMemory(layout.LINK_SEGMENT_BYTES)
    if (typeof memory === 'number') {
      this.#own.unreserve(layout.LINK_SEGMENT_BYTES)
      return failure(codeOf(memory))
    }
    const segment = viewSegment(memory.buffer)
    this.#own.add(segment, 'slots')
    return success({ fd: memory.fd, segment })
  }

  /** Maps the peer's segment 0 after checking it. */
  adopt(fd: number): Segment | WsaCode {
    if (!this.#theirs.reserve(layout.LINK_SEGMENT_BYTES)) return WSA.WSAENOBUFS
    const mapped = this.#native.mapMemory(fd, layout.LINK_SEGMENT_BYTES)
    if (typeof mapped === 'number') return codeOf(mapped)
    const segment = viewSegment(mapped)
    this.#theirs.add(segment, 'slots')
    return segment
  }

  /** Takes a further segment of the peer's; false when it is not what it must be. Closes `fds`. */
  accept(message: LinkMessage & { kind: 'segment' }, fds: readonly number[]): boolean {
    const native = this.#native
    const wanted = message.use === 'slots' ? layout.SLOT_SEGMENT_BYTES : layout.RING_SEGMENT_BYTES
    const [fd] = fds
    let mapped: ArrayBuffer | number = -1
    if (
      fd !== undefined &&
      fds.length === 1 &&
      message.index === this.#theirs.count &&
      message.bytes === wanted &&
      this.#theirs.reserve(wanted)
    ) {
      mapped = native.mapMemory(fd, wanted)
      if (typeof mapped !== 'number') this.#theirs.add(viewSegment(mapped), message.use)
    }
    closeAll(native, fds)
    return typeof mapped !== 'number'
  }

  /** Our side of slot `id`; makes the memory for it where needed. Undefined when there is none to be had. */
  ownSlot(id: number): SlotView | undefined {
    const { group, byte } = layout.slotPlace(id)
    while (this.#own.slotGroups <= group) {
      if (this.#addSegment(layout.SLOT_SEGMENT_BYTES, 'slots') === undefined) return undefined
    }
    const segment = this.#own.slots(group)
    return segment === undefined ? undefined : { segment, byte }
  }

  /** The peer's side of slot `id`; undefined before it has given us that memory. */
  peerSlot(id: number): SlotView | undefined {
    const { group, byte } = layout.slotPlace(id)
    if (this.#theirs.slotGroups <= group) this.#readChannel()
    const segment = this.#theirs.slots(group)
    return segment === undefined ? undefined : { segment, byte }
  }

  /** A further region of ours, in a ring segment that the peer maps when it needs to. */
  take(bytes: number): Result<FurtherPiece> {
    let piece = this.#pool.take(bytes)
    if (piece === undefined) {
      const index = this.#theirs.count > 0 ? this.#addSegment(layout.RING_SEGMENT_BYTES, 'rings') : undefined
      if (index === undefined) return failure(WSA.WSAENOBUFS)
      this.#pool.addSegment(index)
      piece = this.#pool.take(bytes)
    }
    const segment = piece === undefined ? undefined : this.#own.rings(piece.segment)
    if (piece === undefined || segment === undefined) return failure(WSA.WSAENOBUFS)
    const descriptor = ((piece.segment << PIECE_PAGES_SHIFT) | (piece.offset / layout.PAGE_BYTES)) >>> 0
    return success({
      bytes: segment.bytes,
      words: segment.words,
      offset: piece.offset,
      length: bytes,
      descriptor,
      piece,
    })
  }

  give(piece: Piece): void {
    this.#pool.give(piece)
  }

  /** A further region of the peer's; the numbers are its words. */
  peerRegion(descriptor: number, bytes: number): Result<MemoryRegion> {
    const index = descriptor >>> PIECE_PAGES_SHIFT
    const offset = (descriptor & ((1 << PIECE_PAGES_SHIFT) - 1)) * layout.PAGE_BYTES
    if (index >= this.#theirs.count) this.#readChannel()
    const segment = this.#theirs.rings(index)
    if (segment === undefined || bytes <= 0 || offset + bytes > layout.RING_SEGMENT_BYTES)
      return failure(WSA.WSAEFAULT)
    return success({ bytes: segment.bytes, words: segment.words, offset, length: bytes })
  }

  #addSegment(bytes: number, use: SegmentUse): number | undefined {
    const native = this.#native
    if (this.#fd < 0 || this.#own.bytes + bytes > this.#maxBytes || !this.#own.reserve(bytes))
      return undefined
    const memory = native.createMemory(bytes)
    if (typeof memory === 'number') {
      this.#own.unreserve(bytes)
      return undefined
    }
    const sent = native.send(
      this.#fd,
      encodeMessage({ kind: 'segment', index: this.#own.count, use, bytes }),
      [memory.fd],
    )
    native.close(memory.fd)
    if (sent !== 0) {
      native.unmap(memory.buffer)
      this.#own.unreserve(bytes)
      return undefined
    }
    return this.#own.add(viewSegment(memory.buffer), use)
  }

  /** The channel is closed: no segment is added any more. What there is stays. */
  stop(): void {
    this.#fd = -1
  }

  /** Unmaps everything; nothing may use a view any more. */
  release(): void {
    this.#own.release(this.#native)
    this.#theirs.release(this.#native)
  }
}
