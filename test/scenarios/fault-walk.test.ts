import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { Random, chosenSeed } from '../support/random.ts'
import { compare } from './audit.ts'
import { playAudited } from './audited-play.ts'
import { TROUBLES } from './faults.ts'
import type { Trouble } from './faults.ts'
import { SCENARIOS } from './index.ts'
import type { Role, Scenario } from './party.ts'
import { Partner } from './partner.ts'

/** How many plays the gate has time for; all of them with SOCKSWITCH_FAULT_WALK=all. */
const CHOSEN = 40

interface Step {
  readonly scenario: Scenario
  readonly trouble: Trouble
  readonly sick: Role
}

const STEPS: readonly Step[] = TROUBLES.flatMap((trouble) =>
  SCENARIOS.flatMap((scenario) =>
    (['server', 'client'] as const).map((sick) => ({ scenario, trouble, sick })),
  ),
)

let partner: Partner | undefined

after(async () => {
  await partner?.end()
})

/** One scenario between two processes, one of which has a provider with a fault; what went wrong that a fault does not excuse. */
async function walk({ scenario, trouble, sick }: Step): Promise<string[]> {
  const other = partner === undefined || partner.isGone ? new Partner() : partner
  partner = other
  const { title } = scenario
  const faults = (role: Role): Trouble['faults'] => (role === sick ? trouble.faults : [])
  const overs = { server: new AbortController(), client: new AbortController() }
  const part = { title, role: 'server', faults: faults('server'), audited: true } as const
  const [server, client] = await Promise.all([
    other.perform(part, overs.server.signal).finally(() => {
      overs.client.abort()
    }),
    playAudited(scenario, 'client', {
      carrier: { name: 'shm' },
      line: other.line,
      over: overs.client.signal,
      options: { faults: faults('client') },
    }).finally(() => {
      overs.server.abort()
    }),
  ])
  if (server.report === undefined)
    return [...(server.failure === undefined ? [] : [server.failure]), ...client.complaints]
  return compare(server.report, client)
}

/**
 * Each call between switch and provider fails, is late or comes twice, at either end, in each scenario between two processes:
 * nothing hangs, no acknowledged byte is lost, no operation ends twice or never, no descriptor is left.
 */
describe('the fault walk', () => {
  test('a seeded share of it', { skip: isWhole() && 'all of it is walked' }, async (t) => {
    const seed = chosenSeed()
    const random = new Random(seed)
    t.diagnostic(`repeat with SOCKSWITCH_SEED=${seed}`)
    for (let i = 0; i < CHOSEN; i++) await take(random.pick(STEPS), `SOCKSWITCH_SEED=${seed}`)
  })

  for (const trouble of isWhole() ? TROUBLES : []) {
    test(trouble.title, async () => {
      for (const step of STEPS.filter((each) => each.trouble === trouble))
        await take(step, 'SOCKSWITCH_FAULT_WALK=all')
    })
  }
})

function isWhole(): boolean {
  return process.env['SOCKSWITCH_FAULT_WALK'] === 'all'
}

async function take(step: Step, how: string): Promise<void> {
  const { scenario, trouble, sick } = step
  assert.deepEqual(await walk(step), [], `${trouble.title} at the ${sick}, in: ${scenario.title} (${how})`)
}
