import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA, failure } from '../../src/spi/index.ts'
import { copyIn, copyOut, ringIn } from '../../src/switch/session/ring.ts'
import { inlineRingBytes } from '../../src/switch/session/sender.ts'
import { settle } from './fake-clock.ts'
import { sessionPair } from './session-pair.ts'
import type { SessionPair } from './session-pair.ts'

const KIB = 1024

/** The sizes of the rings that one side asked for, in order. */
function rings({ journal }: SessionPair): unknown[] {
  return journal.all('san.registerMemory').map(({ args }) => args[0])
}

/** A stream in which each byte is known by its position. */
class Stream {
  #written = 0
  #read = 0

  write(pair: SessionPair, bytes: number): number {
    const chunk = Buffer.from(Array.from({ length: bytes }, (_, i) => byteAt(this.#written + i)))
    const taken = pair.one.session.write([chunk])
    assert.ok(taken >= 0)
    this.#written += taken
    return taken
  }

  read(pair: SessionPair, maxBytes = 1 << 22): number {
    const bytes = pair.other.session.read(maxBytes) ?? Buffer.alloc(0)
    const wrong = bytes.findIndex((byte, i) => byte !== byteAt(this.#read + i))
    assert.equal(wrong, -1, `byte ${this.#read + wrong} is not the one that was written`)
    this.#read += bytes.length
    return bytes.length
  }

  get unread(): number {
    return this.#written - this.#read
  }
}

function byteAt(position: number): number {
  return (position * 31 + (position >> 10)) & 255
}

describe('a ring', () => {
  test('begins in the region, as large as a power of two can be there', async () => {
    assert.deepEqual([1216, 2000, 2240, 4096].map(inlineRingBytes), [1024, 1024, 2048, 2048])
    const pair = await sessionPair()
    assert.equal(new Stream().write(pair, KIB), KIB)
    assert.deepEqual(rings(pair), [])
  })

  test('grows when it fills, through 16 KiB and 128 KiB to 1 MiB, and no further', async () => {
    const pair = await sessionPair()
    const stream = new Stream()
    for (const [size, next] of [
      [KIB, 16 * KIB],
      [16 * KIB, 128 * KIB],
      [128 * KIB, KIB * KIB],
    ] as const) {
      assert.equal(stream.write(pair, size), size)
      assert.equal(stream.write(pair, 1), 1)
      assert.equal(rings(pair).at(-1), next)
      while (stream.unread > 0) stream.read(pair)
      stream.write(pair, 1)
      stream.read(pair)
    }
    assert.deepEqual(rings(pair), [16 * KIB, 128 * KIB, KIB * KIB])
    assert.equal(stream.write(pair, KIB * KIB + 1), KIB * KIB)
    while (stream.unread > 0) stream.read(pair)
    assert.equal(rings(pair).length, 3)
  })

  test('grows for a large write to hold several of its size', async () => {
    const pair = await sessionPair()
    const stream = new Stream()
    assert.equal(stream.write(pair, 5000), 5000)
    assert.deepEqual(rings(pair), [32 * KIB])
    assert.equal(stream.read(pair), 5000)
  })

  test('RACE-20 WSD-MEM-4 waits with the next move until the reader has come after it, and gives the old ring back then', async () => {
    const pair = await sessionPair()
    const stream = new Stream()
    stream.write(pair, KIB)
    stream.write(pair, 1)
    assert.equal(stream.write(pair, 16 * KIB), 16 * KIB - 1)
    assert.equal(stream.write(pair, 1), 0)
    assert.deepEqual(rings(pair), [16 * KIB])
    assert.equal(stream.read(pair, KIB), KIB)
    assert.equal(stream.write(pair, 1), 0)
    assert.equal(stream.read(pair, 1), 1)
    assert.equal(stream.write(pair, 2), 2)
    assert.deepEqual(rings(pair), [16 * KIB, 128 * KIB])
    while (stream.unread > 0) stream.read(pair)
    stream.write(pair, 1)
    assert.deepEqual(
      pair.journal.all('san.deregisterMemory').map(({ args }) => (args[0] as { length: number }).length),
      [16 * KIB],
    )
  })

  test('is read across a move in one call', async () => {
    const pair = await sessionPair()
    const stream = new Stream()
    stream.write(pair, 1000)
    stream.write(pair, 100)
    stream.write(pair, 100)
    assert.deepEqual(rings(pair), [16 * KIB])
    assert.equal(pair.other.session.available, 1200)
    assert.equal(stream.read(pair), 1200)
  })

  test('a move costs nothing that was written before, however little is read at a time', async () => {
    const pair = await sessionPair()
    const stream = new Stream()
    for (let i = 0; i < 3000; i++) {
      stream.write(pair, 1 + ((i * 37) % 400))
      if (i % 3 !== 0) stream.read(pair, 1 + ((i * 53) % 500))
    }
    while (stream.unread > 0) assert.ok(stream.read(pair, 7777) > 0)
    assert.ok(rings(pair).length >= 2)
  })

  test('WSD-LARGE-1E where memory is short the ring there is carries everything', async () => {
    const pair = await sessionPair({ registeredBytes: 0 })
    const stream = new Stream()
    let moved = 0
    while (moved < 300 * KIB) {
      moved += stream.write(pair, 3000)
      stream.read(pair)
    }
    assert.equal(stream.unread, 0)
    const asked = pair.journal.all('san.registerMemory')
    assert.ok(asked.length > 0 && asked.length < 20, `${asked.length} times`)
    assert.deepEqual(asked[0]?.result, failure(WSA.WSAENOBUFS))
  })

  test('WSD-LARGE-1E memory for one move and no more', async () => {
    const pair = await sessionPair({ registeredBytes: 16 * KIB })
    const stream = new Stream()
    let moved = 0
    while (moved < 300 * KIB) {
      moved += stream.write(pair, 700)
      if (stream.unread > 15 * KIB) stream.read(pair)
    }
    while (stream.unread > 0) stream.read(pair)
  })

  test('of any size the peer would take', async () => {
    for (const maxRingBytes of [0, 1, 1000, 5000, 40_000, 0xffff_ffff]) {
      const pair = await sessionPair({ maxRingBytes })
      const stream = new Stream()
      let moved = 0
      while (moved < 100 * KIB) {
        moved += stream.write(pair, 2500)
        stream.read(pair)
      }
      while (stream.unread > 0) stream.read(pair)
      for (const size of rings(pair)) assert.ok((size as number) <= Math.max(maxRingBytes, 0))
    }
  })

  test('published in pieces, so that the reader may start before the writer is done', async () => {
    const pair = await sessionPair({ limits: { pieceBytes: 1000 } })
    pair.journal.clear()
    new Stream().write(pair, 4500)
    assert.equal(pair.journal.count('san.signal'), 5)
  })
})

describe('a cursor', () => {
  test('wraps at 2³² without anybody noticing', async () => {
    const pair = await sessionPair({ firstCursor: 2 ** 32 - 3 * KIB })
    const { one, other } = pair
    const chunk = Buffer.alloc(1 << 19)
    const stream = new Stream()
    for (let i = 0; i < 40; i++) {
      stream.write(pair, 777)
      if (i % 4 !== 0) stream.read(pair, 1111)
    }
    while (stream.unread > 0) assert.ok(stream.read(pair) > 0)
    assert.equal(one.session.write([chunk]), chunk.length)
    assert.equal(other.session.bytesRead, one.session.bytesWritten - chunk.length)
    other.readAll()
    // A peer that dies with nothing unread has reset nothing: the cursors are compared, wherever they are.
    other.session.socket.close()
    await settle()
    assert.equal(one.session.readEnd(), 'end')
  })

  test('may stand anywhere: what goes in there comes out there', () => {
    const bytes = new Uint8Array(64)
    const ring = ringIn({ bytes, words: new Int32Array(bytes.buffer), offset: 16, length: 32 }, 0, 32)
    for (const cursor of [0, 31, 2 ** 31 - 3, -5, -1, 0x7fff_fff0 | 0]) {
      for (const length of [1, 31, 32]) {
        const source = Uint8Array.from({ length: length + 2 }, (_, i) => i + 1)
        bytes.fill(0)
        copyIn(ring, cursor, source, 1, 1 + length)
        const target = new Uint8Array(length + 2)
        copyOut(ring, cursor, target, 1, length)
        assert.deepEqual(target.subarray(1, 1 + length), source.subarray(1, 1 + length))
        assert.deepEqual([target[0], target[length + 1]], [0, 0])
        assert.ok([...bytes.subarray(0, 16), ...bytes.subarray(48)].every((byte) => byte === 0))
      }
    }
  })
})
