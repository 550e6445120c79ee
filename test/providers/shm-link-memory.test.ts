/** What a link may allocate and map, and what becomes of it when that fails: the kernel's answers are the test's. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Quota } from '../../src/base/quota.ts'
import type { ShmNative } from '../../src/native/shm.ts'
import * as layout from '../../src/providers/shm/layout.ts'
import { LinkMemory } from '../../src/providers/shm/link-memory.ts'
import { WSA, failure } from '../../src/spi/index.ts'

const CHANNEL = 3
const { LINK_SEGMENT_BYTES, RING_SEGMENT_BYTES, SLOT_SEGMENT_BYTES } = layout
const EMFILE = 24
/** The first slot that lies in the second segment of slots. */
const FURTHER_SLOT = Array.from({ length: 4096 }, (_, id) => id).find(
  (id) => layout.slotPlace(id).group === 1,
) as number

/** Counts what is open and mapped; the test says what fails. */
class Kernel {
  readonly open = new Set<number>()
  readonly mapped = new Set<ArrayBuffer>()
  fails: 'createMemory' | 'send' | 'mapMemory' | undefined
  #next = 10

  descriptor(): number {
    this.open.add(this.#next)
    return this.#next++
  }

  #map(bytes: number): ArrayBuffer {
    const buffer = new ArrayBuffer(bytes)
    this.mapped.add(buffer)
    return buffer
  }

  readonly native = {
    createMemory: (bytes: number) =>
      this.fails === 'createMemory' ? -EMFILE : { fd: this.descriptor(), buffer: this.#map(bytes) },
    mapMemory: (_: number, bytes: number) => (this.fails === 'mapMemory' ? -EMFILE : this.#map(bytes)),
    send: () => (this.fails === 'send' ? -EMFILE : 0),
    close: (fd: number) => {
      assert.ok(this.open.delete(fd), `descriptor ${fd} is closed once`)
    },
    unmap: (buffer: ArrayBuffer) => {
      assert.ok(this.mapped.delete(buffer), 'it is unmapped once')
    },
  } as unknown as ShmNative
}

function linked({ budget = 1 << 30, perLink = 1 << 30 } = {}) {
  const kernel = new Kernel()
  const quota = new Quota(budget)
  let reads = 0
  const memory = new LinkMemory(kernel.native, CHANNEL, quota, perLink, () => (reads += 1))
  const meet = (): void => {
    const created = memory.create()
    assert.ok(created.ok)
    kernel.native.close(created.value.fd)
    assert.notEqual(typeof memory.adopt(0), 'number')
  }
  const accept = (index: number, use: 'slots' | 'rings', bytes: number, count = 1): boolean =>
    memory.accept(
      { kind: 'segment', index, use, bytes },
      Array.from({ length: count }, () => kernel.descriptor()),
    )
  return { kernel, quota, memory, meet, accept, reads: () => reads }
}

for (const [whose, limits] of [
  ["the link's", { perLink: LINK_SEGMENT_BYTES + RING_SEGMENT_BYTES }],
  ["the process's", { budget: LINK_SEGMENT_BYTES + RING_SEGMENT_BYTES }],
] as const) {
  test(`no segment is made beyond ${whose} bytes`, () => {
    const { kernel, quota, memory, meet } = linked(limits)
    meet()
    assert.ok(memory.take(RING_SEGMENT_BYTES).ok)
    assert.deepEqual(memory.take(layout.PAGE_BYTES), failure(WSA.WSAENOBUFS))
    assert.equal(memory.ownSlot(FURTHER_SLOT), undefined)
    assert.equal(quota.taken, LINK_SEGMENT_BYTES + RING_SEGMENT_BYTES)
    assert.equal(kernel.open.size, 0)
  })
}

test('the first segment counts against the bytes of the process', () => {
  assert.deepEqual(linked({ budget: LINK_SEGMENT_BYTES - 1 }).memory.create(), failure(WSA.WSAENOBUFS))
})

test('a first segment that cannot be made leaves nothing', () => {
  const { kernel, quota, memory } = linked()
  kernel.fails = 'createMemory'
  assert.deepEqual(memory.create(), failure(WSA.WSAEMFILE))
  assert.deepEqual([quota.taken, kernel.open.size, kernel.mapped.size], [0, 0, 0])
})

test("a segment of the peer's that cannot be mapped is none, and its descriptor is closed", () => {
  const { kernel, memory, meet, accept } = linked()
  kernel.fails = 'mapMemory'
  assert.equal(memory.adopt(0), WSA.WSAEMFILE)
  kernel.fails = undefined
  meet()
  kernel.fails = 'mapMemory'
  assert.equal(accept(1, 'rings', RING_SEGMENT_BYTES), false)
  assert.equal(kernel.open.size, 0)
  memory.release()
  assert.equal(kernel.mapped.size, 0)
})

test("no segment of the peer's is mapped beyond the link's bytes, not even the first", () => {
  assert.equal(linked({ perLink: LINK_SEGMENT_BYTES - 1 }).memory.adopt(0), WSA.WSAENOBUFS)
})

test("the peer's side of a slot lies in memory that it has given", () => {
  const { memory, meet, accept, reads } = linked()
  meet()
  assert.ok(memory.peerSlot(0) !== undefined)
  assert.equal(reads(), 0)
  assert.equal(memory.peerSlot(FURTHER_SLOT), undefined)
  assert.equal(reads(), 1, 'it may be in the channel')
  assert.ok(accept(1, 'slots', SLOT_SEGMENT_BYTES))
  assert.deepEqual(memory.peerSlot(FURTHER_SLOT)?.byte, layout.slotPlace(FURTHER_SLOT).byte)
})

for (const fails of ['createMemory', 'send'] as const) {
  test(`a segment that cannot be made because ${fails} fails leaves nothing, and one can be made later`, () => {
    const { kernel, quota, memory, meet } = linked()
    meet()
    kernel.fails = fails
    const before = { taken: quota.taken, mapped: kernel.mapped.size }
    assert.deepEqual(memory.take(layout.PAGE_BYTES), failure(WSA.WSAENOBUFS))
    assert.equal(memory.ownSlot(FURTHER_SLOT), undefined)
    assert.deepEqual({ taken: quota.taken, mapped: kernel.mapped.size }, before)
    kernel.fails = undefined
    assert.ok(memory.take(layout.PAGE_BYTES).ok)
    assert.ok(memory.ownSlot(FURTHER_SLOT) !== undefined)
    assert.equal(quota.taken, before.taken + RING_SEGMENT_BYTES + SLOT_SEGMENT_BYTES)
    assert.equal(kernel.open.size, 0)
  })
}

test('nothing is made before the peer is known, or after the channel has closed', () => {
  const { memory, meet } = linked()
  assert.deepEqual(memory.take(layout.PAGE_BYTES), failure(WSA.WSAENOBUFS))
  meet()
  memory.stop()
  assert.deepEqual(memory.take(layout.PAGE_BYTES), failure(WSA.WSAENOBUFS))
})

test('a piece that was given back is used again', () => {
  const { quota, memory, meet } = linked()
  meet()
  const taken = memory.take(RING_SEGMENT_BYTES)
  assert.ok(taken.ok)
  memory.give(taken.value.piece)
  const before = quota.taken
  assert.ok(memory.take(RING_SEGMENT_BYTES).ok)
  assert.equal(quota.taken, before)
})

test("the peer's segments: in order, of the size for their use, one descriptor each, within the link's bytes", () => {
  const { kernel, meet, accept } = linked({ perLink: LINK_SEGMENT_BYTES + RING_SEGMENT_BYTES })
  meet()
  assert.equal(accept(2, 'rings', RING_SEGMENT_BYTES), false)
  assert.equal(accept(1, 'rings', SLOT_SEGMENT_BYTES), false)
  assert.equal(accept(1, 'slots', RING_SEGMENT_BYTES), false)
  assert.equal(accept(1, 'rings', RING_SEGMENT_BYTES, 0), false)
  assert.equal(accept(1, 'rings', RING_SEGMENT_BYTES, 2), false)
  assert.equal(accept(1, 'rings', RING_SEGMENT_BYTES), true)
  assert.equal(accept(2, 'slots', SLOT_SEGMENT_BYTES), false, 'too much')
  assert.equal(kernel.open.size, 0)
})

test("the peer's regions: only inside of a ring segment that it has given", () => {
  const { memory, meet, accept, reads } = linked()
  meet()
  assert.ok(accept(1, 'rings', RING_SEGMENT_BYTES))
  const last = RING_SEGMENT_BYTES / layout.PAGE_BYTES - 1
  const at = (segment: number, page: number): number => (segment << 16) | page
  assert.ok(memory.peerRegion(at(1, last), layout.PAGE_BYTES).ok)
  for (const [descriptor, bytes] of [
    [at(1, last), layout.PAGE_BYTES + 1],
    [at(1, last + 1), 1],
    [at(1, 0), 0],
    [at(1, 0), -1],
    [at(0, 0), 1],
  ] as const) {
    assert.deepEqual(memory.peerRegion(descriptor, bytes), failure(WSA.WSAEFAULT))
  }
  assert.equal(reads(), 0)
  assert.deepEqual(memory.peerRegion(at(2, 0), 1), failure(WSA.WSAEFAULT))
  assert.equal(reads(), 1, 'it may be in the channel')
})

test('releasing unmaps everything, and gives every byte back', () => {
  const { kernel, quota, memory, meet, accept } = linked()
  meet()
  assert.ok(memory.take(layout.PAGE_BYTES).ok)
  assert.ok(accept(1, 'slots', SLOT_SEGMENT_BYTES))
  memory.release()
  assert.equal(kernel.mapped.size, 0)
  assert.equal(quota.taken, 0)
})
