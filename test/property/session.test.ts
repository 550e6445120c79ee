import { describe, test } from 'node:test'
import fc from 'fast-check'

import { sessionPair } from '../switch/session-pair.ts'
import type { PairOptions } from '../switch/session-pair.ts'
import { Model } from './session-model.ts'
import type { Act, Step } from './session-model.ts'

/** Sizes of every order of magnitude, and those around the sizes of rings. */
const size = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 50 }) },
  { weight: 3, arbitrary: fc.integer({ min: 0, max: 3000 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 200_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(1023, 1024, 1025, 16_383, 16_384, 16_385, 131_072, 131_073) },
)

const write: fc.Arbitrary<Act> = fc
  .array(size, { minLength: 1, maxLength: 3 })
  .map((sizes) => ({ kind: 'write', sizes }))

const urgent: fc.Arbitrary<Act> = fc
  .oneof(fc.constant(1), size)
  .map((wanted) => ({ kind: 'urgent', size: Math.max(1, wanted) }))

const large: fc.Arbitrary<Act> = fc
  .oneof(size, fc.constantFrom(4095, 4096, 4097, 65_535, 65_536, 65_537, 1 << 18))
  .map((bytes) => ({ kind: 'large', size: bytes }))

const read: fc.Arbitrary<Act> = fc
  .oneof(size, fc.constant(1 << 18))
  .map((maxBytes) => ({ kind: 'read', maxBytes: maxBytes + 1 }))

const end: fc.Arbitrary<Act> = fc.constantFrom<Act>(
  { kind: 'shutdown' },
  { kind: 'shutdown' },
  { kind: 'close' },
  { kind: 'reset' },
)

function steps(ends: number, maxLength: number): fc.Arbitrary<Step[]> {
  const act = fc.oneof(
    { weight: 8, arbitrary: write },
    { weight: 1, arbitrary: urgent },
    { weight: 2, arbitrary: large },
    { weight: 8, arbitrary: read },
    { weight: 2, arbitrary: fc.constant<Act>({ kind: 'readEnd' }) },
    { weight: ends, arbitrary: end },
  )
  const step = fc.record({ side: fc.constantFrom<0 | 1>(0, 1), act })
  return fc.array(
    fc.oneof({ weight: 8, arbitrary: step }, { weight: 1, arbitrary: fc.constant<Step>('settle') }),
    { maxLength, size: 'max' },
  )
}

const options: fc.Arbitrary<PairOptions> = fc.record({
  limits: fc.record({
    regionBytes: fc.constantFrom(1216, 2000, 4096),
    maxMemoryBytes: fc.constantFrom(0, 16_384, 1 << 20),
    pieceBytes: fc.constantFrom(100, 1 << 16),
    rdma: fc.constantFrom(
      undefined,
      { maxBytes: 8 << 20, thresholdBytes: 4096 },
      { maxBytes: 8 << 20, thresholdBytes: 65_536 },
    ),
  }),
  // All pairings of who can read the other's memory (WSD-LARGE-3).
  reads: fc.constantFrom<readonly [boolean, boolean]>(
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ),
  // Memory runs short at various moments.
  registeredBytes: fc.constantFrom(0, 16_384, 200_000, 8 << 20),
})

async function follows(chosen: PairOptions, script: readonly Step[]): Promise<void> {
  // The kernel's send buffer is the model's: as large as the largest ring would be.
  const { one, other } = await sessionPair(chosen)
  await new Model(one, other, chosen).run(script)
}

describe('two sessions do what two ends of a TCP connection do', () => {
  test('WSD-ARCH-5 WSD-URG-3 WSD-LARGE-2, -3 WSD-LARGE-5E WSD-XFER-18 scenario 15: over all pairings of abilities, while data flow, some of them urgent', async () => {
    await fc.assert(fc.asyncProperty(options, steps(0, 120), follows), {
      numRuns: 60,
      includeErrorInReport: true,
    })
  })

  test('WSD-ARCH-5 WSD-SHUT-4 while either side shuts down, closes and resets at any moment', async () => {
    await fc.assert(fc.asyncProperty(options, steps(1, 60), follows), {
      numRuns: 200,
      includeErrorInReport: true,
    })
  })
})
