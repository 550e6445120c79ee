/** A hostile peer: whatever it says over its link ends that link at most, and nobody else's. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import fc from 'fast-check'

import { localPeer } from '../../conformance/index.ts'
import type { LocalPeer } from '../../conformance/index.ts'
import * as native from '../../src/native/fabric.ts'
import type { Fabric, LinkOffer } from '../../src/native/fabric.ts'
import { loadFabric } from '../../src/native/load.ts'
import { decodeRefusal, encodeHello } from '../../src/providers/fabric/hello.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import { WSA } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { FABRIC_UNDER_TEST, fabricAddresses, fabricProvider, noFabric } from '../support/fabric-provider.ts'
import { chosenSeed } from '../support/random.ts'

const skip = noFabric()
const addresses = fabricAddresses('IPv4')
// Providers keep no process alive.
const alive = setInterval(() => undefined, 1000)
after(() => {
  clearInterval(alive)
})

const ACCEPT = { decision: 'CF_ACCEPT', calleeData: new Uint8Array() } as const

/** An endpoint without manners, driven by hand. */
class Stranger {
  readonly #fabric: Fabric
  readonly #events: Int32Array
  readonly link: number
  readonly #offer: LinkOffer
  #sent = 0

  constructor(to: SocketAddress, hello?: Uint8Array) {
    const loaded = loadFabric()
    assert.ok('native' in loaded)
    const { MESSAGES, MESSAGE_BYTES, WRITES, ARENA_BYTES } = layout
    const { Fabric } = loaded.native
    this.#fabric = new Fabric(FABRIC_UNDER_TEST, MESSAGES, MESSAGE_BYTES, WRITES, ARENA_BYTES)
    assert.equal(this.#fabric.open(), 0)
    this.#events = new Int32Array(this.#fabric.events())
    this.link = this.#fabric.connect(to.address, to.address, serviceOf(FABRIC_UNDER_TEST, to.port))
    assert.ok(this.link > 0)
    const offer = this.#fabric.offer(this.link)
    assert.ok(offer !== undefined)
    this.#offer = offer
    assert.equal(this.#fabric.start(this.link, hello ?? encodeHello(offer)), 0)
  }

  /** The next event of this kind, or of the end. */
  async event(wanted: number): Promise<number> {
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (!this.#fabric.poll()) continue
      const [count = 0] = this.#events
      const kinds = Array.from({ length: count }, (_, i) => this.#events[2 + 4 * i] ?? 0)
      this.#events[1] = count
      const found = kinds.find((kind) => kind === wanted || kind === native.EVENT_ENDED)
      if (found !== undefined) return found
    }
  }

  get said(): Uint8Array {
    return this.#fabric.peerData(this.link)
  }

  send(message: Uint8Array): void {
    const index = this.#sent % layout.MESSAGES
    this.#sent += 1
    new Uint8Array(this.#offer.memory).set(message, layout.SENT_AT + index * layout.MESSAGE_BYTES)
    this.#fabric.send(this.link, index, message.length)
  }

  end(): void {
    this.#fabric.close(this.link)
    this.#fabric.release(this.link, this.#offer.memory)
    this.#fabric.destroy()
  }
}

/** Somebody who listens, and a friend with a connection there. */
async function makeVictim(): Promise<{
  victim: LocalPeer
  at: SocketAddress
  stillWell: () => Promise<void>
}> {
  const victim = localPeer(fabricProvider(), addresses)
  const friend = localPeer(fabricProvider(), addresses)
  const at = await victim.address('listener')
  const listener = await victim.open(at)
  assert.equal(await victim.listen(listener, 8), 0)
  const near = await friend.open(await friend.address('client'))
  await friend.connect(near, at, new Uint8Array())
  const { socket: far } = await victim.accept(listener, ACCEPT)
  assert.equal((await friend.outcome(near)).status, 0)
  let round = 0
  const stillWell = async (): Promise<void> => {
    round += 1
    await friend.write(near, 0, Uint8Array.of(round))
    await friend.signal(near)
    assert.equal(await victim.receive(far), 0)
    assert.deepEqual(await victim.read(far, 0, 1), Uint8Array.of(round))
    await victim.end().then(() => friend.end())
  }
  return { victim, at, stillWell }
}

function message(kind: number, count = 0, slot = 0, payload: readonly number[] = []): Uint8Array {
  return Uint8Array.of(kind, count, 0, 0, slot & 255, slot >>> 8, 0, 0, ...payload)
}

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
