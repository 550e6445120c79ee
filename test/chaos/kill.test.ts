/** Peers that die or stop: the survivor sees an end of every connection, keeps nothing, and goes on with others. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { beside, startApp } from '../support/app.ts'
import type { ConnectionReport, Message } from '../support/app.ts'
import { unixNames } from '../support/census.ts'
import type { Census } from '../support/census.ts'
import { chosenSeed, numberFromEnv } from '../support/random.ts'
import { within } from '../support/waiting.ts'

const KILLS = numberFromEnv('SOCKSWITCH_KILLS', 60)
const LIMIT_MS = 60_000 + KILLS * 1500

interface Ending {
  readonly last: Message
  readonly reports: readonly ConnectionReport[]
}

/** Runs a chaos program to its end, and gives back the last that it said. */
async function survive(test: TestContext, program: string, switched: boolean): Promise<Ending> {
  const { app, ready } = await startApp(beside(import.meta.url, program), {
    switched,
    args: [switched ? 'switched' : 'stock', String(KILLS), String(chosenSeed())],
    execArgv: ['--expose-gc'],
    test,
  })
  test.diagnostic(JSON.stringify(ready))
  let last: Message = {}
  app.onMessage = (message) => {
    last = message
    test.diagnostic(JSON.stringify(message))
  }
  const exit = await within(app.exited, LIMIT_MS, () => `the end of '${program}'\n${app.stderr}`)
  assert.deepEqual(exit, { code: 0, signal: null }, app.stderr)
  assert.equal(last['done'], true)
  const { names } = last['census'] as Census
  assert.deepEqual(
    unixNames().filter((name) => names.includes(name)),
    [],
    'names outlive their process',
  )
  return { last, reports: app.reports() }
}

function switchedConnects(reports: readonly ConnectionReport[]): number {
  return reports.reduce((all, { san }) => all + san.connect + san.accept, 0)
}

test(`a switched process survives ${KILLS} kills of its peers`, { timeout: LIMIT_MS + 5000 }, async (t) => {
  const { reports } = await survive(t, 'kill', true)
  assert.ok(switchedConnects(reports) > 0, 'nothing was switched')
})

test('a switched process goes on while a peer is stopped', { timeout: LIMIT_MS + 5000 }, async (t) => {
  const { last, reports } = await survive(t, 'stop', true)
  assert.ok(switchedConnects(reports) > 0, 'nothing was switched')
  assert.ok(
    (last['connectMs'] as number) < 1000,
    `a connect to a stopped peer took ${String(last['connectMs'])} ms`,
  )
})

test(
  'the same kills and stops on stock Node, so that it is known what they ask',
  { timeout: LIMIT_MS + 5000 },
  async (t) => {
    await survive(t, 'kill', false)
    await survive(t, 'stop', false)
  },
)
