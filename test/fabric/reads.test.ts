/** Memory that was exposed to a fabric peer is read by that peer, while it may, and by nobody else. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import * as native from '../../src/native/fabric.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { noFabric } from '../support/fabric-provider.ts'
import { Stranger, makeAcquaintance, message } from './stranger.ts'

const skip = noFabric()
// Providers keep no process alive.
const alive = setInterval(() => undefined, 1000)
after(() => {
  clearInterval(alive)
})

const SECRET = Uint8Array.from({ length: 5000 }, (_, i) => i * 7)

function hasHeard({ heard }: Stranger, kind: number): boolean {
  return heard.some((said) => said[0] === kind)
}

/** A victim whose connection with a stranger has exposed {@link SECRET}. */
async function exposing(heartbeatMs = 60_000) {
  const all = await makeAcquaintance({ heartbeatMs })
  const { victim, stranger, socket } = all
  const descriptor = await victim.expose(socket, SECRET, 'read')
  await victim.signal(socket)
  while (stranger.exposed.length === 0) await stranger.event(native.EVENT_RECEIVED)
  const [place] = stranger.exposed
  assert.ok(place !== undefined)
  assert.equal(place.bytes, SECRET.length)
  return { ...all, descriptor, place }
}

test('a peer reads what was exposed to it', { skip }, async () => {
  const { stranger, place, stillWell } = await exposing()
  const target = new Uint8Array(SECRET.length)
  assert.ok(stranger.read(target, place) >= 0)
  assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_READ)
  assert.deepEqual(target, SECRET)
  stranger.end()
  await stillWell()
})

for (const [what, lie] of [
  ['with another key', { key: 1n }],
  ['before its first byte', { address: -1n }],
  ['beyond its last byte', { address: 1n }],
] as const) {
  test(`a peer that reads ${what} gets nothing, and its link ends`, { skip }, async () => {
    const { stranger, place, stillWell } = await exposing()
    const target = new Uint8Array(SECRET.length)
    const { address, key } = { address: 0n, key: place.key, ...lie }
    stranger.read(target, { address: BigInt.asUintN(64, place.address + address), key })
    assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_ENDED)
    assert.deepEqual(target, new Uint8Array(SECRET.length))
    stranger.end()
    await stillWell()
  })
}

test('another link with the same key reads nothing', { skip }, async () => {
  const { stranger, place, at, stillWell } = await exposing()
  const other = new Stranger(at)
  await other.arrive()
  const target = new Uint8Array(SECRET.length)
  other.read(target, place)
  assert.equal(await other.event(native.EVENT_READ), native.EVENT_ENDED)
  assert.deepEqual(target, new Uint8Array(SECRET.length))
  stranger.end()
  other.end()
  await stillWell()
})

test('a peer that reads what was taken back gets nothing, and its link ends', { skip }, async () => {
  const { victim, socket, descriptor, stranger, place, stillWell } = await exposing()
  assert.equal(await victim.conceal(socket, descriptor), 0)
  const target = new Uint8Array(SECRET.length)
  stranger.read(target, place)
  assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_ENDED)
  assert.deepEqual(target, new Uint8Array(SECRET.length))
  assert.ok(hasHeard(stranger, messages.CONCEAL))
  stranger.end()
  await stillWell()
})

test(
  'after a close a peer ends the read that it had begun, and then nothing is readable',
  { skip },
  async () => {
    const { victim, socket, stranger, place, stillWell } = await exposing()
    await victim.close(socket)
    const target = new Uint8Array(SECRET.length)
    stranger.read(target, place)
    assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_READ)
    assert.deepEqual(target, SECRET)
    // It says that it is through: with the answer, and not a heartbeat later, nothing is open to it.
    stranger.send(message(messages.END))
    while (!hasHeard(stranger, messages.NOTHING)) await stranger.event(native.EVENT_RECEIVED)
    stranger.read(target.fill(0), place)
    assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_ENDED)
    assert.deepEqual(target, new Uint8Array(SECRET.length))
    stranger.end()
    await stillWell()
  },
)

test(
  'a peer that is never through with a connection reads nothing of it a heartbeat after the close',
  { skip },
  async () => {
    const { victim, socket, stranger, place, stillWell } = await exposing(50)
    await victim.close(socket)
    // What the link says of nothing, unasked, is the end of what was exposed.
    while (!hasHeard(stranger, messages.NOTHING)) {
      stranger.send(message(messages.NOTHING))
      await stranger.event(native.EVENT_RECEIVED)
    }
    const target = new Uint8Array(SECRET.length)
    stranger.read(target, place)
    assert.equal(await stranger.event(native.EVENT_READ), native.EVENT_ENDED)
    assert.deepEqual(target, new Uint8Array(SECRET.length))
    stranger.end()
    await stillWell()
  },
)
