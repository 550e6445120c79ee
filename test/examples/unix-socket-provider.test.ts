/** The example provider against somebody who reaches its folder and talks nonsense: in its place, or in the middle of a connection. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, renameSync, rmSync } from 'node:fs'
import { createConnection, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { TestContext } from 'node:test'

import { UnixSocketProvider } from '../../examples/unix-socket-provider/provider.ts'
import { SD_SEND } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { SockswitchError } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { Random, chosenSeed } from '../support/random.ts'
import { within } from '../support/waiting.ts'
import { LOCAL, cleanUp, listening, program, readToEnd, valueOf } from '../winsock/pair.ts'
import type { Program } from '../winsock/pair.ts'

const folder = mkdtempSync(join(tmpdir(), 'nonsense-'))
after(() => {
  cleanUp()
  rmSync(folder, { recursive: true })
})

const LIMIT_MS = 10_000
const VICTIMS = ['client', 'server'] as const

function frame(kind: number, number = 0, data = Buffer.alloc(0), length = data.length): Buffer {
  return Buffer.concat([Buffer.from(Uint32Array.of(kind, number, length).buffer), data])
}

const [REQUEST, ACCEPT, REFUSE, WRITE] = [0, 1, 2, 4]
const HONEST = Buffer.from(JSON.stringify([LOCAL, LOCAL]))
const NONSENSE: Readonly<Record<string, Buffer>> = {
  'a kind that there is not': frame(6),
  'more bytes than a frame holds': frame(WRITE, 0, Buffer.alloc(0), 0xffffffff),
  'a write across the end of the region': frame(WRITE, 65_500, Buffer.alloc(200)),
  'a write far beyond the region': frame(WRITE, 0xffffffff, Buffer.alloc(4)),
  'an answer when nobody asked': frame(ACCEPT),
  'an answer that is too long': frame(ACCEPT, 0, Buffer.alloc(257)),
  'a no that is no code': frame(REFUSE, 3),
  ...Object.fromEntries(
    [
      'a,b',
      'null',
      '[]',
      '[{},{}]',
      '[{"family":"IPv4","address":"127.0.0.1","port":70000},{"family":"IPv4","address":"127.0.0.1","port":1}]',
      '[{"family":"IPv6","address":"127.0.0.1","port":1},{"family":"IPv4","address":"127.0.0.1","port":1}]',
    ].map((text) => [`a request from ${text}`, frame(REQUEST, text.length, Buffer.from(text))]),
  ),
  'a request with too many bytes of its own': frame(
    REQUEST,
    HONEST.length,
    Buffer.concat([HONEST, Buffer.alloc(257)]),
  ),
}

/** Sits at the door of a listener: whoever knocks is let in by it, and it has its say. */
class Middleman {
  readonly #server: Server
  readonly #inner: string
  /** How much of what is said it passes on at a time. */
  pieceBytes = Infinity
  /** The two sides of the last one that it let in. */
  sides: { readonly client: Socket; readonly server: Socket } | undefined
  /** Says whatever a client says first a second time. */
  repeats = false
  /** Answers in the listener's place. */
  answer: Buffer | undefined

  constructor(test: TestContext, door: string) {
    this.#inner = `${door}.inner`
    renameSync(door, this.#inner)
    this.#server = createServer((client) => {
      client.on('error', () => undefined)
      if (this.answer === undefined) this.#letIn(client)
      else client.end(this.answer)
    })
    this.#server.listen(door)
    test.after(() => this.#server.close())
  }

  get ready(): Promise<unknown> {
    return once(this.#server, 'listening')
  }

  #letIn(client: Socket): void {
    const server = createConnection(this.#inner)
    this.sides = { client, server }
    if (this.repeats) client.once('data', (chunk: Buffer) => server.write(chunk))
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('error', () => undefined)
      from.on('close', () => to.end())
      from.on('data', (chunk: Buffer) => {
        const most = Math.min(this.pieceBytes, chunk.length)
        for (let at = 0; at < chunk.length; at += most) to.write(chunk.subarray(at, at + most))
      })
    }
  }
}

interface Scene {
  readonly one: Program
  readonly listener: WinsockSocket
  readonly address: SocketAddress
  readonly middleman: Middleman
}

async function scene(t: TestContext, conditional = false): Promise<Scene> {
  const one = program(new UnixSocketProvider(folder))
  const { listener, address } = listening(one, { conditional })
  const middleman = new Middleman(t, join(folder, `127.0.0.1-${address.port}`))
  await middleman.ready
  return { one, listener, address, middleman }
}

async function joined({ one, listener, address }: Scene): Promise<readonly [WinsockSocket, WinsockSocket]> {
  const client = valueOf(one.winsock.socket())
  const [server] = await within(
    Promise.all([listener.blocking.accept(), client.blocking.connect(address)]),
    LIMIT_MS,
    'the connection',
  )
  return [client, server]
}

/** An honest connection still works, and the provider carries it. */
async function assertServes(at: Scene): Promise<void> {
  const [client, server] = await joined(at)
  assert.deepEqual([client.provider, server.provider], ['unix-socket', 'unix-socket'])
  const said = Buffer.alloc(20_000, 'still here ')
  const heard = readToEnd(server)
  await client.blocking.send(said)
  client.shutdown(SD_SEND)
  assert.ok((await within(heard, LIMIT_MS, 'what was said')).equals(said))
  for (const socket of [client, server]) socket.closesocket()
}

/** How it ends, for whom it ends: never in a hang. */
async function assertOver(socket: WinsockSocket, what: string): Promise<void> {
  const end = socket.blocking.recv(Buffer.alloc(1)).catch((error: unknown) => {
    assert.ok(error instanceof SockswitchError, String(error))
    return 0
  })
  assert.equal(await within(end, LIMIT_MS, `the end after ${what}`), 0)
  socket.closesocket()
}

describe('the example provider among people who talk nonsense', () => {
  for (const victim of VICTIMS) {
    test(`in the middle of a connection, to the ${victim}: it ends for both, and others go on`, async (t) => {
      const at = await scene(t)
      for (const [what, bytes] of Object.entries(NONSENSE)) {
        const ends = await joined(at)
        at.middleman.sides?.[victim].write(bytes)
        for (const socket of ends) await assertOver(socket, what)
      }
      await assertServes(at)
    })
  }

  test('in the place of a client: it is shown the door, without an answer', async (t) => {
    const at = await scene(t)
    const answerTo = async (bytes: Buffer): Promise<number> => {
      const caller = createConnection(join(folder, `127.0.0.1-${at.address.port}`))
      let heard = 0
      caller.on('error', () => undefined).on('data', ({ length }) => (heard += length))
      caller.write(bytes)
      await within(once(caller, 'close'), LIMIT_MS, 'the end of the caller')
      return heard
    }
    for (const [what, bytes] of Object.entries(NONSENSE)) assert.equal(await answerTo(bytes), 0, what)
    // A request that makes sense is refused: it says nothing of a session.
    assert.ok((await answerTo(frame(REQUEST, HONEST.length, HONEST))) > 0)
    await assertServes(at)
  })

  test('asking twice while nobody has answered: it is shown the door, and TCP/IP carries the connection', async (t) => {
    const at = await scene(t, true)
    at.middleman.repeats = true
    const client = valueOf(at.one.winsock.socket())
    await within(client.blocking.connect(at.address), LIMIT_MS, 'the connection')
    assert.equal(client.provider, 'tcpip')
    const server = await within(at.listener.blocking.accept(), LIMIT_MS, 'who was to be accepted')
    assert.equal(server.provider, 'tcpip')
  })

  test('in the place of a listener: TCP/IP carries the connection, or it is known to have failed', async (t) => {
    const at = await scene(t)
    for (const [what, bytes] of Object.entries(NONSENSE)) {
      at.middleman.answer = bytes
      const client = valueOf(at.one.winsock.socket())
      const accepting = at.listener.blocking.accept()
      await within(client.blocking.connect(at.address), LIMIT_MS, `an answer after ${what}`)
      assert.equal(client.provider, 'tcpip', what)
      ;(await accepting).closesocket()
      client.closesocket()
    }
    // The switch remembers for a while that nobody was there.
    await assertServes(await scene(t))
  })

  test('at random, from a seed, then no more: nobody waits for what never comes', async (t) => {
    const random = new Random(chosenSeed())
    t.diagnostic(`seed ${random.seed}`)
    const at = await scene(t)
    for (let i = 0; i < 20; i++) {
      const bytes = Buffer.from(Array.from({ length: random.sized(1, 500) }, () => random.between(0, 255)))
      const ends = await joined(at)
      at.middleman.sides?.[random.pick(VICTIMS)].end(bytes)
      for (const socket of ends) await assertOver(socket, bytes.toString('hex'))
    }
    await assertServes(at)
  })

  test('frames that come in pieces are frames', async (t) => {
    const at = await scene(t)
    at.middleman.pieceBytes = 7
    await assertServes(at)
  })
})
