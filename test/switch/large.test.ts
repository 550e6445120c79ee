import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA } from '../../src/spi/index.ts'
import type { Status } from '../../src/spi/index.ts'
import { Pattern } from '../support/pattern.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { Session } from '../../src/switch/session/session.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { settle } from './fake-clock.ts'
import { FakeSocket } from './fake-socket.ts'
import { LIMITS, OUR_HELLO } from './host.ts'
import { sessionPair } from './session-pair.ts'
import type { PairOptions, SessionPair } from './session-pair.ts'

const THRESHOLD = 4096
const MAX_RDMA = 100_000
const RDMA: PairOptions = { limits: { rdma: { maxBytes: MAX_RDMA, thresholdBytes: THRESHOLD } } }
const SLOW: PairOptions = { ...RDMA, slowReads: true }

/** A large send of `one`, and how it ended. */
function sendLarge(
  { one }: SessionPair,
  bytes: Uint8Array,
): { readonly status: number; readonly ends: number[] } {
  const ends: number[] = []
  const status = one.session.sendLarge(bytes, (code) => {
    ends.push(code)
  })
  return { status, ends }
}

/** Reads until nothing more comes. */
async function readAll({ other }: SessionPair): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (let idle = 0; idle < 4; idle++) {
    const piece = other.readAll()
    pieces.push(piece)
    if (piece.length > 0) idle = -1
    await settle()
  }
  return Buffer.concat(pieces)
}

const bytesOf = (length: number): Buffer => Buffer.from(new Pattern(7).slice(0, length))

for (const [how, options] of [
  ['reads that are done at once', RDMA],
  ['reads that take their time', SLOW],
] as const) {
  describe(`a large send, over ${how}`, () => {
    test('WSD-LARGE-2 WSD-LARGE-R1 WSD-LARGE-R2 WSD-LARGE-R3 WSD-LARGE-R4 WSD-LARGE-R5 WSD-MEM-7 is exposed, announced, read by the peer, and ends when all is read', async () => {
      const pair = await sessionPair(options)
      const content = bytesOf(50_000)
      pair.journal.clear()
      const { status, ends } = sendLarge(pair, content)
      assert.equal(status, 0)
      assert.equal(pair.journal.labels()[0], 'san.registerRdmaMemory')
      assert.deepEqual(pair.journal.all('san.registerRdmaMemory')[0]?.args.slice(1), ['read'])
      await settle()
      assert.deepEqual(ends, [])
      assert.ok(pair.other.readableCalls > 0)
      assert.deepEqual(await readAll(pair), content)
      assert.deepEqual(ends, [0])
      assert.equal(pair.journal.count('san.registerMemory'), 0)
      assert.equal(pair.journal.count('san.deregisterRdmaMemory'), 1)
      assert.deepEqual([pair.one.session.bytesWritten, pair.other.session.bytesRead], [50_000, 50_000])
    })

    test('WSD-LARGE-5E WSD-XFER-18 scenario 16: keeps its place between what is written before and after', async () => {
      const pair = await sessionPair(options)
      const content = bytesOf(30_000)
      pair.one.say('before ')
      const { ends } = sendLarge(pair, content)
      pair.one.say(' after')
      const heard = await readAll(pair)
      assert.equal(heard.subarray(0, 7).toString(), 'before ')
      assert.deepEqual(heard.subarray(7, 30_007), content)
      assert.equal(heard.subarray(30_007).toString(), ' after')
      assert.deepEqual(ends, [0])
    })

    test('WSD-LARGE-3E WSD-XFER-12 scenario 15: of the most that can be exposed is read in calls of at most so much', async () => {
      const pair = await sessionPair(options)
      const content = bytesOf(MAX_RDMA)
      sendLarge(pair, content)
      const read = Buffer.alloc(MAX_RDMA)
      let at = 0
      while (at < MAX_RDMA) {
        const length = pair.other.session.readInto(read, at, Math.min(3333, MAX_RDMA - at))
        if (length === 0) await settle()
        at += length
      }
      assert.deepEqual(read, content)
      await settle()
      assert.equal(sendLarge(pair, bytesOf(MAX_RDMA + 1)).status, WSA.WSAENOBUFS)
    })

    test('WSD-LARGE-6E waits until the application reads, and what is written behind it waits, too', async () => {
      const pair = await sessionPair(options)
      const { ends } = sendLarge(pair, bytesOf(20_000))
      pair.one.say('x')
      await settle(20)
      assert.deepEqual(ends, [])
      assert.equal((await readAll(pair)).length, 20_001)
      assert.deepEqual(ends, [0])
    })

    test('is followed by the end of the stream', async () => {
      const pair = await sessionPair(options)
      sendLarge(pair, bytesOf(10_000))
      pair.one.session.shutdown()
      await settle()
      assert.equal(pair.other.session.readEnd(), 'more')
      assert.equal((await readAll(pair)).length, 10_000)
      assert.equal(pair.other.session.readEnd(), 'end')
    })

    test('WSD-LARGE-4E WSD-BLOCK-6 that is cut off by a close here ends, and the peer reads a reset, never an end', async () => {
      for (const how of ['close', 'reset'] as const) {
        const pair = await sessionPair(options)
        const { ends } = sendLarge(pair, bytesOf(10_000))
        pair.one.session[how]()
        await settle()
        assert.deepEqual(ends, [WSA.WSA_OPERATION_ABORTED])
        assert.equal(pair.other.session.aborted, true)
        await readAll(pair)
        assert.equal(pair.other.session.readEnd(), 'reset')
      }
    })

    test('whose peer closes without reading ends with WSAECONNRESET', async () => {
      const pair = await sessionPair(options)
      const { ends } = sendLarge(pair, bytesOf(10_000))
      pair.other.session.close()
      await settle()
      assert.deepEqual(ends, [WSA.WSAECONNRESET])
      assert.equal(pair.one.session.readEnd(), 'reset')
    })

    test('whose reader closes half way leaves nothing exposed and nothing pending', async () => {
      const pair = await sessionPair(options)
      const { ends } = sendLarge(pair, bytesOf(10_000))
      await settle()
      pair.other.session.read(100)
      pair.other.session.reset()
      await settle()
      assert.deepEqual(ends, [WSA.WSAECONNRESET])
    })
  })
}

describe('a large send is not made', () => {
  test('WSD-XFER-13 of the threshold or less', async () => {
    const pair = await sessionPair(RDMA)
    assert.equal(pair.one.session.largeThresholdBytes, THRESHOLD)
    for (const length of [0, 1, THRESHOLD - 1, THRESHOLD]) {
      assert.equal(sendLarge(pair, bytesOf(length)).status, WSA.WSAEOPNOTSUPP)
    }
    assert.equal(sendLarge(pair, bytesOf(THRESHOLD + 1)).status, 0)
    assert.equal((await readAll(pair)).length, THRESHOLD + 1)
  })

  test('WSD-LARGE-3 to a peer that has not said in its hello that it reads', async () => {
    const pair = await sessionPair({ ...RDMA, reads: [true, false] })
    assert.equal(sendLarge(pair, bytesOf(10_000)).status, WSA.WSAEOPNOTSUPP)
    assert.equal(pair.one.session.largeThresholdBytes, Infinity)
    assert.equal(pair.journal.count('san.registerRdmaMemory'), 0)
  })

  test('WSD-LARGE-1E scenario 17: when its memory cannot be registered: WSAENOBUFS, nothing is lost, and a write carries it', async () => {
    const pair = await sessionPair(RDMA)
    for (let i = 0; i < 256; i++)
      assert.ok(pair.one.session.socket.registerRdmaMemory?.(new Uint8Array(8), 'read').ok)
    pair.one.say('a')
    const content = bytesOf(10_000)
    const { status, ends } = sendLarge(pair, content)
    assert.equal(status, WSA.WSAENOBUFS)
    assert.equal(pair.one.session.write([content]), 10_000)
    assert.deepEqual(await readAll(pair), Buffer.concat([Buffer.from('a'), content]))
    assert.deepEqual(ends, [])
  })

  test('while another one is under way', async () => {
    const pair = await sessionPair(RDMA)
    sendLarge(pair, bytesOf(10_000))
    assert.equal(sendLarge(pair, bytesOf(10_000)).status, WSA.WSAEALREADY)
    await readAll(pair)
    assert.equal(sendLarge(pair, bytesOf(10_000)).status, 0)
    await readAll(pair)
  })

  test('where no write could be', async () => {
    const pair = await sessionPair(RDMA)
    pair.one.session.shutdown()
    assert.equal(sendLarge(pair, bytesOf(10_000)).status, WSA.WSAESHUTDOWN)
    pair.other.session.reset()
    assert.equal(pair.one.session.readEnd(), 'reset')
    assert.equal(sendLarge(pair, bytesOf(10_000)).status, WSA.WSAECONNRESET)
  })
})

describe('a peer that lies about a large block', () => {
  const lies: readonly [what: string, words: Readonly<Record<number, number>>][] = [
    ['that is not the next', { [layout.BLOCK]: 2, [layout.BLOCK_BYTES]: 5, [layout.BLOCK_DESCRIPTOR]: 1 }],
    ['without bytes', { [layout.BLOCK]: 1, [layout.BLOCK_DESCRIPTOR]: 1 }],
    ['that it has not exposed', { [layout.BLOCK]: 1, [layout.BLOCK_BYTES]: 5, [layout.BLOCK_DESCRIPTOR]: 9 }],
  ]
  for (const [what, words] of lies) {
    test(`${what} ends its own connection`, () => {
      const rdmaRead = (descriptor: number): Status => (descriptor === 1 ? 0 : WSA.WSAEFAULT)
      const socket = Object.assign(new FakeSocket(LIMITS), { rdmaRead })
      const limits = { ...LIMITS, rdma: { maxBytes: MAX_RDMA, thresholdBytes: THRESHOLD } }
      const memory = { send: socket.send, receive: socket.receiveRegion }
      const session = new Session({ socket, memory, limits, peerHello: OUR_HELLO, role: 'initiator' })
      for (const [word, value] of Object.entries(words)) socket.scribble(Number(word), value)
      socket.scribble(layout.NEWS, 1)
      assert.equal(session.readInto(new Uint8Array(10), 0, 10), 0)
      assert.equal(session.readEnd(), 'reset')
      session.close()
    })
  }

  test('where our provider reads none ends its own connection', () => {
    const socket = new FakeSocket(LIMITS)
    const memory = { send: socket.send, receive: socket.receiveRegion }
    const session = new Session({ socket, memory, limits: LIMITS, peerHello: OUR_HELLO, role: 'initiator' })
    socket.scribble(layout.BLOCK, 1)
    socket.scribble(layout.BLOCK_BYTES, 100)
    socket.scribble(layout.NEWS, 1)
    assert.equal(session.available, 0)
    assert.equal(session.readEnd(), 'reset')
  })

  test('before what was read is never met', () => {
    const socket = new FakeSocket(LIMITS)
    const limits = { ...LIMITS, rdma: { maxBytes: MAX_RDMA, thresholdBytes: THRESHOLD } }
    const memory = { send: socket.send, receive: socket.receiveRegion }
    const session = new Session({ socket, memory, limits, peerHello: OUR_HELLO, role: 'initiator' })
    socket.scribble(layout.PRODUCED, 10)
    assert.equal(session.read(10)?.length, 10)
    socket.scribble(layout.BLOCK_AT, 3)
    socket.scribble(layout.BLOCK_BYTES, 100)
    socket.scribble(layout.BLOCK, 1)
    socket.scribble(layout.NEWS, 1)
    socket.scribble(layout.PRODUCED, 30)
    assert.equal(session.read(100)?.length, 20)
    assert.equal(session.available, 0)
    assert.equal(session.readEnd(), 'more')
  })
})

test('WSD-CACHE-5 RACE-38 scenario 25: memory that is given away is evicted from every provider before the call returns', () => {
  const providers = [loopback(), loopback()]
  const theSwitch = createSwitch({ san: providers })
  const memory = new Uint8Array(100)
  for (const { pinned } of providers) pinned.pin(memory)
  theSwitch.evict(memory)
  for (const provider of providers) assert.equal(provider.evict(memory), WSA.WSAEINVAL)
  theSwitch.close()
})
