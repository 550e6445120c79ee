import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA, success } from '../../src/spi/index.ts'
import type { Result } from '../../src/spi/index.ts'
import { FEATURE_MOVE } from '../../src/switch/session/hello.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { Session } from '../../src/switch/session/session.ts'
import { FakeSocket, OUTSIDE, ending, guarded, isIntact } from './fake-socket.ts'
import { LIMITS, OUR_HELLO } from './host.ts'
import { End } from './session-end.ts'

const INLINE_RING_BYTES = 1024
const SIZE = 16_384

interface Victim {
  readonly socket: FakeSocket
  readonly session: Session
  readonly end: End
}

/** A session whose peer is the test. */
function victim(maxRingBytes = LIMITS.maxMemoryBytes): Victim {
  const socket = new FakeSocket(LIMITS)
  const limits = { ...LIMITS, duplicates: true }
  const session = new Session({
    socket,
    memory: { send: socket.send, receive: socket.receiveRegion },
    limits,
    peerHello: { ...OUR_HELLO, maxRingBytes, features: FEATURE_MOVE },
    role: 'initiator',
  })
  return { socket, session, end: new End(session) }
}

/** Announces a ring; what is not said is as it should be. */
function announce(
  socket: FakeSocket,
  ring: { generation?: number; descriptor?: number; bytes?: number; start?: number },
): void {
  socket.scribble(layout.RING_DESCRIPTOR, ring.descriptor ?? 7)
  socket.scribble(layout.RING_BYTES, ring.bytes ?? SIZE)
  socket.scribble(layout.RING_START, ring.start ?? 0)
  socket.scribble(layout.RING_GENERATION, ring.generation ?? 1)
}

/** A further region of the peer, full of `x`. */
function offerRing(socket: FakeSocket, descriptor = 7, bytes = SIZE): void {
  const region = guarded(bytes)
  region.bytes.fill(120, region.offset, region.offset + bytes)
  socket.peerRegions.set(descriptor, region)
}

/** Nonsense was seen: the connection, and nothing else, is over. */
function assertReset({ socket, session, end }: Victim): void {
  assert.equal(end.readAll().length, 0)
  assert.equal(session.readEnd(), 'reset')
  assert.equal(session.state, 'reset')
  assert.equal(session.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
  assert.ok((socket.said(layout.FLAGS) & layout.FLAG_ABORT) !== 0, 'the peer is not told')
  assert.ok(isIntact(socket.send))
  session.close()
  assert.equal(socket.isClosed, true)
}

describe('a hostile peer that says it has produced', () => {
  for (const produced of [INLINE_RING_BYTES + 1, 5000, -1, 0x7fff_ffff, -0x8000_0000]) {
    test(`${produced} bytes at once resets the connection`, () => {
      const target = victim()
      target.socket.scribble(layout.PRODUCED, produced)
      target.socket.complete(0)
      assertReset(target)
    })
  }

  test('less than before resets the connection', () => {
    const target = victim()
    target.socket.scribble(layout.PRODUCED, 10)
    assert.equal(target.end.readAll().length, 10)
    target.socket.scribble(layout.PRODUCED, 9)
    assertReset(target)
  })

  test('a full ring is honest', () => {
    const { socket, end } = victim()
    socket.scribble(layout.PRODUCED, INLINE_RING_BYTES)
    assert.equal(end.readAll().length, INLINE_RING_BYTES)
    assert.equal(end.session.readEnd(), 'more')
  })
})

describe('a hostile peer that says it has consumed', () => {
  for (const consumed of [101, -1, 0x7fff_ffff, -0x8000_0000]) {
    test(`${consumed} of 100 bytes resets the connection at the next write`, () => {
      const target = victim()
      assert.equal(target.session.write([Buffer.alloc(100)]), 100)
      target.socket.scribble(layout.CONSUMED, consumed)
      assert.equal(target.session.write([Buffer.alloc(100)]), -WSA.WSAECONNRESET)
      assertReset(target)
    })
  }

  test('less than before resets the connection at the next write', () => {
    const target = victim()
    target.session.write([Buffer.alloc(100)])
    target.socket.scribble(layout.CONSUMED, 50)
    assert.equal(target.session.write([Buffer.alloc(1)]), 1)
    target.socket.scribble(layout.CONSUMED, 49)
    assert.equal(target.session.write([Buffer.alloc(1)]), -WSA.WSAECONNRESET)
    assertReset(target)
  })

  test('nonsense while the writer waits wakes it to a reset', () => {
    const target = victim(0)
    assert.equal(target.session.write([Buffer.alloc(2000)]), INLINE_RING_BYTES)
    target.socket.scribble(layout.CONSUMED, 5000)
    target.socket.complete(0)
    assert.equal(target.end.writableCalls, 1)
    assert.equal(target.session.write([Buffer.alloc(1)]), -WSA.WSAECONNRESET)
    assertReset(target)
  })

  test('nonsense between two looks at its cursor, with bytes not published yet, resets the connection', () => {
    const target = victim(0)
    target.session.write([Buffer.alloc(100)])
    const chunks = watchedChunks([Buffer.alloc(900), Buffer.alloc(900)], () => {
      target.socket.scribble(layout.CONSUMED, 5000)
    })
    assert.equal(
      ending(() => target.session.write(chunks)),
      -WSA.WSAECONNRESET,
    )
    assertReset(target)
  })
})

describe('a hostile peer that says it has adopted a ring', () => {
  /** A session that has moved to a ring of 16 KiB with 1 KiB unread in the one before, and has filled it. */
  function moved(): Victim {
    const target = victim()
    target.session.write([Buffer.alloc(INLINE_RING_BYTES)])
    assert.equal(target.session.write([Buffer.alloc(1)]), 1)
    assert.equal(target.socket.registered[0]?.length, SIZE)
    assert.equal(target.session.write([Buffer.alloc(SIZE - 1)]), SIZE - 1)
    return target
  }

  test('without having read the one before gets no more than a larger ring, and no write goes on for ever', () => {
    const target = moved()
    target.socket.scribble(layout.ADOPTED_GENERATION, 1)
    const taken = ending(() => target.session.write([Buffer.alloc(100)]))
    assert.ok([100, 0, -WSA.WSAECONNRESET].includes(taken), `write answers ${taken}`)
    assert.ok(isIntact(target.socket.send) && target.socket.registered.every(isIntact))
  })

  test('an honest peer may adopt before its credit is seen: the write waits and goes on', () => {
    const target = moved()
    target.socket.scribble(layout.ADOPTED_GENERATION, 1)
    target.socket.scribble(layout.CONSUMED, INLINE_RING_BYTES)
    assert.equal(target.session.write([Buffer.alloc(100)]), 100)
  })

  test('that was never announced is not believed', () => {
    const target = moved()
    target.socket.scribble(layout.ADOPTED_GENERATION, 9)
    assert.equal(target.session.write([Buffer.alloc(100)]), 0)
    assert.equal(target.socket.registered.length, 1)
  })
})

describe('a hostile peer that announces a ring', () => {
  for (const [what, ring] of [
    ['of no bytes', { bytes: 0 }],
    ['of a negative size', { bytes: -SIZE }],
    ['of the smallest number', { bytes: -0x8000_0000 }],
    ['whose size is no power of two', { bytes: 10_000 }],
    ['larger than it said it would', { bytes: LIMITS.maxMemoryBytes * 2 }],
    ['that is not registered', { descriptor: 99 }],
    ['of another size than registered', { bytes: SIZE / 2 }],
    ['that begins beyond the one we read', { start: INLINE_RING_BYTES + 1 }],
    ['that began long ago', { start: -1 }],
  ] as const) {
    test(`${what} resets the connection`, () => {
      const target = victim()
      offerRing(target.socket)
      announce(target.socket, ring)
      target.socket.scribble(layout.PRODUCED, 10)
      assertReset(target)
      if ('bytes' in ring && ring.bytes !== SIZE / 2) assert.ok(!target.socket.calls.includes('peerMemory'))
    })
  }

  test('and produces more than two rings hold resets the connection before anything is read', () => {
    const target = victim()
    offerRing(target.socket)
    announce(target.socket, { start: 10 })
    target.socket.scribble(layout.PRODUCED, 0x7fff_ffff)
    assert.equal(target.session.available, 0)
    assertReset(target)
  })

  test('properly is read there, and only there', () => {
    const { socket, end } = victim()
    offerRing(socket)
    announce(socket, {})
    socket.scribble(layout.PRODUCED, SIZE)
    const bytes = end.readAll()
    assert.equal(bytes.length, SIZE)
    assert.ok(bytes.every((byte) => byte === 120))
    assert.equal(socket.said(layout.ADOPTED_GENERATION), 1)
  })

  test('and produces more than fits in it resets the connection', () => {
    const target = victim()
    offerRing(target.socket)
    announce(target.socket, {})
    target.socket.scribble(layout.PRODUCED, SIZE + 1)
    assert.equal(target.end.readAll().includes(OUTSIDE), false)
    assertReset(target)
  })

  test('without bytes in it is left alone', () => {
    const { socket, end } = victim()
    announce(socket, { bytes: 3 })
    assert.equal(end.readAll().length, 0)
    assert.equal(end.session.readEnd(), 'more')
  })

  test('over and over is followed at most a few times in one read', () => {
    const { socket, end } = victim()
    offerRing(socket)
    announce(socket, {})
    socket.scribble(layout.PRODUCED, 10)
    let generation = 1
    socket.onCall = (name) => {
      if (name === 'peerMemory') socket.scribble(layout.RING_GENERATION, (generation += 1))
    }
    ending(() => end.session.read(100))
    assert.ok(socket.calls.filter((name) => name === 'peerMemory').length < 10)
  })

  test('that changes while it is read harms nobody', () => {
    const { socket, end } = victim()
    offerRing(socket)
    announce(socket, {})
    socket.scribble(layout.PRODUCED, 10)
    socket.onCall = (name) => {
      if (name === 'peerMemory') socket.scribble(layout.PRODUCED, -5)
    }
    assert.ok((end.session.read(100)?.length ?? 0) <= 10)
    assert.equal(end.session.readEnd(), 'reset')
  })

  test('is told of the adoption only together with the credit for what came before it', () => {
    const { socket, end } = victim()
    offerRing(socket)
    announce(socket, { start: 10 })
    socket.scribble(layout.PRODUCED, 30)
    const early: number[] = []
    socket.onCall = () => {
      const credit = socket.said(layout.CONSUMED)
      if (socket.said(layout.ADOPTED_GENERATION) === 1 && credit < 10) early.push(credit)
    }
    assert.equal(end.readAll().length, 30)
    assert.deepEqual(early, [])
  })

  test('may do so at each wrap of the generation', () => {
    const { socket, end } = victim()
    for (const [i, generation] of [0x7fff_ffff, -0x8000_0000, -1, 0, 1].entries()) {
      offerRing(socket, i)
      announce(socket, { generation, descriptor: i, start: i * 10 })
      socket.scribble(layout.PRODUCED, (i + 1) * 10)
      assert.equal(end.readAll().length, 10)
      assert.equal(socket.said(layout.ADOPTED_GENERATION), generation)
    }
  })
})

describe('a hostile peer that raises flags', () => {
  test('nobody knows is not heard', () => {
    const { socket, session, end } = victim()
    socket.scribble(layout.FLAGS, ~31)
    socket.complete(0)
    assert.deepEqual(end.hear(), { text: '', then: 'more' })
    assert.equal(session.write([Buffer.from('x')]), 1)
  })

  test('all at once has reset the connection, after what it published', () => {
    const { socket, end } = victim()
    socket.scribble(layout.PRODUCED, 2)
    socket.scribble(layout.FLAGS, -1)
    socket.complete(0)
    assert.equal(end.readAll().length, 2)
    assert.equal(end.session.readEnd(), 'reset')
  })

  test('and takes them back: an end that was read stays an end', () => {
    const { socket, session, end } = victim()
    socket.scribble(layout.FLAGS, layout.FLAG_END)
    assert.equal(session.readEnd(), 'end')
    socket.scribble(layout.FLAGS, 0)
    socket.scribble(layout.PRODUCED, 100)
    assert.deepEqual(end.hear(), { text: '', then: 'end' })
  })

  test('for a waiting writer without waiting costs one signal a read', () => {
    const { socket, end } = victim()
    socket.scribble(layout.FLAGS, layout.FLAG_BLOCKED)
    for (let produced = 1; produced <= 500; produced++) {
      socket.scribble(layout.PRODUCED, produced)
      socket.calls.length = 0
      assert.equal(end.session.read(10)?.length, 1)
      assert.ok(socket.calls.filter((name) => name === 'signal').length <= 1)
    }
  })
})

describe('a hostile peer of whom a hand-over is', () => {
  const FAILED = { ok: false, error: WSA.WSAECONNRESET }

  /** The peer says `flags`, beside that it is there. */
  function say({ socket }: Victim, flags: number): void {
    socket.scribble(layout.FLAGS, layout.FLAG_OPEN | flags)
    socket.complete(0)
  }

  /** Wants to move to another process, which the provider can do. */
  function suspend({ socket, session }: Victim): Result<Uint8Array>[] {
    const results: Result<Uint8Array>[] = []
    socket.duplicateAnswer = success(new Uint8Array(4))
    const status = session.suspend(1, (result) => results.push(result))
    assert.equal(status, 0)
    return results
  }

  test('asked, and who has not taken what it was sent: it fails, and the owner hears of the reset', () => {
    const target = victim()
    target.end.say('unread')
    const results = suspend(target)
    say(target, layout.FLAG_SUSPENDED)
    assert.deepEqual([results, target.end.readableCalls], [[FAILED], 1])
    assertReset(target)
  })

  test('asked, and who says nonsense then: it fails, and the owner hears of the reset', () => {
    const target = victim()
    const results = suspend(target)
    target.socket.scribble(layout.PRODUCED, -1)
    say(target, layout.FLAG_SUSPENDED)
    assert.deepEqual([results, target.end.readableCalls], [[FAILED], 1])
    assertReset(target)
  })

  test('the wish, and who says nonsense then: the owner hears of the reset, and nobody stands still', () => {
    const target = victim()
    target.socket.scribble(layout.PRODUCED, -1)
    target.socket.scribble(layout.NEWS, 1)
    say(target, layout.FLAG_SUSPEND)
    assert.deepEqual([target.end.readableCalls, target.session.isMoving], [1, false])
    assertReset(target)
  })

  test('the wish, too, and who says nonsense when ours is withdrawn: the owner hears of the reset when it signals', () => {
    const target = victim()
    suspend(target)
    say(target, layout.FLAG_SUSPEND)
    target.socket.scribble(layout.PRODUCED, -1)
    assert.equal(target.session.withdraw(), true)
    assert.equal(target.end.readableCalls, 0)
    target.socket.complete(WSA.WSAECONNRESET)
    assert.equal(target.end.readableCalls, 1)
    assertReset(target)
  })

  test('the wish, and who goes when the memory where we stood still is gone: the owner hears of the reset', () => {
    const target = victim()
    const { socket, session, end } = target
    socket.scribble(layout.NEWS, 1)
    say(target, layout.FLAG_SUSPEND)
    assert.equal(session.isMoving, true)
    end.readableCalls = 0
    const before = [socket.send.bytes, socket.receiveRegion.bytes]
    socket.renew()
    for (const { buffer } of before) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    assert.deepEqual(
      [session.available, session.write([Buffer.from('x')]), session.readEnd()],
      [0, 0, 'more'],
    )
    socket.complete(WSA.WSAECONNRESET)
    assert.deepEqual([end.readableCalls, end.writableCalls], [1, 1])
    assert.equal(session.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
    assert.equal(session.readEnd(), 'reset')
    session.close()
    assert.equal(socket.isClosed, true)
  })

  test('asked, and who has reset the connection: it fails', () => {
    const target = victim()
    const results = suspend(target)
    target.socket.scribble(layout.FLAGS, layout.FLAG_ABORT)
    assert.equal(target.session.readEnd(), 'reset')
    say(target, layout.FLAG_SUSPENDED)
    assert.deepEqual(results, [FAILED])
    assert.equal(target.session.state, 'reset')
  })

  test('asked, where the provider hears nothing any more: it fails', () => {
    const target = victim()
    const results = suspend(target)
    target.socket.receiveAnswer = WSA.WSAENOBUFS
    target.socket.complete(0)
    assert.deepEqual(results, [FAILED])
  })
})

test('a peer that signals after the close is not heard, and nothing is asked of the closed socket', () => {
  const { socket, session, end } = victim()
  session.close()
  const asked = socket.calls.length
  socket.complete(0)
  assert.equal(socket.calls.length, asked)
  assert.equal(end.readableCalls, 0)
})

for (const [what, lose] of [
  [
    'that is gone',
    ({ socket }: Victim) => {
      socket.complete(WSA.WSAECONNRESET)
    },
  ],
  [
    'of which the provider hears nothing any more',
    ({ socket }: Victim) => {
      socket.receiveAnswer = WSA.WSAENOBUFS
      socket.complete(0)
    },
  ],
] as const) {
  test(`a peer ${what}, and that writes on all the same: the stream ends with what there was`, () => {
    const target = victim()
    const { socket, session } = target
    socket.scribble(layout.PRODUCED, 100)
    lose(target)
    assert.equal(session.read(100)?.length, 100)
    assert.equal(session.read(100), undefined)
    // Nobody would tell of it.
    socket.scribble(layout.PRODUCED, 200)
    assert.equal(session.readEnd(), 'reset')
  })
}

test('a peer that signals without end is heard once per signal', () => {
  const { socket, end } = victim()
  for (let i = 0; i < 1000; i++) socket.complete(0)
  assert.equal(end.readableCalls, 1000)
  assert.equal(socket.calls.filter((name) => name === 'receive').length, 1001)
})

/** `chunks`, with `between` run while they are copied: what the peer does meanwhile. */
function watchedChunks(chunks: readonly Uint8Array[], between: () => void): readonly Uint8Array[] {
  let looks = 0
  return new Proxy(chunks, {
    get(target, key, receiver): unknown {
      if (key === '1') looks += 1
      // Before it copies, the writer adds up the lengths.
      if (looks > 1) between()
      return Reflect.get(target, key, receiver)
    },
  })
}
