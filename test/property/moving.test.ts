/** Hand-overs, closes, resets and deaths in any order: whatever the two ends do, nothing of a connection is left behind. */
import { after, test } from 'node:test'
import fc from 'fast-check'

import { World, overLoopback, overShm, release } from './moving-world.ts'
import type { At, Deed, Ways } from './moving-world.ts'

const side = fc.constantFrom<0 | 1>(0, 1)
const at = fc.constantFrom<At>(0, 1, 2)

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('suspend' as const), side, to: at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), side }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('close', 'reset', 'shutdown', 'large' as const), side }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('read', 'readEnd' as const), side }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      side,
      bytes: fc.constantFrom(1, 900, 20_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('resume' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('vanish' as const), at }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(900, 1000, 6000) }),
  },
)

const deeds = fc.array(deed, { maxLength: 40, size: 'max' })

async function follows(ways: Ways, deeds: readonly Deed[]): Promise<void> {
  const world = await World.begin(ways)
  for (const each of deeds) await world.do(each)
  await world.conclude()
}

const RULE =
  'WSD-DUP-26, -27, -28 RACE-34 whoever moves, closes, resets or dies, in any order: every socket is closed once'

test(`${RULE} (loopback)`, async () => {
  const each = fc.asyncProperty(deeds, (script) => follows(overLoopback(), script))
  await fc.assert(each, { numRuns: 200, includeErrorInReport: true })
})

test(`${RULE} (shm)`, async () => {
  const each = fc.asyncProperty(deeds, async (script) => follows(await overShm(), script))
  await fc.assert(each, { numRuns: 60, includeErrorInReport: true })
})

after(release)
