/** What a fabric peer may do, and how much of it: no more than TCP would let it. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'

import * as native from '../../src/native/fabric.ts'
import { decodeRefusal } from '../../src/providers/fabric/hello.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { WSA } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { FABRIC_UNDER_TEST, noFabric } from '../support/fabric-provider.ts'
import { ACCEPT, Stranger, makeAcquaintance, makeVictim, message } from './stranger.ts'

const skip = noFabric()
// Providers keep no process alive.
const alive = setInterval(() => undefined, 1000)
after(() => {
  clearInterval(alive)
})

/** The code in the refusal that came last. */
function refusal({ heard }: Stranger): number {
  const said = heard.at(-1) ?? new Uint8Array(12)
  assert.equal(said[0], messages.REFUSED)
  return new DataView(said.buffer, said.byteOffset).getUint32(messages.HEADER_BYTES, true)
}

test('an address has so many links, and no more', { skip }, async () => {
  // One is its friend's.
  const { at, stillWell } = await makeVictim({ maxLinksPerPeer: 2 })
  const [first, second] = [new Stranger(at), new Stranger(at)]
  await first.arrive()
  assert.equal(await second.event(native.EVENT_ENDED), native.EVENT_ENDED)
  assert.equal(decodeRefusal(second.said), WSA.WSAEPROCLIM)
  first.end()
  second.end()
  await stillWell()
})

test('all addresses together have so many links, and no more', { skip }, async () => {
  const { at, stillWell } = await makeVictim({ maxLinks: 1 })
  const stranger = new Stranger(at)
  assert.equal(await stranger.event(native.EVENT_ENDED), native.EVENT_ENDED)
  assert.equal(decodeRefusal(stranger.said), WSA.WSAEPROCLIM)
  stranger.end()
  await stillWell()
})

test('there are so many connections, and no more', { skip }, async () => {
  const { victim, listener, at, stillWell } = await makeVictim({ maxConnections: 1 })
  const stranger = new Stranger(at)
  await stranger.arrive()
  stranger.ask(at)
  assert.notEqual((await victim.accept(listener, ACCEPT)).status, 0)
  await stranger.event(native.EVENT_RECEIVED)
  assert.equal(refusal(stranger), WSA.WSAENOBUFS)
  stranger.end()
  await stillWell()
})

test('a link from outside the networks is refused', { skip: skip || only('tcp') }, async () => {
  const { at, stillWell } = await makeVictim({}, () => [
    { family: 'IPv4', address: '127.0.0.1', prefixLength: 32 },
  ])
  const stranger = new Stranger(at, undefined, '127.0.0.2')
  assert.equal(await stranger.event(native.EVENT_ENDED), native.EVENT_ENDED)
  assert.equal(decodeRefusal(stranger.said), WSA.WSAEACCES)
  stranger.end()
  await stillWell()
})

for (const [what, lie] of [
  ["another's address", { address: '127.99.0.1' }],
  ['a port that only root has', { port: 80 }],
] as const) {
  test(`a peer does not pass for ${what}`, { skip }, async () => {
    const { at, stillWell } = await makeVictim()
    const stranger = new Stranger(at)
    await stranger.arrive()
    stranger.ask(at, lie)
    await stranger.event(native.EVENT_RECEIVED)
    assert.equal(refusal(stranger), WSA.WSAEACCES)
    stranger.end()
    await stillWell()
  })
}

test(
  'at a wildcard listener a peer comes from its own address, in one family, to an address that is served',
  { skip: skip || only('tcp') },
  async () => {
    const { victim, at, stillWell } = await makeVictim()
    const { port } = await victim.address('listener')
    const wildcard = await victim.open({ family: 'IPv6', address: '::', port })
    assert.equal(await victim.listen(wildcard, 8), 0)
    const here: SocketAddress = { ...at, port }
    const stranger = new Stranger(here)
    await stranger.arrive()
    const { address } = here
    for (const [local, remote, code] of [
      [{ family: 'IPv6', address: '::1', port }, { family: 'IPv4', address }, WSA.WSAEACCES],
      [{ ...here, address: '0.0.0.0' }, { address }, WSA.WSAETIMEDOUT],
      [{ ...here, address: '198.51.100.1' }, { address }, WSA.WSAETIMEDOUT],
    ] as const) {
      stranger.ask(local, remote)
      await stranger.event(native.EVENT_RECEIVED)
      assert.equal(refusal(stranger), code, local.address)
    }
    stranger.ask(here)
    const accepted = await victim.accept(wildcard, ACCEPT)
    assert.deepEqual([accepted.status, accepted.request.remote.address], [0, address])
    stranger.end()
    await stillWell()
  },
)

const SCRIBBLE = Uint8Array.of(7, 7, 7, 7)
/** Of the slot, where a connection's ring begins to be nobody else's business. */
const AT = 512

test(
  "a peer writes its own connection's memory, and not that of another link by its key",
  { skip },
  async () => {
    const { victim, at, stranger: good, hello, socket, stillWell } = await makeAcquaintance()
    const bad = new Stranger(at)
    assert.equal(good.write(AT, Uint8Array.of(1, 2, 3, 4)), 0)
    // A signal that comes after the write says that it is there.
    good.send(message(messages.UPDATE, messages.SIGNAL))
    assert.equal(await victim.receive(socket), 0)
    assert.deepEqual(await victim.read(socket, AT, 4), Uint8Array.of(1, 2, 3, 4))

    await bad.arrive()
    bad.aim(hello)
    bad.write(AT, SCRIBBLE)
    assert.equal(await bad.event(native.EVENT_ENDED), native.EVENT_ENDED)
    assert.deepEqual(await victim.read(socket, AT, 4), Uint8Array.of(1, 2, 3, 4))
    good.end()
    bad.end()
    await stillWell()
  },
)

test('a peer whose link was ended writes nothing any more', { skip }, async () => {
  const { victim, at, stranger, socket, stillWell } = await makeAcquaintance()
  stranger.send(message(99))
  assert.equal(await stranger.event(native.EVENT_ENDED), native.EVENT_ENDED)
  stranger.write(AT, SCRIBBLE)
  const other = new Stranger(at)
  await other.arrive()
  assert.deepEqual(await victim.read(socket, AT, 4), new Uint8Array(4))
  stranger.end()
  other.end()
  await stillWell()
})

function only(name: string): string | false {
  return FABRIC_UNDER_TEST === name ? false : `needs libfabric's ${name}`
}
