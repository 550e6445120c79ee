/** Conditional accept: `inspect` judges each peer, over the SAN before there is a connection, on TCP/IP before it is told. */
import assert from 'node:assert/strict'
import type { Server } from 'node:net'
import { test } from 'node:test'
import { createServer } from 'node:net'
import type { TestContext } from 'node:test'
import { setInspect } from '../../src/net.ts'
import type { Inspect } from '../../src/net.ts'
import { beside } from '../support/app.ts'
import type { Message } from '../support/app.ts'
import { Program } from './program.ts'

const TIMEOUT_MS = 60_000
const ACTOR = beside(import.meta.url, 'actor')
/** A switched actor that waits as long as it takes. */
const PATIENT = beside(import.meta.url, 'limited')
const JUDGE = beside(import.meta.url, 'judge')

/** Where the judge runs: in a switched program, through the door alone, with switching off. */
const DOORS = {
  register: {},
  door: { execArgv: [] },
  off: { env: { SOCKSWITCH: 'off' } },
} as const
type Door = keyof typeof DOORS
type Peer = 'san' | 'tcpip'

interface Court {
  readonly judge: Program
  readonly peer: Program
  readonly port: number
  /** Starts to connect; the answer comes when the connection stands or has failed. */
  readonly connect: (key: string) => Promise<Message>
}

async function court(
  t: TestContext,
  door: Door,
  peer: Peer,
  how: object,
  args: readonly string[] = [],
): Promise<Court> {
  const judge = new Program(JUDGE, { ...DOORS[door], args, test: t })
  const client =
    peer === 'san'
      ? new Program(PATIENT, { execArgv: [], test: t })
      : new Program(ACTOR, { execArgv: [], test: t })
  await Promise.all([judge.event('ready'), client.event('ready')])
  await judge.ask('judge', how)
  const port = (await judge.ask('listen'))['port'] as number
  return { judge, peer: client, port, connect: (key) => client.ask('connect', { key, options: { port } }) }
}

/** Over which of the two the peer comes, given where the judge runs; where that is nothing special, only the main tests. */
const CASES: readonly (readonly [Door, Peer, 'all' | 'main'])[] = [
  ['register', 'san', 'all'],
  ['door', 'san', 'main'],
  ['register', 'tcpip', 'main'],
  ['door', 'tcpip', 'all'],
  ['off', 'tcpip', 'main'],
]

for (const [door, peer, tests] of CASES) {
  const where = `(${door}, ${peer})`
  const provider = peer === 'san' ? 'shm' : 'tcpip'

  for (const later of tests === 'all' ? [false, true] : [true]) {
    const when = later ? 'later' : 'at once'

    test(`inspect: a peer accepted ${when} is connected ${where}`, { timeout: TIMEOUT_MS }, async (t) => {
      const { judge, peer: client, port, connect } = await court(t, door, peer, { mode: 'accept', later })
      const connected = await connect('a')
      assert.equal(connected['way'], peer)
      const asked = await judge.event('asked')
      assert.deepEqual(
        [asked['provider'], asked['remoteAddress'], asked['remotePort'], asked['localPort']],
        [provider, '127.0.0.1', connected['localPort'], port],
      )
      assert.equal((await client.ask('echo', { key: 'a', bytes: 200_000 }))['error'], undefined)
    })

    test(`inspect: a peer rejected ${when} is not ${where}`, { timeout: TIMEOUT_MS }, async (t) => {
      const { judge, peer: client, connect } = await court(t, door, peer, { mode: 'reject', later })
      await refused({ client, connect }, peer)
      await judge.event('asked')
      await judge.ask('judge', { mode: 'accept' })
      assert.equal((await connect('b'))['way'], peer, 'others are not harmed')
      assert.equal((await judge.event('connected'))['remotePort'], (await judge.event('asked'))['remotePort'])
    })
  }

  if (tests === 'main') continue

  for (const [mode, later, message] of [
    ['throw', false, /^no idea$/],
    ['throw', true, /^no idea$/],
    ['odd', false, /"odd" is not one of "accept", "reject"/],
    ['odd', true, /"odd" is not one of "accept", "reject"/],
  ] as const) {
    const what =
      mode === 'throw' ? (later ? 'rejects' : 'throws') : `answers nonsense ${later ? 'later' : 'at once'}`
    test(
      `inspect: one that ${what} rejects, and is an error of the server ${where}`,
      { timeout: TIMEOUT_MS },
      async (t) => {
        const { judge, peer: client, connect } = await court(t, door, peer, { mode, later })
        await refused({ client, connect }, peer)
        assert.match((await judge.event('error'))['message'] as string, message)
      },
    )
  }

  test(
    `inspect: a peer that gives up while it is judged raises inspectAbort ${where}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const { judge, peer: client, connect } = await court(t, door, peer, { mode: 'hold' })
      const attempt = connect('a')
      // It comes to nothing.
      attempt.catch(() => undefined)
      const { number } = await judge.event('asked')
      // On TCP/IP the peer is connected as far as it knows, and a mere end would be no reason not to answer it.
      if (peer === 'tcpip') await attempt
      await client.ask(peer === 'san' ? 'close' : 'reset', { key: 'a' })
      assert.equal((await judge.event('abandoned'))['number'], number)
      assert.equal((await judge.event('aborted'))['number'], number)
      await judge.ask('decide', { number, verdict: 'accept' })
      await judge.ask('judge', { mode: 'accept' })
      const next = await connect('b')
      assert.equal(
        (await judge.event('connected'))['remotePort'],
        next['localPort'],
        'the first one never was',
      )
    },
  )

  test(
    `inspect: a server that closes while it judges turns everybody away ${where}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const { judge, peer: client, connect } = await court(t, door, peer, { mode: 'hold' })
      const attempts = ['a', 'b'].map(connect)
      const first = await judge.event('asked')
      const second = await judge.event('asked')
      if (peer === 'tcpip') await Promise.all(attempts)
      await judge.ask('close')
      await judge.event('closed')
      assert.deepEqual(
        [(await judge.event('aborted'))['number'], (await judge.event('aborted'))['number']],
        [first['number'], second['number']],
      )
      if (peer === 'san')
        for (const { error } of await Promise.all(attempts)) assert.equal(error, 'ECONNREFUSED')
      else
        for (const key of ['a', 'b']) assert.equal((await client.event(`closed ${key}`))['how'], 'ECONNRESET')
      await judge.ask('decide', { number: first['number'], verdict: 'accept' })
      assert.equal(judge.stdout.includes('"connected"'), false)
      assert.equal(judge.stdout.includes('"abandoned"'), false)
    },
  )

  test(
    `inspect: many are judged at once, and decided in any order ${where}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const COUNT = 40
      const { judge, peer: client, connect } = await court(t, door, peer, { mode: 'hold' })
      const keys = Array.from({ length: COUNT }, (_, i) => `c${i}`)
      const attempts = new Map(keys.map((key) => [key, connect(key)]))
      const numbers: unknown[] = []
      while (numbers.length < COUNT) numbers.push((await judge.event('asked'))['number'])
      for (const [at, number] of numbers.reverse().entries()) {
        await judge.ask('decide', { number, verdict: at % 2 === 0 ? 'accept' : 'reject' })
      }
      let accepted = 0
      for (const [key, attempt] of attempts) {
        const { way, error } = await attempt
        if (peer === 'san') assert.ok(way === 'san' || error === 'ECONNREFUSED', String(way ?? error))
        const echo = await client.ask('echo', { key, bytes: 1000 })
        if (echo['error'] === undefined) accepted += 1
      }
      assert.equal(accepted, COUNT / 2)
    },
  )
}

async function refused(
  { client, connect }: { client: Program; connect: (key: string) => Promise<Message> },
  peer: Peer,
) {
  const { error } = await connect('a')
  if (peer === 'san') assert.equal(error, 'ECONNREFUSED')
  // The kernel had accepted.
  else if (error === undefined) assert.equal((await client.event('closed a'))['how'], 'ECONNRESET')
  else assert.equal(error, 'ECONNRESET')
}

test(
  'inspect: what a TCP peer sends meanwhile is delivered after the verdict, and not before',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { judge, peer: client, connect } = await court(t, 'register', 'tcpip', { mode: 'hold' })
    await connect('a')
    const { number } = await judge.event('asked')
    const echo = client.ask('echo', { key: 'a', bytes: 100_000 })
    await judge.ask('decide', { number, verdict: 'accept' })
    assert.equal((await judge.event('connected'))['bytesRead'], 0)
    assert.equal((await echo)['error'], undefined)
  },
)

for (const peer of ['san', 'tcpip'] as const) {
  test(
    `setInspect: judges the peers of a server of node:http (${peer})`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const { judge, peer: client, connect } = await court(t, 'register', peer, { mode: 'reject' }, ['http'])
      await refused({ client, connect }, peer)
      await judge.event('asked')
      await judge.ask('judge', { mode: 'accept', later: true })
      assert.equal((await connect('b'))['way'], peer)
      assert.equal((await judge.event('connected'))['remotePort'], (await judge.event('asked'))['remotePort'])
    },
  )
}

test('setInspect: too late, or with no function, is an error', { timeout: TIMEOUT_MS }, async () => {
  const server = createServer()
  assert.throws(() => {
    setInspect(server, 'accept' as unknown as Inspect)
  }, /Cannot inspect connections: inspect is not a function/)
  assert.throws(() => {
    setInspect(undefined as unknown as Server, () => 'accept')
  }, /Cannot inspect connections: the first argument is no server of node:net/)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  assert.throws(() => {
    setInspect(server, () => 'accept')
  }, /Cannot inspect connections: the server listens already/)
  server.close()
})
