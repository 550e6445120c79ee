import assert from 'node:assert/strict'

import { Overlapped, WSA } from '../src/spi/index.ts'
import type { RdmaAccess, Status } from '../src/spi/index.ts'
import { assertFailure, assertStatus, clause, statusName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ROLES } from './fixture.ts'
import type { Fixture, Pair } from './fixture.ts'
import { pattern } from './memory.ts'

/** Reads the peer's memory, however long the provider takes; how it ended, and what was read. */
async function read(fixture: Fixture, pair: Pair, descriptor: number, offset: number, length: number) {
  const target = new Uint8Array(length).fill(0xee)
  const overlapped = new Overlapped()
  assert.ok(pair.near.rdmaRead !== undefined, 'a provider with RDMA limits has no rdmaRead')
  const status: Status = pair.near.rdmaRead(descriptor, offset, target, overlapped)
  if (status !== WSA.WSA_IO_PENDING) return { status: statusName(status), target, overlapped, pending: false }
  const ended = await fixture.completion(overlapped)
  return { status: statusName(ended), target, overlapped, pending: true }
}

/** What the peer has exposed, once this side has heard of it. */
async function expose(
  fixture: Fixture,
  pair: Pair,
  content: Uint8Array,
  access: RdmaAccess,
): Promise<number> {
  const descriptor = await fixture.peer.expose(pair.far, content, access)
  await hear(fixture, pair)
  return descriptor
}

/** What the peer has ended is no longer exposed, once this side has heard of it. */
async function conceal(fixture: Fixture, pair: Pair, descriptor: number): Promise<void> {
  assertStatus(await fixture.peer.conceal(pair.far, descriptor), 'success', "the peer's deregisterRdmaMemory")
  await hear(fixture, pair)
}

async function hear(fixture: Fixture, pair: Pair): Promise<void> {
  await fixture.peer.signal(pair.far)
  assertStatus(await fixture.receive(pair.near), 'success', 'receive')
}

/** A test of providers that name RDMA limits; of others there is nothing to check. */
function offered(run: (fixture: Fixture, maxBytes: number) => Promise<void>): Check['run'] {
  return async (fixture) => {
    const { rdma } = fixture.near.data.limits
    if (rdma === undefined) return
    assert.ok(rdma.maxBytes > 0 && rdma.thresholdBytes > 0, 'RDMA limits that allow nothing')
    await run(fixture, rdma.maxBytes)
  }
}

/** Memory of the application that the peer reads. */
export const rdmaChecks: readonly Check[] = [
  clause(
    'EXPOSE-1 exposed memory works as its access says, for this peer only (WSD-MEM-3, -5, -13, scenario 24)',
    offered(async (fixture) => {
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        const content = pattern(5000, 1)
        const descriptor = await expose(fixture, pair, content, 'read')
        assert.equal(descriptor, descriptor >>> 0, 'a descriptor is an unsigned 32-bit number')
        const all = await read(fixture, pair, descriptor, 0, content.length)
        assert.equal(all.status, 'success')
        assert.deepEqual(all.target, content)
        const both = await expose(fixture, pair, pattern(100, 2), 'readWrite')
        assert.equal((await read(fixture, pair, both, 0, 100)).status, 'success')
        const writable = await expose(fixture, pair, pattern(100, 3), 'write')
        assert.equal(
          (await read(fixture, pair, writable, 0, 100)).status,
          'WSAEFAULT',
          'reading what is only for writing',
        )

        const other = await fixture.connectPair(role)
        const elsewhere = await read(fixture, other, descriptor, 0, 10)
        assert.equal(elsewhere.status, 'WSAEFAULT', 'a read over another connection')
        assert.ok(
          elsewhere.target.every((byte) => byte === 0xee),
          'a refused read has moved something',
        )
      }
    }),
  ),

  clause(
    'EXPOSE-2 the last of several registrations ends the access (WSD-MEM-10, WSD-CACHE-8, -9)',
    offered(async (fixture) => {
      const pair = await fixture.connectPair()
      const content = pattern(700, 4)
      const first = await expose(fixture, pair, content, 'read')
      const second = await expose(fixture, pair, content, 'read')
      await conceal(fixture, pair, first)
      assert.equal((await read(fixture, pair, second, 0, 700)).status, 'success', 'a registration was left')
      await conceal(fixture, pair, second)
      for (const descriptor of new Set([first, second])) {
        assert.equal(
          (await read(fixture, pair, descriptor, 0, 700)).status,
          'WSAEFAULT',
          'a read after the last',
        )
      }
      const again = await expose(fixture, pair, content, 'read')
      assert.deepEqual((await read(fixture, pair, again, 0, 700)).target, content)
    }),
  ),

  clause(
    'EXPOSE-3 what cannot be exposed is refused, and the connection goes on (WSD-MEM-13)',
    offered(async (fixture, maxBytes) => {
      const { near, far } = await fixture.connectPair()
      const some = new Uint8Array(64)
      const register = near.registerRdmaMemory?.bind(near)
      assert.ok(register !== undefined, 'a provider with RDMA limits has no registerRdmaMemory')
      assertFailure(register(new Uint8Array(), 'read'), 'WSAEINVAL', 'registerRdmaMemory of nothing')
      assertFailure(register(some, 'all' as 'read'), 'WSAEINVAL', 'registerRdmaMemory with an unknown access')
      assertFailure(
        register(new Uint8Array(maxBytes + 1), 'read'),
        'WSAENOBUFS',
        'registerRdmaMemory of too much',
      )
      const descriptor = valueOf(register(some, 'read'), 'registerRdmaMemory')
      assertStatus(near.deregisterRdmaMemory?.(descriptor) ?? 0, 'success', 'deregisterRdmaMemory')
      const unconnected = await fixture.client()
      const result = unconnected.registerRdmaMemory?.(some, 'read')
      assert.ok(result !== undefined)
      assertFailure(result, 'WSAENOTCONN', 'registerRdmaMemory without a connection')
      await fixture.peer.signal(far)
      assertStatus(await fixture.receive(near), 'success', 'receive')
    }),
  ),

  clause(
    'EXPOSE-4 only what is registered here can be deregistered (WSD-MEM-9, -11)',
    offered(async (fixture) => {
      const { near } = await fixture.connectPair()
      const other = await fixture.connectPair()
      const register = near.registerRdmaMemory?.bind(near)
      const deregister = near.deregisterRdmaMemory?.bind(near)
      assert.ok(register !== undefined && deregister !== undefined)
      const descriptor = valueOf(register(new Uint8Array(64), 'read'), 'registerRdmaMemory')
      for (const wrong of [descriptor + 1, -1, Number.NaN, 0xffff_ffff]) {
        assertStatus(deregister(wrong), 'WSAEINVAL', `deregisterRdmaMemory(${wrong})`)
      }
      assertStatus(other.near.deregisterRdmaMemory?.(descriptor) ?? 0, 'WSAEINVAL', 'over another connection')
      assertStatus(deregister(descriptor), 'success', 'deregisterRdmaMemory')
      assertStatus(deregister(descriptor), 'WSAEINVAL', 'deregisterRdmaMemory once more')
    }),
  ),

  clause(
    'READ-1 a read is done at once, or completes with its bytes (WSD-CPL-2, WSD-XFER-12)',
    offered(async (fixture, maxBytes) => {
      const pair = await fixture.connectPair()
      const content = pattern(Math.min(maxBytes, 300_000), 5)
      const descriptor = await expose(fixture, pair, content, 'read')
      const { target, overlapped, status, pending } = await read(fixture, pair, descriptor, 0, content.length)
      assert.equal(status, 'success')
      assert.deepEqual(target, content)
      assert.equal(fixture.near.upcalls.completions(overlapped).length, pending ? 1 : 0)
      if (pending) assert.equal(overlapped.bytes, content.length)
      const at = new Uint8Array(10).fill(0xee)
      const now = pair.near.rdmaRead?.(descriptor, 7, at, null)
      const done = now === 0
      assert.ok(
        done || now === WSA.WSAEWOULDBLOCK,
        'a read without an operation is done at once, or not at all',
      )
      assert.deepEqual(at, done ? content.subarray(7, 17) : new Uint8Array(10).fill(0xee))
    }),
  ),

  clause(
    'READ-2 what is not wholly exposed cannot be read (WSD-MEM-5)',
    offered(async (fixture) => {
      const pair = await fixture.connectPair()
      const descriptor = await expose(fixture, pair, pattern(1000, 6), 'read')
      for (const [offset, length] of [
        [0, 1001],
        [991, 10],
        [1000, 1],
        [-1, 2],
        [0.5, 2],
        [2 ** 32, 1],
        [Number.NaN, 1],
      ]) {
        const { status, target } = await read(fixture, pair, descriptor, offset ?? 0, length ?? 0)
        assert.equal(status, 'WSAEFAULT', `a read of ${length} bytes at ${offset}`)
        assert.ok(
          target.every((byte) => byte === 0xee),
          'a refused read has moved something',
        )
      }
      for (const wrong of [descriptor + 1, 0xffff_ffff, -1, Number.NaN]) {
        assert.equal(
          (await read(fixture, pair, wrong, 0, 1)).status,
          'WSAEFAULT',
          `a read of descriptor ${wrong}`,
        )
      }
      assert.equal((await read(fixture, pair, descriptor, 990, 10)).status, 'success')
    }),
  ),

  clause(
    'READ-3 a signal does not overtake a read (WSD-LARGE-R6, RACE-19)',
    offered(async (fixture) => {
      const pair = await fixture.connectPair()
      const content = pattern(50_000, 7)
      const descriptor = await expose(fixture, pair, content, 'read')
      const target = new Uint8Array(content.length)
      const overlapped = new Overlapped()
      const status = pair.near.rdmaRead?.(descriptor, 0, target, overlapped)
      assert.ok(status === 0 || status === WSA.WSA_IO_PENDING)
      const heard = fixture.peer.receive(pair.far)
      assertStatus(pair.near.signal(), 'success', 'signal')
      assertStatus(await fixture.until('the peer to receive', heard), 'success', "the peer's receive")
      assert.equal(overlapped.pending, false, 'the peer hears of the signal while the read goes on')
      assertStatus(
        await fixture.peer.conceal(pair.far, descriptor),
        'success',
        "the peer's deregisterRdmaMemory",
      )
      assert.deepEqual(target, content)
    }),
  ),

  clause(
    'READ-4 without a peer nothing is read (WSD-MEM-5)',
    offered(async (fixture) => {
      const unconnected = await fixture.client()
      assertStatus(
        unconnected.rdmaRead?.(1, 0, new Uint8Array(1), null) ?? 0,
        'WSAENOTCONN',
        'rdmaRead without a connection',
      )
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        const descriptor = await expose(fixture, pair, pattern(64, 8), 'read')
        await fixture.loseFar(pair)
        await fixture.roundTrip()
        assert.equal((await read(fixture, pair, descriptor, 0, 64)).status, 'WSAECONNRESET')
      }
    }),
  ),

  clause(
    'READ-5 a read that is under way at the close completes before the handle is closed (WSD-CLOSE-6)',
    offered(async (fixture, maxBytes) => {
      const { upcalls } = fixture.near
      const pair = await fixture.connectPair()
      const descriptor = await expose(fixture, pair, pattern(Math.min(maxBytes, 300_000), 9), 'read')
      const overlapped = new Overlapped()
      const target = new Uint8Array(Math.min(maxBytes, 300_000))
      const status = pair.near.rdmaRead?.(descriptor, 0, target, overlapped)
      assertStatus(pair.near.close(), 'success', 'close')
      if (status === WSA.WSA_IO_PENDING) await fixture.completion(overlapped)
      await fixture.closed(pair.handle)
      assert.equal(overlapped.pending, false)
      const calls = upcalls.of(pair.handle).map((record) => record.call)
      assert.equal(calls.at(-1), 'closeSocketHandle')
      await fixture.roundTrip()
      assert.equal(upcalls.of(pair.handle).length, calls.length, 'an upcall after closeSocketHandle')
    }),
  ),

  clause(
    'CACHE-1 after an eviction nothing of the memory is cached (WSD-CACHE-5, -6, -10, RACE-38)',
    async (fixture) => {
      const { provider, data } = fixture.near
      if (data.limits.rdma === undefined || provider.evict === undefined) return
      const { near } = await fixture.connectPair()
      const buffer = new ArrayBuffer(4096)
      const [memory, tail] = [new Uint8Array(buffer, 0, 2048), new Uint8Array(buffer, 2000, 100)]
      assertStatus(provider.evict(memory), 'WSAEINVAL', 'evict of what was never registered')
      const descriptor = valueOf(
        near.registerRdmaMemory?.(memory, 'read') ?? { ok: false, error: WSA.WSAEINVAL },
        'registerRdmaMemory',
      )
      assertStatus(near.deregisterRdmaMemory?.(descriptor) ?? 0, 'success', 'deregisterRdmaMemory')
      assertStatus(provider.evict(tail), 'success', 'evict of a part')
      assertStatus(provider.evict(memory), 'WSAEINVAL', 'evict of what was evicted')
    },
  ),
]
