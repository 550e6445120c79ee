/** What a bridge, and a hand-over on its way to one, leave behind when either side goes first. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { constants, tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'

import { WSA } from '../../src/spi/index.ts'
import type { Stream } from '../../src/spi/index.ts'
import { Bridge } from '../../src/faces/net/bridge.ts'
import type { PairEnd } from '../../src/faces/net/bridge.ts'
import { encodeTaker, self } from '../../src/faces/net/cargo.ts'
import { Connection } from '../../src/faces/net/connection.ts'
import { HandOver } from '../../src/faces/net/hand-over.ts'
import { Session } from '../../src/switch/session/session.ts'
import { FEATURE_MOVE } from '../../src/switch/session/hello.ts'
import { FakeSocket } from '../switch/fake-socket.ts'
import { LIMITS, OUR_HELLO } from '../switch/host.ts'

const { ECANCELED, ECONNRESET } = constants.errno
const HERE = { family: 'IPv4', address: '127.0.0.1', port: 1 } as const

/** Both ends of what stands under a handle that was handed over. */
async function pairFor(t: TestContext): Promise<{ readonly inner: net.Socket; readonly outer: net.Socket }> {
  const folder = mkdtempSync(path.join(tmpdir(), 'sockswitch-bridge-'))
  const server = net.createServer({ allowHalfOpen: true }).listen(path.join(folder, 's'))
  await once(server, 'listening')
  const outer = net.connect({ path: path.join(folder, 's'), allowHalfOpen: true })
  const [inner] = (await once(server, 'connection')) as [net.Socket]
  server.close()
  t.after(() => {
    inner.destroy()
    outer.destroy()
    rmSync(folder, { recursive: true })
  })
  outer.on('error', () => undefined)
  return { inner, outer }
}

/** A session whose peer is the test, and what was given back beside it. */
function connected() {
  const limits = { ...LIMITS, duplicates: true }
  const socket = new FakeSocket(limits)
  const session = new Session({
    socket,
    memory: { send: socket.send, receive: socket.receiveRegion },
    limits,
    peerHello: { ...OUR_HELLO, features: FEATURE_MOVE },
    role: 'initiator',
  })
  const given: string[] = []
  const connection = {
    session: session as Stream,
    consumer: undefined,
    typeOfService: 0,
    parts: { provider: 'shm', direction: 'in', local: HERE, remote: HERE, release: () => given.push('port') },
  } as unknown as Connection
  return { socket, session, connection, given }
}

/** Writes that the application has begun and nobody has taken; `told` is what each was told. */
function pendingWrites(session: Stream, told: number[]): PairEnd['pending'] {
  while (session.write([new Uint8Array(1 << 20)]) > 0);
  return [1, 2].map(() => ({
    rest: [new Uint8Array(10)],
    isEnd: false,
    done: (status: number) => told.push(status),
  }))
}

test('a bridge tells every write that waits when the peer is gone', async (t) => {
  const { inner } = await pairFor(t)
  const { socket, session, connection, given } = connected()
  const told: number[] = []
  new Bridge(connection, { inner, readOn: () => undefined, pending: pendingWrites(session, told) })
  socket.complete(WSA.WSAECONNRESET)
  await once(inner, 'close')
  assert.deepEqual(told, [-ECONNRESET, -ECONNRESET])
  assert.deepEqual([session.state, given], ['closed', ['port']])
})

test('a bridge tells every write that waits when its descriptor is gone', async (t) => {
  const { inner } = await pairFor(t)
  const { session, connection, given } = connected()
  const told: number[] = []
  new Bridge(connection, { inner, readOn: () => undefined, pending: pendingWrites(session, told) })
  inner.destroy()
  await once(inner, 'close')
  assert.deepEqual(told, [-ECANCELED, -ECANCELED])
  assert.deepEqual([session.state, given], ['closed', ['port']])
})

/** A hand-over whose taker has asked for the session, and what it came to. */
async function taken(t: TestContext) {
  const { inner, outer } = await pairFor(t)
  const parts = connected()
  const ways: string[] = []
  const handOver = new HandOver(parts.connection, { inner, readOn: () => undefined, pending: [] }, (how) =>
    ways.push(how),
  )
  const asked = once(inner, 'data')
  outer.write(encodeTaker(handOver.offer.nonce, { ...self(), hasRoom: true }))
  await asked
  assert.equal(parts.session.isMoving, true)
  return { ...parts, outer, handOver, ways }
}

test('a hand-over that fails when our descriptor is closed already goes on over a bridge, though the taker only reads', async (t) => {
  const { socket, outer, handOver, ways, session } = await taken(t)
  handOver.released()
  assert.deepEqual(ways, [])
  // The peer's end is there when the taker gets its descriptor.
  const heard = once(outer.resume(), 'end')
  socket.complete(WSA.WSAECONNRESET)
  assert.deepEqual(ways, ['bridged'])
  await heard
  outer.destroy()
  await once(outer, 'close')
  assert.equal(session.state, 'closed')
})
