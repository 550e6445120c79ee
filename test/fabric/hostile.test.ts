/** A hostile peer: whatever it says over its link ends that link at most, and nobody else's. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'

import * as native from '../../src/native/fabric.ts'
import { decodeRefusal, encodeHello } from '../../src/providers/fabric/hello.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { WSA } from '../../src/spi/index.ts'
import { noFabric } from '../support/fabric-provider.ts'
import { chosenSeed } from '../support/random.ts'
import { Stranger, makeVictim, message } from './stranger.ts'

const skip = noFabric()
// Providers keep no process alive.
const alive = setInterval(() => undefined, 1000)
after(() => {
  clearInterval(alive)
})

const REQUEST = messages.encodeRequest({
  remote: { family: 'IPv4', address: '127.0.0.1', port: 4000 },
  local: { family: 'IPv4', address: '127.0.0.1', port: 4001 },
  callerData: new Uint8Array(),
})

const NONSENSE: Readonly<Record<string, readonly Uint8Array[]>> = {
  'a message that is too short': [Uint8Array.of(1, 2, 3)],
  'a kind that nobody knows': [message(99)],
  'an update of no connection': [message(messages.UPDATE)],
  'an answer to no request': [message(messages.ACCEPTED)],
  'an answer from the opener': [message(messages.REFUSED, 0, 1, [0, 0, 0, 0])],
  'a request beyond the slots': [message(messages.REQUEST, 0, 0xffff, [...REQUEST])],
  'a request without addresses': [message(messages.REQUEST, 0, 1, [1, 2, 200])],
  'the same slot asked for twice': [
    message(messages.REQUEST, 0, 1, [...REQUEST]),
    message(messages.REQUEST, 0, 1, [...REQUEST]),
    message(messages.REGISTER, 0, 1),
  ],
  'receives that were never posted': [Uint8Array.of(messages.NOTHING, 0, 255, 0, 0, 0, 0, 0)],
  'a region of no connection': [message(messages.REGISTER, 0, 3, [0, 0, 0, 0, 0, 0, 0, 0])],
}

for (const [what, said] of Object.entries(NONSENSE)) {
  test(`${what} ends the link of whoever said it, and no other`, { skip }, async () => {
    const { at, stillWell } = await makeVictim()
    const stranger = new Stranger(at)
    assert.equal(await stranger.event(native.EVENT_CONNECTED), native.EVENT_CONNECTED)
    for (const bytes of said) stranger.send(bytes)
    assert.equal(await stranger.event(native.EVENT_ENDED), native.EVENT_ENDED)
    stranger.end()
    await stillWell()
  })
}

test('a hello that is none is refused with the reason', { skip }, async () => {
  const { at, stillWell } = await makeVictim()
  const other = encodeHello({ address: 0n, key: 0n })
  other[4] = 99
  for (const [hello, code] of [
    [Uint8Array.of(1, 2, 3), WSA.WSAEFAULT],
    [new Uint8Array(55), WSA.WSAEFAULT],
    [other, WSA.WSAVERNOTSUPPORTED],
  ] as const) {
    const stranger = new Stranger(at, hello)
    assert.equal(await stranger.event(native.EVENT_ENDED), native.EVENT_ENDED)
    assert.equal(decodeRefusal(stranger.said), code)
    stranger.end()
  }
  await stillWell()
})

test('no message harms anybody else', { skip }, async (t) => {
  const seed = chosenSeed()
  t.diagnostic(`repeat with SOCKSWITCH_SEED=${seed}`)
  const { at, stillWell } = await makeVictim()
  const bytes = fc.tuple(
    fc.nat(messages.JUDGING + 1),
    fc.nat(255),
    fc.nat(3),
    fc.array(fc.nat(255), { maxLength: 64 }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { minLength: 1, maxLength: 20 }), async (said) => {
      const stranger = new Stranger(at)
      assert.equal(await stranger.event(native.EVENT_CONNECTED), native.EVENT_CONNECTED)
      for (const [kind, count, slot, payload] of said) stranger.send(message(kind, count, slot, payload))
      // Something that surely ends the link, so that all before it has been read.
      stranger.send(message(99))
      await stranger.event(native.EVENT_ENDED)
      stranger.end()
    }),
    { seed, numRuns: 40 },
  )
  await stillWell()
})
