/** Programs on two hosts: connections go over the fabric, and end as TCP's do when a peer, its host or the cable fails. */
import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import type { ProcessReport } from '../../src/compose/report.ts'
import { cli } from '../integration/command-line.ts'
import { Program } from '../integration/program.ts'
import { beside, startApp } from '../support/app.ts'
import { FABRIC_UNDER_TEST, noFabric } from '../support/fabric-provider.ts'
import { chosenSeed, numberFromEnv } from '../support/random.ts'
import { within } from '../support/waiting.ts'
import { makeHosts } from './hosts.ts'
import type { Host, Hosts } from './hosts.ts'

const ACTOR = beside(import.meta.url, '../integration/actor')
/** What so many connections carry each way, and what a single one does. */
const BYTES = numberFromEnv('SOCKSWITCH_FABRIC_BYTES', 16 << 20)
const CONNECTIONS = numberFromEnv('SOCKSWITCH_FABRIC_CONNECTIONS', 200)
const STREAM_BYTES = numberFromEnv('SOCKSWITCH_FABRIC_STREAM', 32 << 20)
/** Emulated machines are slow. */
const SLOWEST_BYTES_PER_MS = FABRIC_UNDER_TEST === 'tcp' ? 5000 : 100

const fabricWith = (heartbeatMs: number): Record<string, string> => ({
  SOCKSWITCH_FABRIC: FABRIC_UNDER_TEST,
  SOCKSWITCH_FABRIC_HEARTBEAT: String(heartbeatMs),
})
/** On a busy machine a peer may be silent for seconds, and is there. */
const SWITCHED = fabricWith(20_000)
/** For peers that are gone. */
const IMPATIENT = fabricWith(FABRIC_UNDER_TEST === 'tcp' ? 300 : 2000)

const hosts = noFabric() === false ? makeHosts() : noFabric()
const skip = typeof hosts === 'object' ? false : hosts

if (skip !== false || typeof hosts !== 'object') {
  test('between two hosts', { skip }, () => undefined)
} else {
  after(() => {
    hosts.remove()
  })
  describe('between two hosts', () => {
    suite(hosts)
  })
}

/** @param env The switch's environment; null: without the switch. */
async function startActor(
  test: TestContext,
  host: Host,
  env: Record<string, string> | null = SWITCHED,
): Promise<Program> {
  const stock = env === null && { execArgv: [] }
  const actor = new Program(ACTOR, { within: host.within, env: env ?? {}, ...stock, test })
  await actor.event('ready')
  return actor
}

/** A server and a client, and the port the server listens at. @param env Of both; null: the server is not switched. */
async function startBoth(
  test: TestContext,
  { server, client }: Hosts,
  env?: Record<string, string> | null,
): Promise<{ server: Program; client: Program; options: { host: string; port: number } }> {
  const [far, near] = await Promise.all([
    startActor(test, server, env),
    startActor(test, client, env ?? SWITCHED),
  ])
  const { port } = await far.ask('listen', { options: { host: server.address } })
  return { server: far, client: near, options: { host: server.address, port: port as number } }
}

/** Connects until the link stands: the first connects may find libfabric or the link still coming up. */
async function connectSwitched(
  client: Program,
  options: object,
  key = 'one',
): Promise<Record<string, unknown>> {
  for (;;) {
    const connected = await client.ask('connect', { key, options })
    if (connected['way'] === 'san') return connected
    assert.match(String(connected['way']), /^(starting|handshake-timeout)$/, JSON.stringify(connected))
    await client.ask('close', { key })
    await client.event(`closed ${key}`)
  }
}

/** Both ends of `connections` unmodified connections with pauses and half-closes, on hosts of their own. */
async function soak(t: TestContext, hosts: Hosts, connections: number, bytesEachWay: number): Promise<void> {
  const seed = chosenSeed()
  t.diagnostic(`repeat with SOCKSWITCH_SEED=${seed}, ${bytesEachWay} bytes each way`)
  const limitMs = limitFor(bytesEachWay)
  const script = beside(import.meta.url, '../soak/verified')
  const numbers = [seed, connections, bytesEachWay].map(String)
  const both = { switched: true, env: { SOCKSWITCH_FABRIC: FABRIC_UNDER_TEST }, test: t }
  const { app: server, ready } = await startApp(script, {
    ...both,
    within: hosts.server.within,
    args: ['server', ...numbers, '0', hosts.server.address],
  })
  const { app: client } = await startApp(script, {
    ...both,
    within: hosts.client.within,
    args: ['client', ...numbers, String(ready['port']), hosts.server.address],
  })
  const exits = await within(Promise.all([server.exited, client.exited]), limitMs, () => 'the soak')
  for (const exit of exits)
    assert.deepEqual(exit, { code: 0, signal: null }, `${server.stderr}${client.stderr}`)
  const switched = client.reports().reduce((all, { san }) => all + san.connect, 0)
  // One more has tried the way.
  t.diagnostic(`${switched - 1} of ${connections} over the fabric`)
  assert.ok(switched - 1 > connections / 2, JSON.stringify(client.reports()))
}

function limitFor(bytesEachWay: number): number {
  return 60_000 + (2 * bytesEachWay) / SLOWEST_BYTES_PER_MS
}

function suite(hosts: Hosts): void {
  test('a connection goes over the fabric, under the addresses of TCP', async (t) => {
    const { server, client, options } = await startBoth(t, hosts)
    const connected = await connectSwitched(client, options)
    const arrived = await server.event('arrived')
    assert.equal(connected['remoteAddress'], hosts.server.address)
    assert.equal(connected['localAddress'], hosts.client.address)
    if (arrived['way'] === 'san') {
      assert.equal(arrived['remoteAddress'], hosts.client.address)
      assert.equal(arrived['localAddress'], hosts.server.address)
    }
    for (const bytes of [1, 64, 5000, 300_000]) {
      assert.equal((await client.ask('echo', { key: 'one', bytes }))['error'], undefined)
    }
  })

  test('a wildcard listener serves the fabric, too', async (t) => {
    const { server, client, options } = await startBoth(t, hosts)
    const { port } = await server.ask('listen', { options: { host: '::' } })
    await connectSwitched(client, { ...options, port })
  })

  test(
    `${CONNECTIONS} connections with pauses and half-closes carry every byte`,
    {
      timeout: limitFor(BYTES),
    },
    async (t) => {
      await soak(t, hosts, CONNECTIONS, BYTES)
    },
  )

  test('one stream carries every byte', { timeout: limitFor(STREAM_BYTES) }, async (t) => {
    await soak(t, hosts, 1, STREAM_BYTES)
  })

  test('a peer that is killed ends its connections, and later connects are refused', async (t) => {
    const { server, client, options } = await startBoth(t, hosts)
    await connectSwitched(client, options)
    server.kill()
    await client.event('closed one')
    // The kernel closes what a process had one after the other: its listener may come last.
    await server.exited
    assert.equal((await client.ask('connect', { key: 'two', options }))['error'], 'ECONNREFUSED')
  })

  test('a client that is killed ends its connections at the server', async (t) => {
    const { server, client, options } = await startBoth(t, hosts)
    await connectSwitched(client, options)
    await server.event('arrived')
    client.kill()
    await server.event('left')
  })

  test('a cable that is mended in time costs nothing but time', async (t) => {
    const { client, options } = await startBoth(t, hosts)
    await connectSwitched(client, options)
    hosts.cut()
    const echoed = client.ask('echo', { key: 'one', bytes: 100_000 })
    hosts.mend()
    assert.equal((await echoed)['error'], undefined)
  })

  test('ls tells the connections, the provider of libfabric, its device and its counters', async (t) => {
    const { client, options } = await startBoth(t, hosts)
    await connectSwitched(client, options)
    assert.equal((await client.ask('echo', { key: 'one', bytes: 300_000 }))['error'], undefined)
    const { stdout } = await cli(['ls', '--json'], SWITCHED, undefined, hosts.client.within)
    const { processes } = JSON.parse(stdout) as { processes: readonly ProcessReport[] }
    const report = processes.find(({ pid }) => pid === client.pid)
    assert.deepEqual(
      report?.connections.map(({ provider, state }) => [provider, state]),
      [['fabric', 'open']],
    )
    const { fabric } = report.counters
    assert.ok(fabric !== undefined)
    assert.equal(fabric.provider, FABRIC_UNDER_TEST)
    assert.ok(fabric.devices.some(({ name, address }) => name !== '' && address === hosts.client.address))
    assert.deepEqual([fabric.links, fabric.connections, fabric.errors, fabric.silenced], [1, 1, 0, 0])
    for (const counter of ['messagesSent', 'messagesReceived', 'writes', 'completions'] as const)
      assert.ok(fabric[counter] > 0, counter)
    assert.ok(fabric.completions >= fabric.messagesReceived)
    assert.ok(fabric.writtenBytes >= 250_000, String(fabric.writtenBytes))
    assert.match((await cli(['ls'], SWITCHED, undefined, hosts.client.within)).stdout, /fabric .* on .*\(/)
  })

  test('explain makes a link, and tells whether it stands and over which device', async (t) => {
    const { options } = await startBoth(t, hosts)
    const target = `${options.host}:${String(options.port)}`
    const asked = ['explain', '--json', target]
    const { code, stdout } = await cli(asked, SWITCHED, undefined, hosts.client.within)
    const [answer] = (JSON.parse(stdout) as { answers: [{ provider?: string; steps: { detail: string }[] }] })
      .answers
    assert.equal(answer.provider, 'fabric', stdout)
    assert.equal(code, 0)
    const details = answer.steps.map(({ detail }) => detail)
    assert.ok(
      details.some((detail) => detail.includes(`(${hosts.client.address})`)),
      stdout,
    )
    assert.ok(details.includes('stands'), stdout)
  })

  test('explain tells of a listener that nobody switched', async (t) => {
    const { options } = await startBoth(t, hosts, null)
    const target = `${options.host}:${String(options.port)}`
    const asked = ['explain', '--json', target]
    const { code, stdout } = await cli(asked, SWITCHED, undefined, hosts.client.within)
    const [answer] = (JSON.parse(stdout) as { answers: [{ reason?: string }] }).answers
    assert.equal(answer.reason, 'peer-not-switched', stdout)
    assert.equal(code, 1)
  })

  test('a peer that is not switched is served over TCP/IP, with the reason', async (t) => {
    const { client, options } = await startBoth(t, hosts, null)
    let way: unknown
    do {
      await client.ask('close', { key: 'one' })
      way = (await client.ask('connect', { key: 'one', options }))['way']
    } while (way === 'starting' || way === 'handshake-timeout')
    assert.equal(way, 'peer-not-switched')
    assert.equal((await client.ask('echo', { key: 'one', bytes: 1000 }))['error'], undefined)
  })

  // The service of `verbs` is no TCP port.
  const noService = FABRIC_UNDER_TEST === 'verbs' && 'nobody can connect to an RDMA port over TCP'
  test('silent visitors and noise at the service keep nobody out', { skip: noService }, async (t) => {
    const { client, options } = await startBoth(t, hosts)
    const stranger = await startActor(t, hosts.client, null)
    const service = { ...options, port: serviceOf('tcp', options.port) }
    for (let i = 0; i < 20; i++) {
      const key = `stranger ${String(i)}`
      await stranger.ask('connect', { key, options: service })
      if (i % 2 === 0) void stranger.ask('echo', { key, bytes: 3000 })
    }
    await connectSwitched(client, options)
    assert.equal((await client.ask('echo', { key: 'one', bytes: 1000 }))['error'], undefined)
  })

  test('a host that is gone ends its connections within four heartbeats', async (t) => {
    const { client, options } = await startBoth(t, hosts, IMPATIENT)
    await connectSwitched(client, options)
    hosts.cut()
    t.after(() => {
      hosts.mend()
    })
    assert.equal((await client.event('closed one'))['how'], 'ECONNRESET')
  })

  const { powerOff } = hosts
  const noPower = powerOff === undefined && 'the power stays on; for the peers a cut cable is the same'
  test(
    'a host that loses its power ends its connections within four heartbeats',
    { skip: noPower },
    async (t) => {
      const { client, options } = await startBoth(t, hosts, IMPATIENT)
      await connectSwitched(client, options)
      powerOff?.()
      assert.equal((await client.event('closed one'))['how'], 'ECONNRESET')
    },
  )
}
