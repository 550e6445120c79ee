/** Switched sockets sent to other processes: the connection moves, or goes on over a bridge, and no byte is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { beside } from '../support/app.ts'
import type { Message } from '../support/app.ts'
import { Program } from './program.ts'

const TIMEOUT_MS = 120_000
const CARRIER = beside(import.meta.url, 'carrier')
const FLOW_BYTES = 1_000_000

type Holder = 'host' | 'child'

/** A client with a switched connection to a host that has a child; bytes flow both ways, and each is compared. */
class Scene {
  readonly host: Program
  readonly client: Program
  childPid = 0
  /** The client's. */
  port = 0

  constructor(t: TestContext) {
    this.host = new Program(CARRIER, { args: ['host'], test: t })
    this.client = new Program(CARRIER, { args: ['client'], test: t })
  }

  static async begin(
    t: TestContext,
    { env, limits, pauseOnConnect }: { env?: object; limits?: object; pauseOnConnect?: boolean } = {},
  ): Promise<Scene> {
    const scene = new Scene(t)
    const { host, client } = scene
    await Promise.all([host.event('ready'), client.event('ready')])
    scene.childPid = (await host.ask('raise', { env: env ?? {}, limits }))['pid'] as number
    await host.event('child ready')
    const { port } = await host.ask('listen', { pauseOnConnect })
    // A busy machine may make the handshake late, which says nothing.
    for (let left = 5; left > 0; left -= 1) {
      const connected = await client.ask('connect', { port })
      const arrived = await host.event('arrived')
      scene.port = connected['port'] as number
      if (connected['way'] === 'san' && arrived['way'] === 'san') return scene
    }
    throw new Error('nothing was switched')
  }

  /** Lets `by` send the socket to the other process; answers which way it goes on there. */
  async send(by: Holder): Promise<unknown> {
    const { handle } = await this.host.ask('send', { at: by })
    assert.equal(handle, false, 'as on stock Node, the socket has no handle any more')
    const { event, ...held } = await this.#held(by === 'host' ? 'child' : 'host')
    assert.equal(held['remotePort'], this.port, `${String(event)}: the peer has another address`)
    return held['way']
  }

  async #held(by: Holder): Promise<Message> {
    assert.equal((await this.host.event('text'))['text'], 'before')
    const held = await this.host.event('held')
    assert.equal((await this.host.event('text'))['text'], 'after')
    assert.equal(held['by'], by)
    return held
  }

  /** Bytes flow, both ways. */
  async flow(holder: Holder): Promise<void> {
    await this.host.ask('hear', { at: holder, bytes: FLOW_BYTES })
    await this.client.ask('hear', { bytes: FLOW_BYTES })
  }

  /** Ends the connection from the client's side; everything that was sent must have come. */
  async end(): Promise<void> {
    await this.client.ask('end')
    const [host, client] = [await this.host.event('host over'), await this.client.event('client over')]
    assert.deepEqual([host['error'], client['error']], ['none', 'none'])
    assert.deepEqual([host['heard'], client['heard']], [client['sent'], host['sent']])
  }
}

test(
  'WSD-DUP-2, -3 scenario 27: a socket goes to a child and back while data flow, stays switched, and every byte arrives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    const ways: unknown[] = []
    for (let i = 0; i < 3; i++) {
      await scene.flow('host')
      ways.push(await scene.send('host'))
      await scene.flow('child')
      ways.push(await scene.send('child'))
    }
    await scene.flow('host')
    await scene.end()
    // Where the client does not answer within a second, on a machine that is very busy, a bridge carries it.
    assert.ok(ways.includes('san'), `it went on ${ways.join(', ')}`)
    assert.deepEqual(
      ways.filter((way) => way !== 'san' && way !== 'bridged'),
      [],
    )
  },
)

test(
  'a child that is not switched gets a descriptor, and every byte arrives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t, { env: { SOCKSWITCH: 'off' } })
    await scene.flow('host')
    const { handle } = await scene.host.ask('send')
    assert.equal(handle, false)
    assert.equal((await scene.host.event('held'))['way'], 'descriptor')
    await scene.flow('child')
    assert.deepEqual((await scene.host.ask('reasons'))['reasons'], { bridged: 1 })
    await scene.end()
  },
)

test(
  'a child that carries as many connections as it may gets a descriptor, and every byte arrives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    for (const limits of [{ maxConnections: 0 }, { maxLinks: 0 }]) {
      const scene = await Scene.begin(t, { limits })
      await scene.flow('host')
      assert.equal(await scene.send('host'), 'bridged', JSON.stringify(limits))
      await scene.flow('child')
      await scene.end()
    }
  },
)

test(
  'with keepOpen both processes have one descriptor, with a bridge behind it',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    await scene.flow('host')
    const { handle } = await scene.host.ask('send', { keepOpen: true })
    assert.equal(handle, true)
    assert.equal((await scene.host.event('held'))['way'], 'descriptor')
    assert.deepEqual((await scene.host.ask('reasons'))['reasons'], { bridged: 1 })
  },
)

test(
  'a socket that nobody has read yet goes to a child, and every byte arrives there',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t, { pauseOnConnect: true })
    await scene.send('host')
    await scene.flow('child')
    await scene.end()
  },
)

test(
  'WSD-DUP-26 a moved connection outlives the process that sent it',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    await scene.flow('host')
    if ((await scene.send('host')) !== 'san') return
    scene.host.kill()
    const before = scene.client.ask('hear', { bytes: 5 * FLOW_BYTES })
    await before
    process.kill(scene.childPid, 'SIGKILL')
    await scene.client.event('client over')
  },
)

test(
  'a socket that follows a message that could not be sent is not taken for its',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    assert.equal((await scene.host.ask('sendNothing'))['thrown'], 'ERR_MISSING_ARGS')
    assert.equal((await scene.host.ask('sendOther'))['damage'], 'none')
  },
)

test('a message that cannot be sent leaves the socket where it was', { timeout: TIMEOUT_MS }, async (t) => {
  const scene = await Scene.begin(t)
  await scene.flow('host')
  assert.equal((await scene.host.ask('sendNothing'))['thrown'], 'ERR_MISSING_ARGS')
  await scene.flow('host')
  await scene.end()
})

test(
  'the client hears of it when the child dies before it takes the socket',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    await scene.flow('host')
    process.kill(scene.childPid, 'SIGSTOP')
    await scene.host.ask('send')
    process.kill(scene.childPid, 'SIGKILL')
    // It writes all the time: nobody reads that any more, so it is told of a reset, or ends on the end of the stream.
    const over = await scene.client.event('client over')
    assert.match(over['error'] as string, /^(ECONNRESET|EPIPE)$/)
  },
)

test('a socket that is closed already is no socket in the child', { timeout: TIMEOUT_MS }, async (t) => {
  const scene = await Scene.begin(t)
  await scene.flow('host')
  const sending = scene.host.ask('send', { closed: true })
  await scene.host.ask('destroy')
  await sending
  assert.equal((await scene.host.event('held'))['way'], 'no socket')
})

test(
  'a peer that does not answer: the socket goes over a bridge, and every byte arrives',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const scene = await Scene.begin(t)
    await scene.flow('host')
    scene.client.kill('SIGSTOP')
    assert.equal(await scene.send('host'), 'bridged')
    scene.client.kill('SIGCONT')
    await scene.flow('child')
    await scene.end()
  },
)
