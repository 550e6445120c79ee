import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'

import { MAX_MEMBERS, decodeMessage, encodeMessage } from '../../src/providers/shm/messages.ts'
import type { LinkMessage } from '../../src/providers/shm/messages.ts'
import { readRequest, writeRequest } from '../../src/providers/shm/request.ts'
import type { SlotRequest } from '../../src/providers/shm/request.ts'
import { MAX_CONNECT_DATA_BYTES, WSA } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { encodeHello, readHello } from '../../src/switch/session/hello.ts'
import { SESSION_VERSION } from '../../src/switch/session/layout.ts'

const u32 = fc.nat({ max: 0xffff_ffff })
const RUNS = { numRuns: 300, includeErrorInReport: true }

/** Plain objects, as the code under test makes them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true })
}

/** A place in a message, and another value for the byte there. */
const damage = record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) })

function damaged(bytes: Uint8Array, { at, flip }: { readonly at: number; readonly flip: number }) {
  const copy = Uint8Array.from(bytes)
  const place = at % Math.max(1, copy.length)
  copy[place] = (copy[place] ?? 0) ^ flip
  return { copy, place }
}

describe('a message of a link', () => {
  const name = fc.string({ maxLength: 96, unit: 'grapheme-ascii' })
  const place = fc.nat({ max: 0xffff })
  const group = fc.uniqueArray(fc.nat({ max: MAX_MEMBERS - 1 }), { minLength: 1 }).map((all) => ({
    kind: 'group' as const,
    member: all[0] as number,
    processId: all.length,
    members: [...all].sort((a, b) => a - b),
  }))
  const message: fc.Arbitrary<LinkMessage> = fc.oneof(
    record({ kind: fc.constant('open'), segmentBytes: u32, name }),
    record({ kind: fc.constant('open'), segmentBytes: u32, name, member: place }),
    record({ kind: fc.constant('join'), name }),
    record({ kind: fc.constant('join'), name, descriptor: place }),
    record({ kind: fc.constant('forward'), segmentBytes: u32 }),
    group,
    record({ kind: fc.constant('welcome'), segmentBytes: u32 }),
    record({ kind: fc.constant('reject'), code: u32 }),
    record({
      kind: fc.constant('segment'),
      index: u32,
      use: fc.constantFrom('slots', 'rings'),
      bytes: u32,
    }),
  )

  test('is read as it was written, wherever it lies', () => {
    const check = (sent: LinkMessage, before: number): void => {
      const bytes = encodeMessage(sent)
      const elsewhere = new Uint8Array(before + bytes.length + 3)
      elsewhere.set(bytes, before)
      assert.deepEqual(decodeMessage(elsewhere.subarray(before, before + bytes.length)), sent)
    }
    fc.assert(fc.property(message, fc.nat({ max: 9 }), check), RUNS)
  })

  test('with a damaged byte is refused or read as something else, never as an error', () => {
    const check = (sent: LinkMessage, where: { at: number; flip: number }): void => {
      const { copy, place } = damaged(encodeMessage(sent), where)
      const read = decodeMessage(copy)
      if (place < 4) assert.equal(read, 'malformed')
      else if (place < 6) assert.equal(read, 'version')
      else assert.ok(read === 'malformed' || typeof read === 'object')
    }
    fc.assert(fc.property(message, damage, check), RUNS)
  })

  test('with too long a name, for a use nobody knows, or about a member that is none, is refused', () => {
    assert.equal(
      typeof decodeMessage(encodeMessage({ kind: 'open', segmentBytes: 1, name: 'n'.repeat(96) })),
      'object',
    )
    assert.equal(
      decodeMessage(encodeMessage({ kind: 'open', segmentBytes: 1, name: 'n'.repeat(97) })),
      'malformed',
    )
    const segment = encodeMessage({ kind: 'segment', index: 1, use: 'rings', bytes: 1 })
    segment[16] = 2
    const group = encodeMessage({ kind: 'group', member: 3, processId: 1, members: [1, 2] })
    assert.equal(decodeMessage(group), 'malformed', 'a member that is not one')
    assert.equal(decodeMessage(group.subarray(0, 24)), 'malformed', 'no members')
    assert.equal(decodeMessage(segment), 'malformed')
  })

  test('cut short, or with something behind it, is refused', () => {
    const check = (sent: LinkMessage, cut: number): void => {
      const bytes = encodeMessage(sent)
      if (sent.kind !== 'open' && sent.kind !== 'join') {
        assert.equal(decodeMessage(Buffer.concat([bytes, Buffer.alloc(1 + (cut % 200))])), 'malformed')
      }
      assert.equal(decodeMessage(bytes.subarray(0, cut % 24)), 'malformed')
    }
    fc.assert(fc.property(message, fc.nat(), check), RUNS)
  })

  test('of random bytes is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        assert.equal(decodeMessage(bytes), 'malformed')
      }),
      RUNS,
    )
  })
})

describe('a request in a slot', () => {
  const port = fc.nat({ max: 65_535 })
  const address: fc.Arbitrary<SocketAddress> = fc.oneof(
    record({ family: fc.constant('IPv4'), address: fc.ipV4(), port }),
    record({ family: fc.constant('IPv6'), address: fc.ipV6(), port }),
  )
  const request: fc.Arbitrary<SlotRequest> = record({
    listener: fc.string({ maxLength: 100, unit: 'grapheme-ascii' }),
    remote: address,
    local: address,
    callerData: fc.uint8Array({ maxLength: MAX_CONNECT_DATA_BYTES }),
  })

  test('is read as it was written, and nothing is written beside it', () => {
    const check = (sent: SlotRequest, offset: number): void => {
      const bytes = new Uint8Array(1024).fill(0xee)
      const length = writeRequest(bytes, offset, sent)
      assert.deepEqual(readRequest(bytes.subarray(offset, offset + length)), sent)
      assert.ok(bytes.subarray(0, offset).every((byte) => byte === 0xee))
      assert.ok(bytes.subarray(offset + length).every((byte) => byte === 0xee))
    }
    fc.assert(fc.property(request, fc.nat({ max: 100 }), check), RUNS)
  })

  test('damaged, cut or too long is refused or read as another proper request', () => {
    const check = (sent: SlotRequest, where: { at: number; flip: number }, cut: number): void => {
      const bytes = new Uint8Array(1024)
      const length = writeRequest(bytes, 0, sent)
      const { copy } = damaged(bytes.subarray(0, length), where)
      for (const read of [
        readRequest(copy),
        readRequest(bytes.subarray(0, cut % length)),
        readRequest(bytes),
      ]) {
        if (read !== undefined) assertProper(read)
      }
      // All of it up to the ports must be there.
      const fixed = length - sent.callerData.length
      assert.equal(readRequest(bytes.subarray(0, cut % fixed)), undefined)
    }
    fc.assert(fc.property(request, damage, fc.nat(), check), RUNS)
  })

  test('of random bytes is refused', () => {
    const check = (bytes: Uint8Array): void => {
      const read = readRequest(bytes)
      if (read !== undefined) assertProper(read)
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 700 }), check), RUNS)
  })

  function assertProper(read: SlotRequest): void {
    assert.ok(read.callerData.length <= MAX_CONNECT_DATA_BYTES)
    for (const { family, address: text, port: number } of [read.remote, read.local]) {
      assert.ok(text.includes(':') === (family === 'IPv6'))
      assert.ok(number >= 0 && number <= 65_535)
    }
  }
})

describe('a hello', () => {
  const hello = record({ regionBytes: u32, maxRingBytes: u32, features: u32 })

  test('WSD-NEG-4 is read as it was written, and fits into connect data', () => {
    const check = (sent: { regionBytes: number; maxRingBytes: number; features: number }): void => {
      const bytes = encodeHello(sent)
      assert.ok(bytes.length <= MAX_CONNECT_DATA_BYTES)
      assert.deepEqual(readHello(bytes, sent.regionBytes), sent)
      const inside = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3)
      assert.deepEqual(readHello(inside, sent.regionBytes), sent)
      assert.equal(readHello(bytes, sent.regionBytes + 1), WSA.WSAEFAULT)
    }
    fc.assert(fc.property(hello, check), RUNS)
  })

  test('WSD-NEG-13 damaged in its magic or version is known for it; cut or longer it is malformed', () => {
    const check = (
      sent: { regionBytes: number; maxRingBytes: number; features: number },
      where: { at: number; flip: number },
    ): void => {
      const bytes = encodeHello(sent)
      const { copy, place } = damaged(bytes, where)
      const read = readHello(copy, sent.regionBytes)
      if (place < 4 || (place >= 8 && place < 12)) assert.equal(read, WSA.WSAEFAULT)
      else if (place < 6) assert.equal(read, WSA.WSAVERNOTSUPPORTED)
      else assert.equal(typeof read, 'object')
      const others = [
        bytes.subarray(0, where.at % bytes.length),
        Buffer.concat([bytes, bytes.subarray(0, where.flip)]),
      ]
      for (const other of others) assert.equal(readHello(other, sent.regionBytes), WSA.WSAEFAULT)
    }
    fc.assert(fc.property(hello, damage, check), RUNS)
  })

  test('WSD-NEG-13 of another version may be of any length', () => {
    const check = (version: number, more: Uint8Array): void => {
      const bytes = Buffer.concat([
        encodeHello({ regionBytes: 0, maxRingBytes: 0, features: 0 }).subarray(0, 6),
        more,
      ])
      bytes.writeUInt16LE(version, 4)
      assert.equal(readHello(bytes, 0), version === SESSION_VERSION ? WSA.WSAEFAULT : WSA.WSAVERNOTSUPPORTED)
    }
    fc.assert(fc.property(fc.nat({ max: 0xffff }), fc.uint8Array({ maxLength: 13 }), check), RUNS)
  })

  test('of random bytes is malformed', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.equal(readHello(bytes, 4096), WSA.WSAEFAULT)
      }),
      RUNS,
    )
  })
})
