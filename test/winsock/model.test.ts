import assert from 'node:assert/strict'
import { test } from 'node:test'

import { chosenSeed, numberFromEnv } from '../support/random.ts'
import { World } from './model.ts'

const RUNS = numberFromEnv('SOCKSWITCH_MODEL_RUNS', 1000)
const STEPS = 80

test(`whatever two applications do, ${RUNS} times: bytes, order, answers and completions are the model's`, async () => {
  const first = chosenSeed()
  let connections = 0
  let bytes = 0
  for (let i = 0; i < RUNS; i++) {
    const seed = (first + i) >>> 0
    try {
      const world = new World(seed)
      await world.run(STEPS)
      connections += world.connections
      bytes += world.bytes
    } catch (error) {
      throw new Error(
        `Run ${i + 1} broke the model; repeat it with SOCKSWITCH_SEED=${seed} SOCKSWITCH_MODEL_RUNS=1`,
        {
          cause: error,
        },
      )
    }
  }
  assert.ok(
    RUNS < 100 || (connections > RUNS / 2 && bytes > RUNS),
    `${connections} ends, ${bytes} bytes: nothing was tested`,
  )
})
