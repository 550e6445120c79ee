/** What a hostile opener can make of a provider's own bookkeeping, with the moments chosen by the test. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import * as layout from '../../src/providers/shm/layout.ts'
import { Overlapped, WSA } from '../../src/spi/index.ts'
import type { SanSocket } from '../../src/spi/index.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { deferred, eventually, within } from '../support/waiting.ts'
import { Channel, LIMIT_MS, closeAll, native } from './channel.ts'
import { HOST, HostilePeer, Memory, doorName, endpoint, honestRequest } from './hostile-peer.ts'
import { HostileServer } from './hostile-server.ts'
import { ProviderVictim } from './provider-victim.ts'

const TIMEOUT_MS = 30_000

async function setUp(test: TestContext) {
  const victim = new ProviderVictim()
  const { listener, port } = victim.listen()
  test.after(() => {
    victim.close()
  })
  return { victim, listener, port, peer: await HostilePeer.open(port) }
}

/** A peer with a request that waits. */
async function asked(test: TestContext) {
  const scene = await setUp(test)
  scene.peer.ask(0, 1, honestRequest(scene.port))
  await scene.peer.heard()
  return scene
}

async function withoutLinks({ provider }: ProviderVictim): Promise<void> {
  await eventually(
    () => provider.stats.links === 0,
    LIMIT_MS,
    () => 'the link to end',
  )
}

test(
  'generation replays: a slot carries one connection at a time, and its end is told',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { victim, listener, port, peer } = await setUp(t)
    for (const generation of [1, 2, 1]) {
      peer.ask(0, generation, honestRequest(port))
      await peer.heard()
    }
    const ends: Promise<void>[] = []
    for (let tries = 0; tries < 5; tries += 1) {
      const accepted = victim.accept(listener)
      if (!accepted.ok) continue
      const { socket } = accepted.value
      const end = deferred()
      ends.push(end.promise)
      const receive = (): void => {
        const told = new Overlapped({
          completed: (status) => {
            if (status === 0) receive()
            else end.resolve(undefined)
          },
        })
        if (socket.receive(told) === WSA.WSAECONNRESET) end.resolve(undefined)
      }
      receive()
    }
    peer.close()
    await within(Promise.all(ends), LIMIT_MS, `the end of all ${ends.length} connections of a dead peer`)
    assert.ok(ends.length <= 1, `one slot gave ${ends.length} connections`)
  },
)

test(
  'a slot whose request is queued twice is answered without harm to the first connection',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { victim, listener, port, peer } = await asked(t)
    peer.ask(0, 2, honestRequest(port))
    await peer.heard()
    for (let tries = 0; tries < 5; tries += 1) victim.accept(listener)
    assert.deepEqual(
      { generation: peer.answer(0).generation, phase: peer.answer(0).phase },
      { generation: 2, phase: layout.PHASE_ACCEPTED },
    )
    peer.close()
  },
)

/** Takes descriptor numbers that were just given back, and tells what arrives on each. */
function squat(count: number): { readonly arrived: () => Promise<boolean>; close(): void } {
  const pairs = Array.from({ length: count }, () => native.socketPair())
  return {
    async arrived() {
      const ends = pairs.flatMap((pair) => (typeof pair === 'number' ? [] : [...pair]))
      await new Promise(setImmediate)
      return ends.some((fd) => typeof native.receive(fd) !== 'number')
    },
    close() {
      for (const pair of pairs) if (typeof pair !== 'number') closeAll(pair)
    },
  }
}

const OVER_OTHERS: readonly [what: string, act: (victim: ProviderVictim, listener: SanSocket) => void][] = [
  [
    'a request whose link is gone is not answered over whatever has its descriptor now',
    (victim, listener) => {
      assert.equal(victim.accept(listener).ok, false)
    },
  ],
  [
    'closing a listener says nothing over the descriptors of links that are gone',
    (_, listener) => {
      listener.close()
    },
  ],
]

for (const [what, act] of OVER_OTHERS) {
  test(`pitfall 6: ${what}`, { timeout: TIMEOUT_MS }, async (t) => {
    const { victim, listener, peer } = await asked(t)
    peer.close()
    await withoutLinks(victim)
    const others = squat(20)
    act(victim, listener)
    assert.equal(await others.arrived(), false, 'somebody else was sent a message of the link')
    others.close()
  })
}

test(
  'pitfall 6: a link that is down makes no further memory for its peer',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { victim, listener, port, peer } = await setUp(t)
    // The first slot that lies in a segment which the victim has not made yet.
    const id = 64
    peer.addSegment('slots')
    peer.ask(0, 1, honestRequest(port))
    await peer.heard()
    assert.ok(victim.accept(listener).ok)
    // The connection keeps the memory; the channel goes.
    peer.channel.close()
    await withoutLinks(victim)
    const others = squat(20)
    const { bytes } = victim.provider.stats
    peer.writeRawRequest(id, new Uint8Array(0))
    peer.setState(id, 1, layout.PHASE_OPEN)
    peer.notify(id)
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(await others.arrived(), false, 'somebody else was sent a message of the link')
    assert.equal(victim.provider.stats.bytes, bytes)
    others.close()
  },
)

test(
  'a peer whose channel has ended is gone, however much it goes on to notify',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { victim, peer } = await setUp(t)
    peer.channel.close()
    // Never is its ring empty; each turn it adds more than is taken in a turn.
    const goOn = (): boolean => {
      const unread = peer.produced - peer.consumed
      if (unread < layout.NOTIFY_ENTRIES / 2) peer.setProduced(peer.produced + layout.NOTIFY_ENTRIES / 4)
      return victim.provider.stats.links === 0
    }
    try {
      await eventually(goOn, LIMIT_MS, () => `its end, after ${String(peer.produced)} notifications`)
    } finally {
      peer.close()
    }
  },
)

test(
  'a peer that fills its channel and goes is forgotten with everything it sent',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { victim, port, peer } = await setUp(t)
    peer.close()
    await withoutLinks(victim)
    const before = censusOf()
    for (let round = 0; round < 10; round += 1) {
      const other = await HostilePeer.open(port)
      for (let sent = 0; sent < 30; sent += 1) other.addSegment('rings').release()
      other.close()
    }
    await eventually(
      () => leftovers(before, censusOf()).length === 0,
      LIMIT_MS,
      () => leftovers(before, censusOf()).join('; '),
    )
  },
)

test(
  'pitfall 24: a link that is never welcomed does not stay for ever',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const victim = new ProviderVictim()
    t.after(() => {
      victim.close()
    })
    const server = await HostileServer.listen()
    t.after(() => {
      server.close()
    })
    const socket = victim.socket()
    assert.equal(socket.bind(endpoint(HOST, 30_001)), 0)
    assert.equal(socket.connect(endpoint(HOST, server.port), new Uint8Array(20)), WSA.WSAEWOULDBLOCK)
    const channel = await server.door.next()
    assert.equal(victim.provider.stats.links, 1)
    // What the switch does after its connect timeout.
    socket.close()
    victim.clock.advance(3_600_000)
    await new Promise(setImmediate)
    assert.equal(victim.provider.stats.links, 0, 'an hour later it still waits for WELCOME')
    channel.close()
  },
)

test('limits.maxBytesPerLink bounds what a peer can make us map', { timeout: TIMEOUT_MS }, async (t) => {
  const victim = new ProviderVictim({ maxBytesPerLink: layout.LINK_SEGMENT_BYTES + (2 << 20) })
  const { port } = victim.listen()
  t.after(() => {
    victim.close()
  })
  const peer = await HostilePeer.open(port)
  const memory = Memory.create(1 << 20)
  for (const index of [1, 2]) peer.say({ kind: 'segment', index, use: 'rings', bytes: 1 << 20 }, [memory.fd])
  await new Promise(setImmediate)
  assert.equal(victim.provider.stats.links, 1)
  peer.say({ kind: 'segment', index: 3, use: 'rings', bytes: 1 << 20 }, [memory.fd])
  await peer.channel.ended()
  peer.close()
  memory.release()
})

test(
  'requirement: silent channels end when their time is over, and not before',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const victim = new ProviderVictim({ handshakeMs: 500 })
    const { port } = victim.listen()
    t.after(() => {
      victim.close()
    })
    const silent = Channel.connect(doorName(port))
    const before = censusOf().descriptors['socket'] ?? 0
    // It has been taken once the process holds one socket more.
    await eventually(
      () => (censusOf().descriptors['socket'] ?? 0) > before,
      LIMIT_MS,
      () => 'the channel to be taken',
    )
    victim.clock.advance(499)
    await new Promise(setImmediate)
    assert.equal(native.receive(silent.fd), -11)
    victim.clock.advance(1)
    await silent.ended()
    silent.close()
  },
)
