import assert from 'node:assert/strict'
import { test } from 'node:test'

import { childPeer } from '../../conformance/index.ts'
import { WSA } from '../../src/spi/index.ts'

const startPeer = childPeer(new URL('./peers/loopback.js', import.meta.url))

test('a peer process carries out everything a far side does', async () => {
  const peer = await startPeer()
  const address = await peer.address('listener')
  const listener = await peer.open(address)
  assert.equal(await peer.listen(listener, 2), 0)
  const local = await peer.address('client')
  const socket = await peer.open(local)
  assert.equal(await peer.connect(socket, address, Uint8Array.of(1, 2)), WSA.WSAEWOULDBLOCK)
  const accepted = await peer.accept(listener, { decision: 'CF_ACCEPT', calleeData: Uint8Array.of(3) })
  assert.equal(accepted.status, 0)
  assert.deepEqual(accepted.request, { remote: local, local: address, callerData: Uint8Array.of(1, 2) })
  const outcome = await peer.outcome(socket)
  assert.equal(outcome.status, 0)
  assert.deepEqual(outcome.calleeData, Uint8Array.of(3))
  assert.equal(typeof outcome.at, 'bigint')

  assert.equal(await peer.write(socket, 4, Uint8Array.of(5, 6)), 0)
  assert.equal(await peer.signal(socket), 0)
  assert.equal(await peer.receive(accepted.socket), 0)
  assert.deepEqual(await peer.read(accepted.socket, 3, 4), Uint8Array.of(0, 5, 6, 0))
  assert.equal(await peer.register(accepted.socket, new Uint8Array(4096)), 1)
  assert.equal(await peer.close(socket), 0)
  assert.equal(await peer.receive(accepted.socket), WSA.WSAECONNRESET)
  await peer.end()
})

test('several peers are several processes', async () => {
  const [one, other] = await Promise.all([startPeer(), startPeer()])
  const address = await one.address('listener')
  assert.equal(await one.listen(await one.open(address), 1), 0)
  const socket = await other.open(await other.address('client'))
  assert.equal(await other.connect(socket, address, new Uint8Array()), WSA.WSAETIMEDOUT)
  await Promise.all([one.end(), other.end()])
  await one.end()
})

test('a call that cannot be carried out rejects, and the peer goes on', async () => {
  const peer = await startPeer()
  await assert.rejects(peer.close(99), /In the peer process: the peer has no socket 99/)
  await assert.rejects(peer.open({ family: 'IPv4', address: '203.0.113.7', port: 1 }), /WSAEADDRNOTAVAIL/)
  assert.equal(typeof (await peer.open(await peer.address('client'))), 'number')
  await peer.end()
  await assert.rejects(peer.address('client'))
})

test('a call still waiting does not hold the peer back', async () => {
  const peer = await startPeer()
  const listener = await peer.open(await peer.address('listener'))
  await peer.listen(listener, 1)
  void peer.accept(listener, { decision: 'CF_DEFER' })
  await peer.end()
})

test('a module that does not load is an error', async () => {
  await assert.rejects(
    childPeer(new URL('./peers/none.js', import.meta.url))(),
    /Cannot start a peer process/,
  )
})
