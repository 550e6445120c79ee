import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import type { Carrier } from './computer.ts'
import { SCENARIOS } from './index.ts'
import type { Scenario } from './party.ts'
import { Partner } from './partner.ts'
import { lines, play, together } from './play.ts'

let partner: Partner | undefined

after(async () => {
  await partner?.end()
})

async function inOneProcess(scenario: Scenario, carrier: Carrier): Promise<void> {
  const [one, other] = lines()
  await together(
    async (over) => play(scenario, 'server', { carrier, line: one, over }),
    async (over) => play(scenario, 'client', { carrier, line: other, over }),
  )
}

async function inTwoProcesses(scenario: Scenario): Promise<void> {
  const other = partner === undefined || partner.isGone ? new Partner() : partner
  partner = other
  await together(
    async (over) => other.play({ title: scenario.title, role: 'server' }, over),
    async (over) => play(scenario, 'client', { carrier: { name: 'shm' }, line: other.line, over }),
  )
}

/**
 * Appendix D of the specification: each scenario is written once, for two parties, and played in three settings. Loopback
 * between two processes is none: its memory is an object of one heap, and a listener is found through that very object.
 */
describe('scenarios of appendix D', () => {
  for (const scenario of SCENARIOS) {
    test(`${scenario.title} (loopback)`, async () => {
      await inOneProcess(scenario, { name: 'loopback', network: new LoopbackNetwork() })
    })

    test(`${scenario.title} (shm, one process)`, async () => {
      await inOneProcess(scenario, { name: 'shm' })
    })

    test(`${scenario.title} (shm, two processes)`, async () => {
      await inTwoProcesses(scenario)
    })
  }
})

test('each of the thirty scenarios is played', () => {
  const numbers = new Set(SCENARIOS.map(({ title }) => Number(/^D(\d+) /.exec(title)?.[1])))
  assert.deepEqual(
    [...numbers].sort((one, other) => one - other),
    Array.from({ length: 30 }, (_, i) => i + 1),
  )
})
