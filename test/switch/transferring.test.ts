import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { Overlapped, WSA } from '../../src/spi/index.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { settle } from './fake-clock.ts'
import { LIMITS } from './host.ts'
import { sessionPair, watched } from './session-pair.ts'

const INLINE_RING_BYTES = 1024

describe('bytes', () => {
  test('WSD-XFER-14 WSD-XFER-15 arrive whole and in order, whatever pieces they were written in', async () => {
    const { one, other } = await sessionPair()
    for (const text of ['a', 'bc', '', 'def']) one.say(text)
    assert.equal(one.session.write([Buffer.from('gh'), Buffer.alloc(0), Buffer.from('ij')]), 4)
    assert.equal(one.session.write([Buffer.from('--'), Buffer.from('-kl')], 1, 1), 2)
    assert.equal(other.session.available, 12)
    assert.equal(other.session.read(4)?.toString(), 'abcd')
    const into = Buffer.alloc(10, '.')
    assert.equal(other.session.readInto(into, 2, 5), 5)
    assert.equal(into.toString(), '..efghi...')
    assert.deepEqual(other.hear(), { text: 'jkl', then: 'more' })
    assert.deepEqual([one.session.bytesWritten, other.session.bytesRead], [12, 12])
  })

  test('WSD-XFER-4 WSD-SMALL-4 RACE-16 the receive is posted again before the application is told', async () => {
    const { journal, one, other } = await sessionPair()
    journal.clear()
    let posted = 0
    other.onReadable = () => {
      posted = journal.count('san.receive')
    }
    one.say('x')
    await settle()
    assert.equal(other.readableCalls, 1)
    assert.equal(posted, 1)
  })

  test("WSD-XFER-7 WSD-SMALL-5 a write is done when it returns: the buffer is the application's again", async () => {
    const { one, other } = await sessionPair()
    const bytes = Buffer.from('mine')
    assert.equal(one.session.write([bytes]), 4)
    bytes.fill('?')
    assert.deepEqual(other.hear(), { text: 'mine', then: 'more' })
  })

  test('WSD-SMALL-1 WSD-SMALL-2 RACE-18 are copied into the registered region, published, and signalled once per write', async () => {
    const { journal, one } = await sessionPair()
    journal.clear()
    one.session.write([Buffer.from('one '), Buffer.from('write')])
    assert.equal(journal.count('san.signal'), 1)
    assert.equal(journal.labels().at(-1), 'san.signal')
    const ranges = journal.all('san.rdmaWrite').map(({ args }) => args.slice(1, 3))
    assert.deepEqual(ranges, [
      [192, 9],
      [0, 192],
    ])
  })

  test('WSD-SMALL-3 what the application gets is a copy that nobody writes to', async () => {
    const { one, other } = await sessionPair()
    one.say('first')
    const first = other.session.read(100)
    for (let i = 0; i < 500; i++) {
      one.say('later')
      other.readAll()
    }
    assert.equal(first?.toString(), 'first')
  })

  test('WSD-XFER-5 WSD-SMALL-6 scenario 19: a reader that does not read stops the writer at a bounded number of bytes', async () => {
    const { one, other } = await sessionPair()
    const chunk = Buffer.alloc(10_000)
    let sent = 0
    for (let i = 0; i < 1000; i++) sent += one.session.write([chunk])
    const bound = INLINE_RING_BYTES + LIMITS.maxMemoryBytes
    assert.ok(sent >= INLINE_RING_BYTES && sent <= bound, `${sent} bytes`)
    assert.equal(one.session.write([chunk]), 0)
    assert.equal(other.readAll().length, sent)
    await settle()
    assert.ok(one.writableCalls > 0)
    assert.ok(one.session.write([chunk]) > 0)
  })

  test('WSD-XFER-5 credit is signalled only to a writer that waits, and only when it is worth while', async () => {
    const { journal, one, other } = await sessionPair({ limits: { maxMemoryBytes: 0 } })
    const ofReader = (): number => journal.all('san.signal').filter(({ socket }) => socket === 3).length
    one.session.write([Buffer.alloc(INLINE_RING_BYTES)])
    other.session.read(INLINE_RING_BYTES)
    assert.equal(ofReader(), 0)
    assert.equal(one.session.write([Buffer.alloc(INLINE_RING_BYTES + 1)]), INLINE_RING_BYTES)
    other.session.read(INLINE_RING_BYTES / 2 - 1)
    assert.equal(ofReader(), 0)
    other.session.read(1)
    assert.equal(ofReader(), 1)
    await settle()
    assert.ok(one.writableCalls >= 1)
    one.session.write([Buffer.alloc(1)])
    await settle()
    const before = ofReader()
    other.readAll()
    await settle()
    assert.equal(ofReader(), before)
  })

  test('WSD-XFER-18 small and large writes, of one chunk or many, keep their order', async () => {
    const { one, other } = await sessionPair()
    const written: Buffer[] = []
    const read: Buffer[] = []
    for (const [i, sizes] of [[1], [30_000, 1], [1, 2, 3], [70_000], [5, 0, 100_000], [1]].entries()) {
      const chunks = sizes.map((size, j) => Buffer.alloc(size, 16 * i + j))
      let [index, offset] = [0, 0]
      while (index < chunks.length) {
        let taken = one.session.write(chunks, index, offset)
        assert.ok(taken >= 0)
        for (; index < chunks.length && taken >= chunks[index]!.length - offset; index++) {
          taken -= chunks[index]!.length - offset
          offset = 0
        }
        offset += taken
        if (index < chunks.length) read.push(other.readAll(999))
      }
      written.push(...chunks)
    }
    read.push(other.readAll())
    assert.ok(Buffer.concat(written).equals(Buffer.concat(read)))
  })
})

describe('completion', () => {
  test('WSD-CPL-2 RACE-21 an operation that is not silent is announced once, with the switch descriptor', async () => {
    const { journal, one } = await sessionPair()
    journal.clear()
    one.say('x')
    one.say('y')
    await settle()
    const told = journal.all('san^completeOverlappedRequest')
    assert.equal(told.length, 1)
    assert.deepEqual([told[0]?.socket, told[0]?.args.slice(1)], [3, [0, 0]])
  })

  test('WSD-CPL-4 RACE-8 an announcement finds its operation by itself, even for a socket not known yet', () => {
    const table = new UpcallTable()
    const handle = table.createSocketHandle({})
    assert.ok(handle.ok)
    const [mine, others] = [watched(), watched()]
    mine.overlapped.begin()
    mine.overlapped.end(0, 5)
    assert.equal(table.completeOverlappedRequest(handle.value, mine.overlapped, 0, 5), 0)
    assert.deepEqual([mine.ends, others.ends], [[[0, 5]], []])
  })

  test('WSD-CPL-1 WSD-CPL-5 RACE-22 the operation itself says how it went, bytes before status', () => {
    const overlapped = new Overlapped({ silent: true })
    const seen: number[] = []
    let bytes = 0
    Object.defineProperty(overlapped, 'bytes', {
      get: () => bytes,
      set: (value: number) => {
        bytes = value
        seen.push(overlapped.status)
      },
    })
    overlapped.begin()
    assert.equal(overlapped.pending, true)
    overlapped.end(WSA.WSAECONNRESET, 0)
    assert.deepEqual(seen, [0, WSA.WSA_IO_PENDING])
    assert.deepEqual(
      [overlapped.pending, overlapped.status, overlapped.silent],
      [false, WSA.WSAECONNRESET, true],
    )
  })

  test('WSD-CPL-2 an operation that has been posted again does not end by the announcement of the time before', () => {
    const table = new UpcallTable()
    const { overlapped, ends } = watched()
    const handle = table.createSocketHandle({})
    assert.ok(handle.ok)
    overlapped.begin()
    assert.equal(table.completeOverlappedRequest(handle.value, overlapped, 0, 0), WSA.WSAEINVAL)
    overlapped.end(0, 3)
    assert.equal(table.completeOverlappedRequest(handle.value, overlapped, 0, 3), 0)
    assert.deepEqual(ends, [[0, 3]])
  })

  test('WSD-COMP-4 the descriptor of another switch means nothing', () => {
    const [one, other] = [new UpcallTable(), new UpcallTable()]
    const handle = one.createSocketHandle({})
    assert.ok(handle.ok)
    assert.equal(other.closeSocketHandle(handle.value), WSA.WSAENOTSOCK)
    assert.deepEqual([one.open, other.open], [1, 0])
    assert.equal(one.closeSocketHandle(handle.value), 0)
  })

  test('WSD-CPL-7 RACE-8 an upcall with a descriptor that is closed, or never was, tells nobody', () => {
    const table = new UpcallTable()
    const handle = table.createSocketHandle({})
    assert.ok(handle.ok)
    assert.equal(table.closeSocketHandle(handle.value), 0)
    assert.equal(table.closeSocketHandle(handle.value), WSA.WSAENOTSOCK)
    const { overlapped, ends } = watched()
    assert.equal(table.completeOverlappedRequest(handle.value, overlapped, 0, 0), WSA.WSAEINVAL)
    assert.equal(table.querySocketHandleContext(handle.value).ok, false)
    assert.deepEqual(ends, [])
    assert.equal(table.open, 0)
  })

  test('WSD-CPL-11 RACE-37 a receive may be posted from inside the announcement of the one before', async () => {
    const { journal, one, other } = await sessionPair()
    let inside = false
    journal.after('san.receive', () => {
      inside = journal.all('san^completeOverlappedRequest').at(-1)?.returned === false
    })
    one.say('x')
    await settle()
    assert.equal(inside, true)
    one.say('y')
    await settle()
    assert.equal(other.readableCalls, 2)
  })
})

describe('what the user of a session is told', () => {
  test('WSD-SYNC-3 bytes, the end and a reset are each told, in a turn of their own', async () => {
    for (const act of ['write', 'shutdown', 'close', 'reset'] as const) {
      const { one, other } = await sessionPair()
      if (act === 'write') one.say('x')
      else one.session[act]()
      const before = other.readableCalls
      await settle()
      assert.deepEqual([before, other.readableCalls >= 1], [0, true], act)
    }
  })

  test('WSD-SYNC-3 a writer that waits is told when its peer goes away', async () => {
    for (const [how, code] of [
      ['reset', WSA.WSAECONNRESET],
      ['close', WSA.WSAECONNRESET],
    ] as const) {
      const { one, other } = await sessionPair({ limits: { maxMemoryBytes: 0 } })
      assert.equal(one.session.write([Buffer.alloc(2000)]), INLINE_RING_BYTES)
      other.session[how]()
      await settle()
      assert.equal(one.writableCalls >= 1, true)
      assert.equal(one.session.write([Buffer.alloc(1)]), -code)
    }
  })

  test('WSD-SYNC-3 a writer that waits hears nothing while there is no room', async () => {
    const { one, other } = await sessionPair({ limits: { maxMemoryBytes: 0 } })
    assert.equal(one.session.write([Buffer.alloc(2000)]), INLINE_RING_BYTES)
    other.say('something else')
    await settle()
    assert.deepEqual([one.readableCalls, one.writableCalls], [1, 0])
  })

  test('WSD-SYNC-3 a writer that does not wait is told of no room', async () => {
    const { one, other } = await sessionPair()
    one.say('all of it fits')
    other.say('something else')
    await settle()
    assert.deepEqual([one.readableCalls, one.writableCalls], [1, 0])
  })

  test('WSD-SYNC-3 a writer that waits after it has read the end is told of room', async () => {
    const { one, other } = await sessionPair({ limits: { maxMemoryBytes: 0 } })
    other.session.shutdown()
    assert.equal(one.session.readEnd(), 'end')
    assert.equal(one.session.write([Buffer.alloc(2000)]), INLINE_RING_BYTES)
    other.readAll()
    await settle()
    assert.ok(one.writableCalls >= 1)
  })
})

describe('a peer that has closed', () => {
  test('takes one more write, as the kernel does, and none after it', async () => {
    const { one, other } = await sessionPair()
    other.session.close()
    await settle()
    assert.equal(one.session.write([Buffer.from('into'), Buffer.from('nothing')]), 11)
    assert.equal(one.session.write([Buffer.from('again')]), -WSA.WSAESHUTDOWN)
    assert.equal(one.session.bytesWritten, 11)
  })

  test('takes no write larger than a send buffer', async () => {
    const { one, other } = await sessionPair()
    other.session.close()
    assert.equal(one.session.write([Buffer.alloc(LIMITS.maxMemoryBytes + 1)]), -WSA.WSAESHUTDOWN)
  })

  test('with bytes unread, has reset the connection', async () => {
    const { one, other } = await sessionPair()
    one.say('unread')
    other.say('published before')
    other.session.close()
    await settle()
    assert.deepEqual(one.hear(), { text: 'published before', then: 'reset' })
    assert.equal(one.session.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
  })

  test('dead without having closed: a reset where bytes were unread, else an end', async () => {
    for (const [unread, then] of [
      ['', 'end'],
      ['unread', 'reset'],
    ] as const) {
      const { one, other } = await sessionPair()
      one.say(unread)
      other.say('last')
      // The process dies: its provider's sockets go, and no session says goodbye.
      other.session.socket.close()
      await settle()
      assert.deepEqual(one.hear(), { text: 'last', then })
    }
  })
})
