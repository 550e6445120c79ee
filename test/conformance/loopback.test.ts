import assert from 'node:assert/strict'
import { test } from 'node:test'

import { ACCEPT, Fixture, NO_DATA } from '../../conformance/fixture.ts'
import { countingAddresses, localPeer, providerConformance } from '../../conformance/index.ts'
import { Station } from '../../conformance/station.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { WSA } from '../../src/spi/index.ts'
import type { SanSocket } from '../../src/spi/index.ts'
import { latePeer } from './late-peer.ts'

providerConformance('loopback, one provider', { create: () => loopback() })

providerConformance('loopback, two providers, IPv6', {
  create: () => loopback(),
  createPair: () => {
    const network = new LoopbackNetwork()
    return [loopback({ network }), loopback({ network })]
  },
  address: countingAddresses({ family: 'IPv6', address: '::1' }, 40001),
})

providerConformance('loopback, whose reads of application memory take their time', {
  create: () => loopback({ slowReads: true }),
})

const subnet = { family: 'IPv4', address: '10.1.0.0', prefixLength: 16 } as const

providerConformance('loopback, a subnet of its own and no further memory', {
  create: () =>
    loopback({ subnets: [subnet], limits: { regionBytes: 1216, maxMemoryBytes: 0, rdma: undefined } }),
  address: countingAddresses({ family: 'IPv4', address: '10.1.2.3' }, 1),
  unserved: { family: 'IPv4', address: '10.2.0.1', port: 1 },
})

const shared = new LoopbackNetwork()
const addresses = countingAddresses({ family: 'IPv4', address: '127.0.0.1' }, 40001)

providerConformance('loopback, a peer that takes its time', {
  create: () => loopback({ network: shared }),
  peer: () => latePeer(localPeer(loopback({ network: shared }), addresses)),
  address: addresses,
})

test('the listener at the very address comes before the wildcard, the older before the younger', async () => {
  const fixture = await Fixture.open({ create: () => loopback() })
  const listen = (address: string): SanSocket => {
    const socket = fixture.near.bound({ family: 'IPv4', address, port: 80 })
    assert.equal(socket.listen(1), 0)
    return socket
  }
  const [wildcard, exact, elsewhere, younger] = ['0.0.0.0', '127.0.0.1', '127.0.0.2', '127.0.0.1'].map(listen)
  const takes = async (address: string, listener: SanSocket | undefined): Promise<void> => {
    const socket = await fixture.client()
    assert.equal(socket.connect({ family: 'IPv4', address, port: 80 }, NO_DATA), WSA.WSAEWOULDBLOCK)
    assert.equal(listener?.accept(() => ACCEPT).ok, true, `the connect to ${address} went elsewhere`)
  }
  await takes('127.0.0.1', exact)
  await takes('127.0.0.2', elsewhere)
  await takes('127.0.0.3', wildcard)
  exact?.close()
  await takes('127.0.0.1', younger)
  younger?.close()
  await takes('127.0.0.1', wildcard)
  fixture.near.stop()
})

test('an accepted socket has the options of its listener', async () => {
  const fixture = await Fixture.open({ create: () => loopback() })
  const { socket, address } = await fixture.listen()
  assert.equal(socket.setSockOpt('SO_DEBUG', 7), 0)
  await fixture.farConnect(address)
  const accepted = socket.accept(() => ACCEPT)
  assert.deepEqual(accepted.ok && accepted.value.socket.getSockOpt('SO_DEBUG'), { ok: true, value: 7 })
  fixture.near.stop()
})

test('providers reach each other over one network only', () => {
  const network = new LoopbackNetwork()
  const stations = [loopback({ network }), loopback({ network }), loopback()].map((each) => new Station(each))
  const address = { family: 'IPv4', address: '127.0.0.1', port: 80 } as const
  const [listening, same, other] = stations
  assert.equal(listening?.bound(address).listen(1), 0)
  assert.equal(same?.bound({ ...address, port: 81 }).connect(address, NO_DATA), WSA.WSAEWOULDBLOCK)
  assert.equal(other?.bound({ ...address, port: 81 }).connect(address, NO_DATA), WSA.WSAETIMEDOUT)
  for (const station of stations) station.stop()
})

test('a socket whose connect failed may try again', async () => {
  const fixture = await Fixture.open({ create: () => loopback() })
  const { socket, address } = await fixture.listen()
  const client = await fixture.client()
  for (const attempt of ['first', 'second']) {
    assert.equal(client.connect(address, NO_DATA), WSA.WSAEWOULDBLOCK, attempt)
    assert.equal(socket.accept(() => ({ decision: 'CF_REJECT' })).ok, false)
  }
  fixture.near.stop()
})

test('two ends that signal each other leave the event loop its turns', async () => {
  const fixture = await Fixture.open({ create: () => loopback() })
  const pair = await fixture.connectPair()
  const echo = (async () => {
    while ((await fixture.peer.receive(pair.far)) === 0) await fixture.peer.signal(pair.far)
  })()
  const timer = new AbortController()
  setTimeout(() => {
    timer.abort()
  }, 1)
  while (!timer.signal.aborted) {
    assert.equal(pair.near.signal(), 0)
    assert.equal(await fixture.receive(pair.near), 0)
  }
  assert.equal(pair.near.close(), 0)
  await echo
  fixture.near.stop()
})

test('WSD-CACHE-1 to -4 scenario 25: what was registered before is found pinned, until it is evicted', async () => {
  const provider = loopback()
  const fixture = await Fixture.open({ create: () => provider })
  const { near } = await fixture.connectPair()
  const memory = new Uint8Array(new ArrayBuffer(8192), 100, 5000)
  const use = (part: Uint8Array): void => {
    const registered = near.registerRdmaMemory?.(part, 'read')
    assert.equal(registered?.ok && near.deregisterRdmaMemory?.(registered.value), 0)
  }
  for (let i = 0; i < 3; i++) use(memory)
  assert.deepEqual([provider.pinned.pins, provider.pinned.hits], [1, 2])
  use(memory.subarray(10, 20))
  assert.deepEqual([provider.pinned.pins, provider.pinned.hits], [1, 3])
  use(new Uint8Array(memory.buffer))
  assert.deepEqual([provider.pinned.pins, provider.pinned.hits], [2, 3])
  assert.equal(provider.evict(new Uint8Array(memory.buffer, 8000)), 0)
  use(memory)
  assert.deepEqual([provider.pinned.pins, provider.pinned.hits], [2, 4])
  assert.equal(provider.evict(memory), 0)
  use(memory)
  assert.deepEqual([provider.pinned.pins, provider.pinned.hits], [3, 4])
  fixture.near.stop()
})
