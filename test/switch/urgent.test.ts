import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA } from '../../src/spi/index.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { Session } from '../../src/switch/session/session.ts'
import { settle } from './fake-clock.ts'
import { FakeSocket } from './fake-socket.ts'
import { LIMITS, OUR_HELLO } from './host.ts'
import { sessionPair } from './session-pair.ts'

const NONE = -WSA.WSAEINVAL

describe('urgent data out of line', () => {
  test('WSD-URG-1 WSD-URG-3 are told, read before what precedes them, and leave no gap in the stream', async () => {
    const { one, other } = await sessionPair()
    one.say('before')
    assert.equal(one.session.sendUrgent(Buffer.from('!')), 1)
    one.say('after')
    await settle()
    assert.equal(other.urgentCalls, 1)
    assert.equal(other.session.readUrgent(true), 33)
    assert.equal(other.session.readUrgent(), 33)
    assert.equal(other.session.readUrgent(), NONE)
    assert.equal(other.session.atMark, false)
    assert.equal(other.session.available, 6)
    assert.equal(other.session.read(100)?.toString(), 'before')
    assert.equal(other.session.atMark, true)
    assert.equal(other.session.available, 5)
    assert.equal(other.session.read(100)?.toString(), 'after')
    assert.equal(other.session.atMark, false)
  })

  test('WSD-URG-2, -4, -5 WSD-XFER-10 scenario 20: only the last byte of a send is urgent, in its place in the stream', async () => {
    const { journal, one, other } = await sessionPair()
    journal.clear()
    assert.equal(one.session.sendUrgent(Buffer.from('abc')), 3)
    assert.ok(journal.labels().every((label) => ['san.rdmaWrite', 'san.signal'].includes(label)))
    assert.equal(other.session.readUrgent(), 'c'.charCodeAt(0))
    assert.equal(other.session.read(100)?.toString(), 'ab')
    assert.equal(other.session.atMark, true)
    assert.equal(other.session.read(100), undefined)
  })

  test('are gone once the stream has passed them unread', async () => {
    const { one, other } = await sessionPair()
    one.session.sendUrgent(Buffer.from('!'))
    one.say('x')
    assert.equal(other.session.read(100)?.toString(), 'x')
    assert.equal(other.session.readUrgent(), NONE)
  })

  test('at the end of the stream do not keep the end from being read', async () => {
    const { one, other } = await sessionPair()
    one.session.sendUrgent(Buffer.from('!'))
    one.session.close()
    await settle()
    assert.deepEqual(other.hear(), { text: '', then: 'end' })
  })

  test('a second mark replaces the first, whose byte is a plain one again', async () => {
    const { one, other } = await sessionPair()
    one.session.sendUrgent(Buffer.from('1'))
    one.say('-')
    one.session.sendUrgent(Buffer.from('2'))
    one.say('.')
    assert.equal(other.session.readUrgent(), '2'.charCodeAt(0))
    assert.equal(other.session.read(100)?.toString(), '1-')
    assert.equal(other.session.read(100)?.toString(), '.')
  })

  test('that do not fit mark nothing, and are sent again', async () => {
    const { one, other } = await sessionPair({ limits: { maxMemoryBytes: 0 } })
    assert.equal(one.session.write([Buffer.alloc(1023, 97)]), 1023)
    assert.equal(one.session.sendUrgent(Buffer.from('b!')), 1)
    await settle()
    assert.equal(other.urgentCalls, 0)
    assert.equal(other.session.read(2000)?.length, 1024)
    await settle()
    assert.ok(one.writableCalls > 0)
    assert.equal(one.session.sendUrgent(Buffer.from('!')), 1)
    await settle()
    assert.equal(other.urgentCalls, 1)
    assert.equal(other.session.readUrgent(), 33)
  })

  test('keep their place where a ring grows behind them', async () => {
    const { one, other } = await sessionPair()
    const written = Buffer.alloc(1024, 120)
    assert.equal(one.session.write([written]), 1024)
    assert.equal(one.session.sendUrgent(Buffer.from('!')), 1)
    assert.equal(one.session.write([Buffer.alloc(10_000, 121)]), 10_000)
    assert.equal(other.session.readUrgent(), 33)
    assert.equal(other.session.read(1 << 20)?.length, 1024)
    assert.equal(other.session.atMark, true)
    assert.equal(other.readAll().toString(), 'y'.repeat(10_000))
  })
})

describe('urgent data inline', () => {
  test('WSD-URG-3 are part of the stream; reads stop at the mark', async () => {
    const { one, other } = await sessionPair()
    other.session.urgentInline = true
    one.say('ab')
    one.session.sendUrgent(Buffer.from('!'))
    one.say('cd')
    assert.equal(other.session.readUrgent(), NONE)
    assert.equal(other.session.read(100)?.toString(), 'ab')
    assert.equal(other.session.atMark, true)
    assert.equal(other.session.read(100)?.toString(), '!cd')
    assert.equal(other.session.atMark, false)
  })
})

describe('sending urgent data', () => {
  test('fails where any send would', async () => {
    const { one, other } = await sessionPair()
    one.session.shutdown()
    assert.equal(one.session.sendUrgent(Buffer.from('!')), -WSA.WSAESHUTDOWN)
    one.session.reset()
    await settle()
    assert.equal(other.session.sendUrgent(Buffer.from('!')), -WSA.WSAESHUTDOWN)
    assert.equal(other.session.readUrgent(), NONE)
  })

  test('of nothing marks nothing', async () => {
    const { one, other } = await sessionPair()
    assert.equal(one.session.sendUrgent(Buffer.alloc(0)), 0)
    await settle()
    assert.equal(other.urgentCalls, 0)
  })
})

test('a peer that lies about its mark harms nothing but its own stream', () => {
  for (const at of [-1, 5, 6, 100, 0x7fff_ffff, 0x8000_0000 | 0]) {
    const socket = new FakeSocket(LIMITS)
    const session = new Session({
      socket,
      memory: { send: socket.send, receive: socket.receiveRegion },
      limits: LIMITS,
      peerHello: OUR_HELLO,
      role: 'initiator',
    })
    socket.scribble(layout.URGENT_AT, at)
    socket.scribble(layout.URGENT, -1)
    socket.scribble(layout.NEWS, 77)
    assert.equal(session.readUrgent(), NONE)
    socket.scribble(layout.PRODUCED, 6)
    assert.equal(session.readUrgent(), at === 5 ? 255 : NONE)
    let read = 0
    for (let chunk = session.read(100); chunk !== undefined; chunk = session.read(100)) read += chunk.length
    assert.equal(read, at === 5 ? 5 : 6)
    assert.equal(session.readEnd(), 'more')
    session.close()
  }
})
