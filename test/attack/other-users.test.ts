/** Trust: memory is shared with the same user and with nobody else, and only with who owns the TCP listener. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { spawnSync } from 'node:child_process'
import { Program } from '../integration/program.ts'
import { beside } from '../support/app.ts'
import { Door } from './channel.ts'
import { HOST, doorName } from './hostile-peer.ts'

const TIMEOUT_MS = 60_000
const NOBODY = 65_534
const SOMEBODY = 65_533
const ACTOR = beside(import.meta.url, '../integration/actor')
const DOORKEEPER = beside(import.meta.url, 'doorkeeper')
const skip = whyNot()

/** Why programs of other users cannot be run here; false when they can. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'only root can run programs as other users'
  const ran = spawnSync(process.execPath, ['--check', ACTOR], { uid: NOBODY, gid: NOBODY, encoding: 'utf8' })
  return ran.status === 0 ? false : `another user cannot read '${ACTOR}'`
}

async function start(
  test: TestContext,
  uid: number,
  script = ACTOR,
  args: readonly string[] = [],
): Promise<Program> {
  const program = new Program(script, { uid, test, args, ...(script !== ACTOR && { execArgv: [] }) })
  await program.event('ready')
  return program
}

/** Connects and echoes: which way it went. */
async function wayTo(client: Program, port: number): Promise<unknown> {
  const { way, error } = await client.connect('a', port)
  assert.equal(error, undefined)
  assert.equal((await client.ask('echo', { key: 'a', bytes: 100_000 }))['error'], undefined)
  await client.ask('close', { key: 'a' })
  return way
}

const PAIRS = [
  ['another user’s server, to root', NOBODY, 0, 'peer-other-user'],
  ['root’s server, to another user', 0, NOBODY, 'peer-other-user'],
  ['the server of one user, to another', NOBODY, SOMEBODY, 'peer-other-user'],
  ['one’s own server, to an ordinary user', NOBODY, NOBODY, 'san'],
] as const

for (const [what, serverUid, clientUid, way] of PAIRS) {
  test(`${what}: ${way}`, { timeout: TIMEOUT_MS, skip }, async (t) => {
    const server = await start(t, serverUid)
    const client = await start(t, clientUid)
    const { port } = await server.ask('listen')
    assert.equal(await wayTo(client, port as number), way)
    // And so it stays, and leaves nothing.
    assert.equal(await wayTo(client, port as number), way)
  })
}

test(
  'pitfall 13: a squatter of our own user at the name of somebody else’s TCP port: peer-not-owner',
  { timeout: TIMEOUT_MS, skip },
  async (t) => {
    const server = await start(t, SOMEBODY)
    const { port } = await server.ask('listen')
    await server.ask('unlisten', { port })
    // The port of an unswitched server of another user, and the name of a squatter.
    const victim = new Program(ACTOR, { uid: SOMEBODY, execArgv: [], test: t })
    await victim.event('ready')
    await victim.ask('listen', { options: { port } })
    const squatter = await start(t, NOBODY, DOORKEEPER, [doorName(port as number)])
    const client = await start(t, NOBODY)
    assert.equal(await wayTo(client, port as number), 'peer-not-owner')
    assert.equal((await squatter.ask('knocks'))['messages'], 0, 'the squatter was sent something')
  },
)

test(
  'pitfall 13: a squatter of another user at the name of our TCP port: peer-other-user',
  { timeout: TIMEOUT_MS, skip },
  async (t) => {
    const unswitched = new Program(ACTOR, { execArgv: [], test: t })
    await unswitched.event('ready')
    const { port } = await unswitched.ask('listen')
    const squatter = await start(t, NOBODY, DOORKEEPER, [doorName(port as number)])
    const client = await start(t, 0)
    assert.equal(await wayTo(client, port as number), 'peer-other-user')
    assert.equal((await squatter.ask('knocks'))['messages'], 0, 'the squatter was sent something')
  },
)

test(
  'pitfall 13: a name that is taken when a server starts: it listens on TCP/IP',
  { timeout: TIMEOUT_MS, skip },
  async (t) => {
    const probe = await start(t, 0)
    const { port } = await probe.ask('listen')
    await probe.ask('unlisten', { port })
    await start(t, NOBODY, DOORKEEPER, [doorName(port as number)])
    const server = await start(t, 0)
    assert.equal((await server.ask('listen', { options: { port } }))['error'], undefined)
    assert.deepEqual((await server.ask('state'))['reasons'], { 'name-taken': 1 })
    const client = await start(t, 0)
    assert.equal(await wayTo(client, port as number), 'peer-other-user')
  },
)

test(
  'a client of another user at our door is told so, and gets no memory',
  { timeout: TIMEOUT_MS, skip },
  async (t) => {
    const server = await start(t, 0)
    const { port } = await server.ask('listen')
    const caller = await start(t, NOBODY, DOORKEEPER, ['', doorName(port as number)])
    const { messages, descriptors } = await caller.ask('called')
    assert.equal(descriptors, 0)
    assert.equal(messages, 1, 'one REJECT')
    const client = await start(t, 0)
    assert.equal(await wayTo(client, port as number), 'san')
  },
)

test('a name nobody offers: peer-not-switched', { timeout: TIMEOUT_MS }, async (t) => {
  const unswitched = new Program(ACTOR, { execArgv: [], test: t })
  const client = new Program(ACTOR, { test: t })
  await Promise.all([unswitched.event('ready'), client.event('ready')])
  const { port } = await unswitched.ask('listen')
  assert.equal(await wayTo(client, port as number), 'peer-not-switched')
})

test(
  'a name that is offered where nobody listens is not even looked at',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const client = new Program(ACTOR, { test: t })
    await client.event('ready')
    const { port } = await client.ask('listen')
    await client.ask('unlisten', { port })
    const door = new Door(doorName(port as number))
    const { error } = await client.ask('connect', { key: 'a', options: { port, host: HOST } })
    assert.equal(error, 'ECONNREFUSED')
    door.close()
  },
)

for (const uid of [0, NOBODY]) {
  const taker = uid === 0 ? 'the same user' : 'another user'
  test(
    `a port taken over by an unswitched program of ${taker} while a link is up: the next connect goes there`,
    { timeout: TIMEOUT_MS, skip: uid === 0 ? false : skip },
    async (t) => {
      const first = new Program(ACTOR, { test: t })
      const client = new Program(ACTOR, { test: t })
      const second = new Program(ACTOR, { execArgv: [], test: t, ...(uid !== 0 && { uid }) })
      await Promise.all([first.event('ready'), client.event('ready'), second.event('ready')])
      const { port } = await first.ask('listen')
      const { way } = await client.ask('connect', { key: 'old', options: { port } })
      assert.equal(way, 'san')
      await client.ask('echo', { key: 'old', bytes: 1000 })
      await first.ask('unlisten', { port })
      // The port is free once the first program's loop has gone round.
      while ((await second.ask('listen', { options: { port } }))['error'] === 'EADDRINUSE');
      const next = await client.ask('connect', { key: 'new', options: { port } })
      assert.equal(next['way'], 'peer-not-switched')
      await second.event('arrived')
      await client.ask('echo', { key: 'new', bytes: 1000 })
      // The connection from before goes on where it was.
      assert.equal((await client.ask('echo', { key: 'old', bytes: 1000 }))['error'], undefined)
    },
  )
}
