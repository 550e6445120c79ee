import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { Fifo } from '../../src/base/fifo.ts'

type Step =
  | { readonly kind: 'push' | 'take' | 'keepBelow'; readonly item: number }
  /** Many at once, so that it moves its items together. */
  | { readonly kind: 'pushMany' | 'shiftMany'; readonly count: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom('push', 'take', 'keepBelow'), item: fc.integer({ min: 0, max: 20 }) }),
  fc.record({ kind: fc.constant('shiftMany'), count: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ kind: fc.constantFrom('pushMany', 'shiftMany'), count: fc.integer({ min: 1, max: 3000 }) }),
)

test('a Fifo gives back what it was given, in order, however many come and go at once, and whatever is taken out of its middle', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const fifo = new Fifo<number>()
      let model: number[] = []
      for (const each of steps) {
        switch (each.kind) {
          case 'push':
            fifo.push(each.item)
            model.push(each.item)
            break
          case 'take': {
            const at = model.indexOf(each.item)
            assert.equal(
              fifo.take((item) => item === each.item),
              at >= 0 ? each.item : undefined,
            )
            if (at >= 0) model.splice(at, 1)
            break
          }
          case 'keepBelow':
            fifo.keep((item) => item < each.item)
            model = model.filter((item) => item < each.item)
            break
          case 'pushMany':
            for (let i = 0; i < each.count; i++) {
              fifo.push(i % 23)
              model.push(i % 23)
            }
            break
          case 'shiftMany': {
            const taken = model.slice(0, each.count)
            model = model.slice(each.count)
            for (const expected of taken) assert.equal(fifo.shift(), expected)
            if (taken.length < each.count) assert.equal(fifo.shift(), undefined)
            break
          }
        }
        assert.equal(fifo.length, model.length)
        assert.equal(fifo.peek(), model[0])
      }
    }),
    { numRuns: 100, includeErrorInReport: true },
  )
})
