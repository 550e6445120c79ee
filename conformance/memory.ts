import assert from 'node:assert/strict'

import { Overlapped } from '../src/spi/index.ts'
import type { MemoryRegion, RegisteredMemory } from '../src/spi/index.ts'
import { assertFailure, assertRefused, assertStatus, clause, odd, resultName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ROLES } from './fixture.ts'
import type { Fixture, Pair } from './fixture.ts'
import { publish, received } from './peer.ts'

const REGION_ALIGNMENT = 64
/** How much of a region the interface promises to be zero at first. */
const ZEROED_BYTES = 256

/** How often MEM-3 registers before it gives up looking for the limit. */
const REGISTRATIONS = 4096

/** Bytes that differ from place to place and from one `salt` to the next. */
export function pattern(length: number, salt: number): Uint8Array {
  return new Uint8Array(length).map((_, i) => (i * 31 + salt * 17 + (i >> 8)) & 0xff)
}

/** A size `registerMemory` takes, or 0 when the provider registers nothing further. */
function furtherBytes(fixture: Fixture): number {
  return Math.min(1 << 16, fixture.near.data.limits.maxMemoryBytes)
}

function assertGeometry(region: MemoryRegion, atLeast: number): void {
  assert.equal(region.offset % REGION_ALIGNMENT, 0, `a region at ${region.offset}`)
  assert.ok(region.length >= atLeast, `a region of ${region.length} bytes`)
  assert.ok(region.offset + region.length <= region.bytes.length, 'a region ends beyond its memory')
  assert.equal(region.words.buffer, region.bytes.buffer)
  assert.equal(region.words.byteOffset, region.bytes.byteOffset)
  assert.ok(region.words.length * 4 >= region.offset + region.length, 'a region ends beyond its words')
}

async function exchange(fixture: Fixture, pair: Pair, salt: number): Promise<void> {
  const { near, far } = pair
  const there = pattern(512, salt)
  assertStatus(publish(near, salt, there), 'success', 'rdmaWrite')
  assertStatus(near.signal(), 'success', 'signal')
  assertStatus(
    await fixture.until('the peer to receive', fixture.peer.receive(far)),
    'success',
    "the peer's receive",
  )
  assert.deepEqual(await fixture.peer.read(far, salt, there.length), there)

  const back = pattern(512, salt + 1)
  assertStatus(await fixture.peer.write(far, salt, back), 'success', "the peer's rdmaWrite")
  assertStatus(await fixture.peer.signal(far), 'success', "the peer's signal")
  assertStatus(await fixture.receive(near), 'success', 'receive')
  assert.deepEqual(received(near, salt, back.length), back)
}

/** Registered memory: the two regions of a connection, and further ones. */
export const memoryChecks: readonly Check[] = [
  clause("MEM-1 what I write appears in the peer's receive region, in order (WSD-MEM-6)", async (fixture) => {
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      const { send } = valueOf(pair.near.memory(), 'memory')
      for (let salt = 0; salt < 8; salt++) await exchange(fixture, pair, salt)
      assert.deepEqual(await fixture.peer.read(pair.far, 0, 8), bytesOf(send, 0, 8))

      const last = pattern(4, 99)
      assertStatus(publish(pair.near, send.length - last.length, last), 'success', 'rdmaWrite at the end')
      for (const value of [1, 2, 3])
        assertStatus(publish(pair.near, 0, Uint8Array.of(value)), 'success', 'rdmaWrite')
      assertStatus(pair.near.signal(), 'success', 'signal')
      await fixture.until('the peer to receive', fixture.peer.receive(pair.far))
      assert.deepEqual(await fixture.peer.read(pair.far, 0, 1), Uint8Array.of(3))
      assert.deepEqual(await fixture.peer.read(pair.far, send.length - last.length, last.length), last)
    }
  }),

  clause('MEM-2 the regions stay readable after the peer is gone', async (fixture) => {
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      const { send, receive } = valueOf(pair.near.memory(), 'memory')
      const content = pattern(receive.length, 5)
      assertStatus(publish(pair.near, 0, pattern(64, 6)), 'success', 'rdmaWrite')
      assertStatus(await fixture.peer.write(pair.far, 0, content), 'success', "the peer's rdmaWrite")
      await fixture.loseFar(pair)
      await fixture.roundTrip()
      assert.deepEqual(received(pair.near, 0, content.length), content)
      assert.deepEqual(bytesOf(receive, 0, content.length), content)
      assert.deepEqual(bytesOf(send, 0, 64), pattern(64, 6))
    }
  }),

  clause('MEM-3 registering beyond a limit fails, and the connection goes on', async (fixture) => {
    const pair = await fixture.connectPair()
    const bytes = fixture.near.data.limits.maxMemoryBytes
    const registered: RegisteredMemory[] = []
    let result = pair.near.registerMemory(Math.max(bytes, 4096))
    while (result.ok && registered.length < REGISTRATIONS) {
      registered.push(result.value)
      result = pair.near.registerMemory(bytes)
    }
    assertFailure(result, 'WSAENOBUFS', `registerMemory after ${registered.length} regions`)
    assert.equal(registered.length > 0, bytes > 0, 'maxMemoryBytes and registerMemory disagree')
    await exchange(fixture, pair, 1)
    for (const memory of registered) {
      assertStatus(pair.near.deregisterMemory(memory), 'success', 'deregisterMemory')
    }
    await exchange(fixture, pair, 2)
    if (bytes > 0) valueOf(pair.near.registerMemory(bytes), 'registerMemory once all was given back')
  }),

  clause(
    "MEM-4 peerMemory gives the peer's regions and nothing else (WSD-MEM-3, WSD-MEM-5)",
    async (fixture) => {
      const pair = await fixture.connectPair()
      const bytes = furtherBytes(fixture)
      if (bytes > 0) {
        const content = pattern(bytes, 3)
        const descriptor = await fixture.peer.register(pair.far, content)
        assertStatus(await fixture.peer.signal(pair.far), 'success', "the peer's signal")
        assertStatus(await fixture.receive(pair.near), 'success', 'receive')
        assert.equal(descriptor, descriptor >>> 0, 'a descriptor is an unsigned 32-bit number')
        const region = valueOf(pair.near.peerMemory(descriptor, bytes), 'peerMemory')
        assertGeometry(region, bytes)
        assert.deepEqual(bytesOf(region, 0, bytes), content)
        for (const wrong of [bytes * 2, 0, -bytes, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32 + bytes]) {
          assertFailure(pair.near.peerMemory(descriptor, wrong), 'WSAEFAULT', `peerMemory of ${wrong} bytes`)
        }
        for (const wrong of [descriptor + 0.5, descriptor + 2 ** 32, descriptor - 2 ** 32]) {
          assertFailure(pair.near.peerMemory(wrong, bytes), 'WSAEFAULT', `peerMemory at ${wrong}`)
        }
      }
      for (const wrong of [0xffff_ffff, 0x7fff_ffff, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
        assertFailure(pair.near.peerMemory(wrong, bytes || 4096), 'WSAEFAULT', `peerMemory at ${wrong}`)
      }
      await exchange(fixture, pair, 4)
    },
  ),

  odd('MEM: both regions lie where they say and begin with zeroes (WSD-MEM-6)', async (fixture) => {
    const { regionBytes } = fixture.near.data.limits
    for (const role of ROLES) {
      const used = await fixture.connectPair(role)
      const { send: dirty } = valueOf(used.near.memory(), 'memory')
      assertStatus(publish(used.near, 0, pattern(dirty.length, 1)), 'success', 'rdmaWrite')
      assertStatus(used.near.close(), 'success', 'close')
      await fixture.peer.close(used.far)
      await fixture.closed(used.handle)

      const pair = await fixture.connectPair(role)
      const { send, receive } = valueOf(pair.near.memory(), 'memory')
      for (const region of [send, receive]) {
        assertGeometry(region, regionBytes)
        assert.ok(
          bytesOf(region, 0, ZEROED_BYTES).every((byte) => byte === 0),
          'a region begins with old bytes',
        )
      }
    }
  }),

  odd('MEM: without a connection there is no memory', async (fixture) => {
    const { near } = await fixture.connectPair()
    const { send } = valueOf(near.memory(), 'memory')
    const listener = await fixture.listen()
    for (const socket of [await fixture.client(), listener.socket]) {
      assertFailure(socket.memory(), 'WSAENOTCONN', 'memory')
      assert.notEqual(resultName(socket.registerMemory(4096)), 'success')
      assert.notEqual(resultName(socket.peerMemory(0, 4096)), 'success')
      assertRefused(socket.deregisterMemory(send), 'deregisterMemory')
      assertRefused(socket.signal(), 'signal')
      assertRefused(socket.receive(new Overlapped()), 'receive')
    }
  }),

  odd('MEM: registerMemory refuses sizes it does not give', async (fixture) => {
    const { near } = await fixture.connectPair()
    const { maxMemoryBytes } = fixture.near.data.limits
    for (const bytes of [
      0,
      0.5,
      -4096,
      4097,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      maxMemoryBytes * 2,
      2 ** 52,
    ]) {
      assert.notEqual(resultName(near.registerMemory(bytes)), 'success', `registerMemory(${bytes})`)
    }
  }),

  odd('MEM: deregisterMemory refuses what is not registered (WSD-MEM-11)', async (fixture) => {
    const pair = await fixture.connectPair()
    const other = await fixture.connectPair()
    const { send } = valueOf(pair.near.memory(), 'memory')
    assertRefused(pair.near.deregisterMemory(send), 'deregisterMemory of the send region')
    const bytes = furtherBytes(fixture)
    if (bytes === 0) return
    const memory = valueOf(pair.near.registerMemory(bytes), 'registerMemory')
    assertGeometry(memory, bytes)
    assertRefused(other.near.deregisterMemory(memory), "deregisterMemory of another socket's region")
    assertStatus(pair.near.deregisterMemory(memory), 'success', 'deregisterMemory')
    assertRefused(pair.near.deregisterMemory(memory), 'deregisterMemory of the same region again')
  }),
]

function bytesOf(region: MemoryRegion, offset: number, length: number): Uint8Array {
  return region.bytes.slice(region.offset + offset, region.offset + offset + length)
}
