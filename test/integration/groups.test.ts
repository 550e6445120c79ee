/** Several processes that listen at one address: switched connections reach all of them, and outlive each of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { REGISTER, beside } from '../support/app.ts'
import { Program } from './program.ts'

const TIMEOUT_MS = 60_000
const ACTOR = beside(import.meta.url, 'actor')
const HOST = beside(import.meta.url, 'group-host')
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const noReusePort =
  major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12)
    ? false
    : 'this Node has no reusePort'

interface Scene {
  readonly host: Program
  readonly client: Program
  readonly port: number
}

async function set(t: TestContext, way: string, count: number): Promise<Scene> {
  const host = new Program(HOST, { test: t })
  const client = new Program(ACTOR, { test: t })
  await Promise.all([host.event('ready'), client.event('ready')])
  const { port, error } = await host.ask('start', { way, count })
  assert.equal(error, undefined)
  return { host, client, port: port as number }
}

let keys = 0

/**
 * Connects, sends bytes there and back, and closes; answers which way it went. On a busy machine the first answer may come
 * too late for the switch: that connection says nothing.
 */
async function visit({ client, port }: Scene): Promise<string> {
  keys += 1
  const key = `visit ${keys}`
  const { way, error } = await client.ask('connect', { key, options: { port } })
  if (error !== undefined) return error as string
  assert.equal((await client.ask('echo', { key, bytes: 2000 }))['error'], undefined)
  await client.ask('close', { key })
  return way as string
}

/** Visits until `count` visits went over a SAN; everything else must have been late. */
async function visits(scene: Scene, count: number): Promise<void> {
  for (let done = 0, late = 0; done < count;) {
    const way = await visit(scene)
    if (way === 'san') done += 1
    else {
      assert.equal(way, 'handshake-timeout')
      late += 1
      assert.ok(late < 50, 'the machine is too busy for this test')
    }
  }
}

async function countsOf({ host }: Scene): Promise<number[]> {
  return (await host.ask('counts'))['counts'] as number[]
}

const WAYS = [
  { way: 'round robin', host: false },
  { way: 'shared handle', host: false },
  { way: 'server sent', host: true },
  { way: 'handle sent', host: true },
  { way: 'descriptor', host: true },
] as const

for (const { way, host: hostServes } of WAYS) {
  test(
    `${way}: connections are switched and reach every process evenly`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const scene = await set(t, way, 3)
      const before = await countsOf(scene)
      await visits(scene, 12)
      const counts = (await countsOf(scene)).map((count, at) => count - (before[at] ?? 0))
      const serving = hostServes ? counts : counts.slice(1)
      for (const count of serving) assert.ok(count >= 2, `connections: ${counts.join()}`)
      if (!hostServes) assert.equal(counts[0], 0)
    },
  )

  test(
    `${way}: processes come, are killed and leave, and connects go to the others`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const scene = await set(t, way, 2)
      await visits(scene, 4)
      await scene.host.ask('end', { member: 0, how: 'kill' })
      await settle(scene)
      await visits(scene, 4)
      if (hostServes) await scene.host.ask('close')
      if (way !== 'server sent' && way !== 'handle sent' && way !== 'descriptor') {
        assert.equal((await scene.host.ask('more', { way, port: scene.port }))['error'], undefined)
      }
      await settle(scene)
      await visits(scene, 4)
      const counts = await countsOf(scene)
      assert.ok((counts.at(-1) ?? 0) > 0, `connections: ${counts.join()}`)
    },
  )
}

/** After a change nobody switched may be found for half a second; connects work all the while. */
async function settle(scene: Scene): Promise<void> {
  let way = await visit(scene)
  for (let tries = 0; way !== 'san' && tries < 200; tries += 1) {
    assert.ok(
      ['peer-not-switched', 'handshake-timeout', 'no-listener', 'provider-error'].includes(way),
      `a connect ended with ${way}`,
    )
    await new Promise((resolve) => setTimeout(resolve, 20))
    way = await visit(scene)
  }
  assert.equal(way, 'san')
}

test('round robin: a burst on first contact reaches every worker', { timeout: TIMEOUT_MS }, async (t) => {
  const scene = await set(t, 'round robin', 3)
  const ways = await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const { way } = await scene.client.ask('connect', { key: `burst ${i}`, options: { port: scene.port } })
      return way
    }),
  )
  assert.ok(
    ways.every((way) => way === 'san' || way === 'handshake-timeout'),
    ways.join(),
  )
  let counts: number[] = []
  // Those that went over TCP/IP may still be on their way through the primary.
  while (counts.reduce((sum, count) => sum + count, 0) < ways.length)
    counts = (await countsOf(scene)).slice(1)
  for (const count of counts) assert.ok(count > 0, `connections: ${counts.join()}`)
})

test(
  'round robin: a worker whose loop is blocked, or stopped, is passed over',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await set(t, 'round robin', 2)
    await visits(scene, 4)
    await scene.host.ask('stop', { member: 0, signal: 'SIGSTOP' })
    const ways: string[] = []
    for (let i = 0; i < 6; i += 1) ways.push(await visitSomehow(scene))
    await scene.host.ask('stop', { member: 0, signal: 'SIGCONT' })
    // One connect finds out; those after it go elsewhere.
    assert.ok(ways.filter((way) => way === 'san').length >= 3, ways.join())
  },
)

/** As `visit`, but does not wait for an echo that a stopped process may owe. */
async function visitSomehow({ client, port }: Scene): Promise<string> {
  keys += 1
  const key = `visit ${keys}`
  const { way, error } = await client.ask('connect', { key, options: { port } })
  await client.ask('close', { key })
  return (way ?? error) as string
}

test(
  'round robin: a worker at its maxConnections leaves connections to the others',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await set(t, 'round robin', 2)
    await scene.host.ask('tell', { member: 0, what: 'limit', connections: 1, answer: 'limited' })
    const ways: unknown[] = []
    for (let i = 0; i < 6; i += 1) {
      const { way } = await scene.client.ask('connect', { key: `kept ${i}`, options: { port: scene.port } })
      ways.push(way)
      assert.equal((await scene.client.ask('echo', { key: `kept ${i}`, bytes: 10 }))['error'], undefined)
    }
    const [, ...counts] = await countsOf(scene)
    assert.ok((counts[0] ?? 9) <= 1, `connections: ${counts.join()}, over ${ways.join()}`)
    assert.equal((counts[0] ?? 0) + (counts[1] ?? 0), 6)
  },
)

test(
  'round robin: a worker that disconnects takes no new connections and ends',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await set(t, 'round robin', 2)
    await visits(scene, 4)
    await scene.host.ask('end', { member: 1, how: 'disconnect' })
    await settle(scene)
    await visits(scene, 3)
  },
)

test(
  'round robin: when the last worker closes its server, connects are refused',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await set(t, 'round robin', 2)
    await visits(scene, 4)
    await scene.host.ask('tell', { member: 0, what: 'close', answer: 'closed' })
    await scene.host.ask('tell', { member: 1, what: 'close', answer: 'closed' })
    let way = await visit(scene)
    // The primary closes when it has heard of both.
    for (let tries = 0; way !== 'ECONNREFUSED' && tries < 100; tries += 1) way = await visit(scene)
    assert.equal(way, 'ECONNREFUSED')
  },
)

test(
  'exclusive: a cluster worker with a listener of its own is switched as any',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await set(t, 'exclusive', 1)
    await visits(scene, 3)
    assert.equal((await countsOf(scene))[1], 3)
  },
)

test(
  'reusePort: connections are switched and reach every process',
  { timeout: TIMEOUT_MS, skip: noReusePort },
  async (t) => {
    const scene = await set(t, 'reusePort', 2)
    await visits(scene, 40)
    const counts = await countsOf(scene)
    for (const count of counts) assert.ok(count >= 3, `connections: ${counts.join()}`)
    await scene.host.ask('end', { member: 0, how: 'kill' })
    await scene.host.ask('close')
    await settle(scene)
    await visits(scene, 5)
  },
)

test(
  'round robin: workers whose primary is not switched serve over TCP/IP',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = new Program(HOST, { test: t, execArgv: [], args: ['host', '--require', REGISTER] })
    const client = new Program(ACTOR, { test: t })
    await Promise.all([host.event('ready'), client.event('ready')])
    const { port } = await host.ask('start', { way: 'round robin', count: 2 })
    assert.equal(await visit({ host, client, port: port as number }), 'peer-not-switched')
  },
)

test(
  'round robin: a primary and workers that are not switched serve over TCP/IP',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = new Program(HOST, { test: t, execArgv: [] })
    const client = new Program(ACTOR, { test: t })
    await Promise.all([host.event('ready'), client.event('ready')])
    const { port } = await host.ask('start', { way: 'round robin', count: 2 })
    assert.equal(await visit({ host, client, port: port as number }), 'peer-not-switched')
  },
)
