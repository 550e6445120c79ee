import assert from 'node:assert/strict'
import { test } from 'node:test'

import { checks, providerConformance, runCheck } from '../../conformance/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { mutant } from './mutant.ts'

const bind2 = checks.find(({ id }) => id === 'BIND-2')
const exempt = { 'BIND-2': 'binds as often as one likes' }

test('an exempt clause that does not hold passes', async () => {
  assert.ok(bind2 !== undefined)
  await runCheck(bind2, { create: () => mutant(loopback(), () => ({ socket: { bind: () => 0 } })), exempt })
})

test('an exempt clause that holds fails', async () => {
  assert.ok(bind2 !== undefined)
  const run = runCheck(bind2, { create: () => loopback(), exempt })
  await assert.rejects(run, /BIND-2 holds, yet it is exempt: binds as often as one likes/)
})

test('an exemption of nothing is misuse', () => {
  const options = { create: () => loopback(), exempt: { 'BIND-99': 'no such clause' } }
  assert.throws(() => {
    providerConformance('never registered', options)
  }, /Cannot exempt 'BIND-99'/)
})
