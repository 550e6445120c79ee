/**
 * Every scenario twice, both ends stock and both ends switched: each end must see the same. Some of them, a seeded share, a
 * third time through the explicit door; with SOCKSWITCH_DOORS=all, all of them.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { App, beside } from '../support/app.ts'
import type { ConnectionReport, Message } from '../support/app.ts'
import { chosenSeed, Random } from '../support/random.ts'
import { within } from '../support/waiting.ts'
import type { Door } from './door.ts'
import { SCENARIOS } from './scenarios.ts'
import type { Arrangement, Scenario } from './side.ts'

const RUN_MS = 20_000
const ATTEMPTS = 3
const ARRANGEMENTS: readonly Arrangement[] = ['two processes', 'one process']

/** How much of it goes through the explicit door, too, besides what must: where it matters what the process claims first. */
const EXPLICIT_SHARE = process.env['SOCKSWITCH_DOORS'] === 'all' ? 1 : 0.1
const ALWAYS_EXPLICIT = [
  'tls: what both ends see',
  'http2 without TLS',
  'the context of async_hooks is kept in every callback',
  'diagnostics channels of net',
  'child_process: a socket and a server sent to a child, and every member of it',
]
const seed = chosenSeed()
const random = new Random(seed)

const SWITCHED = { none: false, preload: true, explicit: 'explicit' } as const

interface Events {
  readonly server: string[]
  readonly client: string[]
  /** How the processes ended, in the order of their roles. */
  readonly exits: string[]
}

interface Run {
  readonly record: Events
  readonly reports: readonly ConnectionReport[]
}

async function run(
  test: TestContext,
  scenario: Scenario,
  arrangement: Arrangement,
  door: Door,
): Promise<Run> {
  const record: Events = { server: [], client: [], exits: [] }
  const roles = arrangement === 'one process' ? ['both'] : ['server', 'client']
  const apps = roles.map(
    (role) =>
      new App(beside(import.meta.url, 'end'), {
        switched: SWITCHED[door],
        args: [scenario.name, role],
        env: { DOOR: door },
        test,
      }),
  )
  const onMessage = (from: number, message: Message): void => {
    if (typeof message['log'] === 'string')
      record[message['side'] as 'server' | 'client'].push(message['log'])
    else if (message['tell'] !== undefined) apps[1 - from]?.tell(message)
  }
  for (const [at, app] of apps.entries()) {
    app.onMessage = (message) => {
      onMessage(at, message)
    }
  }
  const progress = (): string =>
    `the end of it, door ${door}: ${JSON.stringify(record, undefined, 1)}\n` +
    apps.map((app) => app.stderr).join('\n')
  const exits = await within(Promise.all(apps.map((app) => app.exited)), RUN_MS, progress)
  record.exits.push(...exits.map(({ code, signal }) => signal ?? String(code)))
  const reports = apps.flatMap((app) => app.reports())
  if (record.exits.some((exit) => exit !== '0')) {
    test.diagnostic(apps.map((app) => app.stderr).join('\n'))
  }
  await Promise.all(apps.map((app) => app.end()))
  return { record, reports }
}

function connects({ reports }: Run): number {
  return reports.reduce((all, { san }) => all + san.connect, 0)
}

/** On a busy machine a handshake may come too late, and its connection stays on TCP/IP: that says nothing. */
async function runSwitched(
  test: TestContext,
  scenario: Scenario,
  arrangement: Arrangement,
  door: Door,
): Promise<Run> {
  for (let left = ATTEMPTS; ; left -= 1) {
    const result = await run(test, scenario, arrangement, door)
    const late = result.reports.some(({ tcpip }) => (tcpip['handshake-timeout'] ?? 0) > 0)
    if (!late || connects(result) > 0 || left === 1) return result
  }
}

for (const scenario of SCENARIOS) {
  for (const arrangement of scenario.arrangements ?? ARRANGEMENTS) {
    const isExplicit = random.chance(EXPLICIT_SHARE) || ALWAYS_EXPLICIT.includes(scenario.name)
    const doors: readonly Door[] = isExplicit ? ['preload', 'explicit'] : ['preload']
    const timeout = (1 + doors.length * ATTEMPTS) * RUN_MS + 5000
    test(`${scenario.name} (${arrangement})`, { timeout }, async (t) => {
      const stock = await run(t, scenario, arrangement, 'none')
      assert.ok(stock.record.server.length + stock.record.client.length > 0, 'the scenario saw nothing')
      assert.ok(
        stock.record.exits.every((exit) => exit === '0'),
        `the scenario fails on stock Node: ${JSON.stringify(stock.record, undefined, 1)}`,
      )
      for (const door of doors) {
        const how = door === 'explicit' ? `through the explicit door, SOCKSWITCH_SEED=${seed}` : 'preloaded'
        const switched = await runSwitched(t, scenario, arrangement, door)
        assert.deepEqual({ how, ...switched.record }, { how, ...stock.record })
        if (scenario.connects !== false && (door === 'preload' || scenario.needsPreload !== true)) {
          assert.ok(
            connects(switched) > 0,
            `nothing was switched ${how}: ${JSON.stringify(switched.reports)}`,
          )
        }
      }
    })
  }
}
