import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { checks, runCheck } from '../../conformance/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { mutant } from './mutant.ts'
import { connectionCases } from './mutations-connection.ts'
import { controlCases } from './mutations-control.ts'
import { duplicatingCases } from './mutations-duplicating.ts'
import { rdmaCases } from './mutations-rdma.ts'

/** Long enough for any test of the suite over loopback; short, since some mutants never answer. */
const DEADLINE_MS = 250

const cases = [...controlCases, ...connectionCases, ...rdmaCases, ...duplicatingCases]

describe('the conformance suite sees', () => {
  for (const { breaks, how, mutation } of cases) {
    test(`${breaks} broken: ${how}`, async () => {
      const [check, ...others] = checks.filter(({ id }) => isBroken(id, breaks))
      assert.ok(check !== undefined && others.length === 0, `${breaks} is no test of the suite, or several`)
      const create = () => mutant(loopback(), mutation)
      await assert.rejects(runCheck(check, { create, deadlineMs: DEADLINE_MS }), assert.AssertionError)
    })
  }

  test('every test of the suite broken', () => {
    const unbroken = checks.filter(({ id }) => !cases.some(({ breaks }) => isBroken(id, breaks)))
    assert.deepEqual(
      unbroken.map(({ id }) => id),
      [],
    )
  })

  test('nothing where nothing is broken', async () => {
    for (const check of checks) await runCheck(check, { create: () => mutant(loopback(), () => ({})) })
  })
})

function isBroken(id: string, breaks: string): boolean {
  return id === breaks || (breaks.includes(':') && id.startsWith(breaks))
}
