/** Descriptors that run out: what TCP/IP could still do is done, nothing is thrown, and afterwards all is as before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beside } from '../support/app.ts'
import { censusOf } from '../support/census.ts'
import { eventually } from '../support/waiting.ts'
import { LIMIT_MS, Program } from './program.ts'

const TIMEOUT_MS = 120_000
const ACTOR = beside(import.meta.url, 'actor')
const NOFILE = 100
/** Descriptors left over; from here on everything that a first connection needs fits. */
const ENOUGH = 12

for (let leave = 0; leave <= ENOUGH; leave += 1) {
  test(
    `pitfall 11: a first connect with ${leave} descriptors left does what TCP/IP would`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const server = new Program(ACTOR, { test: t })
      await server.event('ready')
      const { port } = await server.ask('listen')
      const client = new Program(ACTOR, { nofile: NOFILE, test: t })
      await client.event('ready')
      await client.ask('hoard', { leave })
      const { way, error, thrown } = await client.ask('connect', { key: 'a', options: { port } })
      assert.equal(thrown, undefined, 'net.connect threw')
      if (leave === 0) assert.equal(error, 'EMFILE')
      // libuv may take a second one, to have it in reserve.
      else if (leave > 1) assert.equal(error, undefined, `TCP/IP needs one descriptor, ${leave} were left`)
      if (error === undefined)
        assert.equal((await client.ask('echo', { key: 'a', bytes: 50_000 }))['error'], undefined)
      t.diagnostic(`it went ${(way ?? error) as string}`)
      await client.ask('share')
      const later = await client.ask('connect', { key: 'b', options: { port } })
      assert.equal(later['way'], 'san', 'once there are descriptors again, connections are switched')
      assert.equal((await client.ask('echo', { key: 'b', bytes: 50_000 }))['error'], undefined)
    },
  )

  test(
    `a first connect to a server with ${leave} descriptors left harms neither`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const server = new Program(ACTOR, { nofile: NOFILE, test: t })
      await server.event('ready')
      const { port } = await server.ask('listen')
      const client = new Program(ACTOR, { test: t })
      await client.event('ready')
      await server.ask('hoard', { leave })
      const { thrown } = await client.ask('connect', { key: 'a', options: { port } })
      assert.equal(thrown, undefined, 'net.connect threw')
      await server.ask('state')
      await server.ask('share')
      await client.ask('close', { key: 'a' })
      const later = await client.ask('connect', { key: 'b', options: { port } })
      assert.equal(later['error'], undefined)
      assert.equal((await client.ask('echo', { key: 'b', bytes: 50_000 }))['error'], undefined)
    },
  )

  test(
    `a listen with ${leave} descriptors left does what TCP/IP would`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const server = new Program(ACTOR, { nofile: NOFILE, test: t })
      await server.event('ready')
      await server.ask('hoard', { leave })
      const { error, port } = await server.ask('listen')
      if (leave === 0) assert.equal(error, 'EMFILE')
      // libuv may take a second one, to have it in reserve.
      else if (leave > 1) assert.equal(error, undefined, `TCP/IP needs one descriptor, ${leave} were left`)
      await server.ask('share')
      if (port === undefined) return
      const client = new Program(ACTOR, { test: t })
      await client.event('ready')
      assert.equal((await client.ask('connect', { key: 'a', options: { port } }))['error'], undefined)
      assert.equal((await client.ask('echo', { key: 'a', bytes: 50_000 }))['error'], undefined)
    },
  )
}

for (const side of ['reads', 'writes'] as const) {
  test(
    `a connection goes on while the side that ${side} has no descriptor left`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const server = new Program(ACTOR, { nofile: NOFILE, test: t })
      const client = new Program(ACTOR, { nofile: NOFILE, test: t })
      await Promise.all([server.event('ready'), client.event('ready')])
      const { port } = await server.ask('listen')
      assert.equal((await client.ask('connect', { key: 'a', options: { port } }))['way'], 'san')
      await client.ask('echo', { key: 'a', bytes: 10 })
      const poor = side === 'reads' ? server : client
      await poor.ask('hoard', { leave: 0 })
      // Larger than the first ring: the other side makes memory and passes its descriptor.
      assert.equal((await client.ask('echo', { key: 'a', bytes: 300_000 }))['error'], undefined)
      await poor.ask('share')
      assert.equal((await client.ask('echo', { key: 'a', bytes: 300_000 }))['error'], undefined)
    },
  )
}

test(
  'a server without descriptors does not burn its CPU on a channel that it cannot take',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const server = new Program(ACTOR, { nofile: NOFILE, test: t })
    const client = new Program(ACTOR, { test: t })
    await Promise.all([server.event('ready'), client.event('ready')])
    const { port } = await server.ask('listen')
    await server.ask('hoard', { leave: 0 })
    await client.ask('connect', { key: 'a', options: { port } })
    const shares: number[] = []
    const share = async (): Promise<number> => {
      const [before, start] = [(await server.ask('state'))['cpu'] as number, performance.now()]
      await new Promise((resolve) => setTimeout(resolve, 300))
      const used = ((await server.ask('state'))['cpu'] as number) - before
      return used / 1000 / (performance.now() - start)
    }
    // What V8 compiles and collects passes; what turns and turns does not.
    while (shares.length < 10 && (shares.at(-1) ?? 1) >= 0.2) shares.push(await share())
    assert.ok((shares.at(-1) ?? 1) < 0.2, `shares of a CPU used while nothing happened: ${shares.join()}`)
  },
)

test('connects that fail for want of descriptors leave none behind', { timeout: TIMEOUT_MS }, async (t) => {
  const server = new Program(ACTOR, { test: t })
  const client = new Program(ACTOR, { nofile: NOFILE, test: t })
  await Promise.all([server.event('ready'), client.event('ready')])
  const { port } = await server.ask('listen')
  await client.ask('connect', { key: 'first', options: { port } })
  const count = (): number => Object.values(censusOf(client.pid).descriptors).reduce((all, n) => all + n, 0)
  const before = count()
  for (let leave = 0; leave <= ENOUGH; leave += 1) {
    await client.ask('hoard', { leave })
    await client.ask('connect', { key: `k${leave}`, options: { port } })
    await client.ask('share')
    await client.ask('close', { key: `k${leave}` })
  }
  await eventually(
    () => count() <= before,
    LIMIT_MS,
    () => `${count()} descriptors to become ${before}`,
  )
})
