/** Worker threads: each has an event loop, and so a switch, of its own; when a thread ends, so does all it held. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ProcessReport } from '../../src/compose/report.ts'
import { beside } from '../support/app.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { eventually, within } from '../support/waiting.ts'
import { cli } from './command-line.ts'
import { LIMIT_MS, Program } from './program.ts'

const TIMEOUT_MS = 60_000
const ACTOR = beside(import.meta.url, 'actor')
const HOST = beside(import.meta.url, 'worker-host')

for (const how of ['terminate', 'retire'] as const) {
  for (const role of ['server', 'client'] as const) {
    test(
      `a ${role} in a worker: switched, and its peer hears of it when the worker is told to ${how}`,
      { timeout: TIMEOUT_MS },
      async (t) => {
        const host = new Program(HOST, { test: t })
        const actor = new Program(ACTOR, { test: t })
        await Promise.all([host.event('ready'), actor.event('ready')])
        const [server, client] = role === 'server' ? [host, actor] : [actor, host]
        const { port } = await server.ask('listen')
        assert.equal((await client.ask('connect', { key: 'a', options: { port } }))['way'], 'san')
        assert.equal((await client.ask('echo', { key: 'a', bytes: 100_000 }))['error'], undefined)
        await host.ask(how)
        const end = role === 'server' ? actor.event('closed a') : actor.event('left')
        await within(end, LIMIT_MS, 'the end of a connection whose other side is gone')
        if (role === 'client') return
        const refused = await client.ask('connect', { key: 'b', options: { port } })
        assert.equal(refused['error'], 'ECONNREFUSED')
      },
    )
  }

  test(
    `a worker that was told to ${how} leaves no descriptor and no mapping in its process`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const idle = new Program(HOST, { test: t })
      await idle.event('ready')
      await idle.ask(how)
      const wanted = censusOf(idle.pid)
      const host = new Program(HOST, { test: t })
      const actor = new Program(ACTOR, { test: t })
      await Promise.all([host.event('ready'), actor.event('ready')])
      const { port } = await host.ask('listen')
      const { port: theirs } = await actor.ask('listen')
      await actor.ask('connect', { key: 'a', options: { port } })
      await actor.ask('echo', { key: 'a', bytes: 100_000 })
      await host.ask('connect', { key: 'b', options: { port: theirs } })
      await host.ask('echo', { key: 'b', bytes: 100_000 })
      await host.ask(how)
      const ownName = `control/${host.pid}.0`
      const left = (): string[] => {
        const now = censusOf(host.pid)
        return leftovers({ ...wanted, names: now.names.filter((name) => name.endsWith(ownName)) }, now)
      }
      await eventually(
        () => left().length === 0,
        LIMIT_MS,
        () => left().join('; '),
      )
    },
  )
}

test('ls: each event loop of a process answers for itself', { timeout: TIMEOUT_MS }, async (t) => {
  const host = new Program(HOST, { test: t })
  await host.event('ready')
  const { port } = await host.ask('listen')
  const { processes } = JSON.parse((await cli(['ls', '--json'])).stdout) as { processes: ProcessReport[] }
  const rows = processes.filter(({ pid }) => pid === host.pid)
  const ports = (row: ProcessReport): number[] => row.listeners.map(({ local }) => local.port)
  assert.deepEqual(Object.fromEntries(rows.map((row) => [row.thread, ports(row)])), { 0: [], 1: [port] })
})
