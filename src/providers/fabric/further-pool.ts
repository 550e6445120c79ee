import { WSA, failure, success } from '../../spi/index.ts'
import type { RegisteredMemory, Result } from '../../spi/index.ts'
import { MemoryPool } from '../../base/memory-pool.ts'
import type { Piece } from '../../base/memory-pool.ts'
import * as layout from './layout.ts'

/** Further memory of a connection. */
export interface FurtherPiece extends RegisteredMemory {
  readonly piece: Piece
}

/** The part of a link's arena that is handed out as further memory. */
export class FurtherPool {
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #pool = new MemoryPool(layout.MAX_RING_BYTES)

  /** @param bytes The link's memory. @param words The same. */
  constructor(bytes: Uint8Array, words: Int32Array) {
    this.#bytes = bytes
    this.#words = words
    for (let segment = 0; segment < layout.RINGS_BYTES / layout.MAX_RING_BYTES; segment++)
      this.#pool.addSegment(segment)
  }

  take(bytes: number): Result<FurtherPiece> {
    const piece = this.#pool.take(bytes)
    if (piece === undefined) return failure(WSA.WSAENOBUFS)
    const at = layout.REGIONS_BYTES + piece.segment * layout.MAX_RING_BYTES + piece.offset
    return success({
      bytes: this.#bytes,
      words: this.#words,
      offset: layout.ARENA_AT + at,
      length: bytes,
      descriptor: at / layout.PAGE_BYTES,
      piece,
    })
  }

  give({ piece }: FurtherPiece): void {
    this.#pool.give(piece)
  }
}
