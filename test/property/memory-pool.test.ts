import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { MemoryPool } from '../../src/base/memory-pool.ts'
import type { Piece } from '../../src/base/memory-pool.ts'

/** The smallest piece. */
const PAGE_BYTES = 4096
const PAGES = 32
const SEGMENT_BYTES = PAGES * PAGE_BYTES

type Step =
  | { readonly kind: 'take'; readonly bytes: number }
  | { readonly kind: 'give'; readonly which: number }
  | { readonly kind: 'addSegment' }

const step = fc.oneof<fc.MaybeWeightedArbitrary<Step>[]>(
  {
    weight: 5,
    arbitrary: fc
      .integer({ min: 0, max: 6 })
      .map((power) => ({ kind: 'take', bytes: PAGE_BYTES * 2 ** power })),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('give'), which: fc.nat() }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: 'addSegment' }) },
)

/** Which pages are taken, by segment. */
class Pages {
  readonly #segments: boolean[][] = []

  addSegment(): number {
    return this.#segments.push(Array.from({ length: PAGES }, () => false)) - 1
  }

  get segments(): number {
    return this.#segments.length
  }

  mark(piece: Piece, taken: boolean): void {
    const pages = this.#segments[piece.segment]
    assert.ok(pages !== undefined, 'a piece of a segment that is not there')
    assert.equal(piece.offset % piece.bytes, 0, 'a piece lies at a multiple of its size')
    assert.ok(piece.offset + piece.bytes <= SEGMENT_BYTES)
    for (let at = piece.offset; at < piece.offset + piece.bytes; at += PAGE_BYTES) {
      assert.notEqual(pages[at / PAGE_BYTES], taken, 'two pieces overlap')
      pages[at / PAGE_BYTES] = taken
    }
  }

  hasRoom(bytes: number): boolean {
    const length = bytes / PAGE_BYTES
    return this.#segments.some((pages) =>
      pages.some(
        (_, at) => at % length === 0 && at + length <= PAGES && !pages.slice(at, at + length).includes(true),
      ),
    )
  }
}

test('a MemoryPool never gives the same page twice, finds room where there is any, and joins what comes back', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80, size: 'max' }), (steps) => {
      const pool = new MemoryPool(SEGMENT_BYTES)
      const pages = new Pages()
      const held: Piece[] = []
      for (const each of steps) {
        if (each.kind === 'addSegment') pool.addSegment(pages.addSegment())
        else if (each.kind === 'take') {
          const piece = pool.take(each.bytes)
          assert.equal(piece !== undefined, pages.hasRoom(each.bytes))
          if (piece === undefined) continue
          assert.equal(piece.bytes, each.bytes)
          pages.mark(piece, true)
          held.push(piece)
        } else {
          const [piece] = held.splice(each.which % Math.max(1, held.length), 1)
          if (piece === undefined) continue
          pages.mark(piece, false)
          pool.give(piece)
        }
      }
      for (const piece of held) pool.give(piece)
      const wholes = Array.from({ length: pages.segments }, () => pool.take(SEGMENT_BYTES)?.segment)
      assert.deepEqual(
        wholes.toSorted((one, other) => Number(one) - Number(other)),
        [...wholes.keys()],
      )
      assert.equal(pool.take(PAGE_BYTES), undefined)
    }),
    { numRuns: 200, includeErrorInReport: true },
  )
})
