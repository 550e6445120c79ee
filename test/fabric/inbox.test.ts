/** Each guard before what a peer says is used, one message at a time: the link reads memory that the test has written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as layout from '../../src/providers/fabric/layout.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { AGAIN } from '../../src/providers/fabric/outbox.ts'
import { Overlapped, WSA } from '../../src/spi/index.ts'
import { EXPOSED, FIRST_PAGE, OWNER, REQUEST, connected, standing, words } from './by-hand.ts'

const BAD_UPDATES: Readonly<Record<string, readonly [ranges: number, payload: Uint8Array]>> = {
  'more ranges than there are': [2, words(0, 0)],
  'half a range': [1, words(0)],
  'more bytes than came': [1, words(0, 5, 0)],
  'a start beyond the arena': [1, words(layout.ARENA_BYTES + 1, 0)],
  'an end beyond the arena': [1, words(layout.ARENA_BYTES - 3, 4, 0)],
  'numbers that wrap': [1, words(0xfffffffc, 4, 0)],
}
for (const [what, [ranges, payload]] of Object.entries(BAD_UPDATES)) {
  test(`an update with ${what} ends the link`, () => {
    const { hear } = connected()
    assert.equal(hear(messages.UPDATE, ranges, 0, payload), false)
  })
}

test('an update up to the last byte of the arena is taken', () => {
  const { link, hear } = connected()
  assert.equal(hear(messages.UPDATE, 1, 0, words(layout.ARENA_BYTES - 4, 4, 0x01020304)), true)
  assert.deepEqual([...link.bytes.subarray(-4)], [4, 3, 2, 1])
})

test('credits beyond the receives that there are end the link', () => {
  assert.equal(standing('acceptor').hear(messages.NOTHING, 0, 0, [], 1), false)
  const { hear, sent } = connected()
  // One was used for the answer.
  assert.deepEqual(sent, [messages.ACCEPTED])
  assert.equal(hear(messages.NOTHING, 0, 0, [], 1), true)
  assert.equal(hear(messages.NOTHING, 0, 0, [], 1), false)
})

test('only an acceptor is asked, in a slot that there is and that nobody uses or has asked for', () => {
  assert.equal(standing('opener').hear(messages.REQUEST, 0, 0, REQUEST), false)
  assert.equal(standing('acceptor').hear(messages.REQUEST, 0, layout.MAX_SLOTS, REQUEST), false)
  assert.equal(standing('acceptor').hear(messages.REQUEST, 0, layout.MAX_SLOTS - 1, REQUEST), true)
  assert.equal(connected().hear(messages.REQUEST, 0, 0, REQUEST), false)
  const { hear } = standing('acceptor')
  assert.equal(hear(messages.REQUEST, 0, 5, REQUEST), true)
  assert.equal(hear(messages.REQUEST, 0, 5, REQUEST), false)
})

test('a kind that nobody knows ends the link, also where there is a connection', () => {
  assert.equal(connected().hear(messages.NOTHING, 0, 0), true)
  assert.equal(connected().hear(99, 0, 0), false)
})

test('an answer to what was not asked ends the link', () => {
  for (const kind of [messages.ACCEPTED, messages.JUDGING, messages.REFUSED]) {
    assert.equal(connected().hear(kind, 0, 0, words(0)), false)
  }
})

const BAD_REGIONS: Readonly<Record<string, Uint8Array>> = {
  'in the regions': words(FIRST_PAGE - 1, layout.PAGE_BYTES),
  'of nothing': words(FIRST_PAGE, 0),
  'longer than the arena': words(FIRST_PAGE, layout.RINGS_BYTES + 1),
  'beyond the arena': words(0xffffffff, 1),
}
for (const [what, payload] of Object.entries(BAD_REGIONS)) {
  test(`a further region ${what} ends the link`, () => {
    assert.equal(connected().hear(messages.REGISTER, 0, 0, payload), false)
  })
}

test('a further region is registered once, and read within its length only', () => {
  const { hear, connection } = connected()
  const region = words(FIRST_PAGE, layout.PAGE_BYTES)
  assert.equal(hear(messages.REGISTER, 0, 0, region), true)
  assert.equal(connection.peerMemory(FIRST_PAGE, layout.PAGE_BYTES).ok, true)
  for (const [page, bytes] of [
    [FIRST_PAGE, layout.PAGE_BYTES + 1],
    [FIRST_PAGE, 0],
    [FIRST_PAGE, -1],
    [FIRST_PAGE + 1, 1],
  ] as const) {
    assert.equal(connection.peerMemory(page, bytes).ok, false)
  }
  assert.equal(hear(messages.REGISTER, 0, 0, region), false)
})

test('what was given back cannot be given back again', () => {
  const { hear } = connected()
  assert.equal(hear(messages.REGISTER, 0, 0, words(FIRST_PAGE, layout.PAGE_BYTES)), true)
  assert.equal(hear(messages.DEREGISTER, 0, 0, words(FIRST_PAGE)), true)
  assert.equal(hear(messages.DEREGISTER, 0, 0, words(FIRST_PAGE)), false)
})

const BAD_EXPOSURES: Readonly<Record<string, Uint8Array>> = {
  'without its key': EXPOSED.subarray(0, messages.EXPOSE_BYTES - 1),
  'of nothing': words(5, 0, 0, 0, 1, 0),
  'longer than any may be': words(5, layout.MAX_EXPOSED_BYTES + 1, 0, 0, 1, 0),
}
for (const [what, payload] of Object.entries(BAD_EXPOSURES)) {
  test(`exposed memory ${what} ends the link`, () => {
    assert.equal(connected().hear(messages.EXPOSE, 0, 0, payload), false)
  })
}

test('memory is exposed once, by a connection that there is, read within its bounds only, and no more when that ends', () => {
  const { hear, connection, reads } = connected()
  assert.equal(hear(messages.EXPOSE, 0, 0, EXPOSED), true)
  const read = (descriptor: number, offset: number, length: number): number =>
    connection.read?.(descriptor, offset, new Uint8Array(length), new Overlapped()) ?? -1
  for (const [descriptor, offset, length] of [
    [6, 0, 1],
    [5, 0, 101],
    [5, 100, 1],
    [5, -1, 1],
    [5, 0.5, 1],
    [5, Number.NaN, 1],
  ] as const) {
    assert.equal(
      read(descriptor, offset, length),
      WSA.WSAEFAULT,
      `${length} bytes at ${offset} of ${descriptor}`,
    )
  }
  assert.deepEqual(reads, [])
  assert.equal(read(5, 90, 10), WSA.WSA_IO_PENDING)
  assert.deepEqual(reads, [{ address: 90n, key: 1n, bytes: 10 }])
  assert.equal(hear(messages.CONCEAL, 0, 0, words(5)), true)
  assert.equal(read(5, 90, 10), WSA.WSAEFAULT)
  assert.equal(hear(messages.CONCEAL, 0, 0, words(5)), false)
  const { hear: again } = connected()
  again(messages.EXPOSE, 0, 0, EXPOSED)
  assert.equal(again(messages.EXPOSE, 0, 0, EXPOSED), false)
  assert.equal(connected().hear(messages.EXPOSE, 0, 1, EXPOSED), false)
})

test('a connection exposes so many stretches at a time, and reads so many', () => {
  const { hear, connection } = connected()
  for (let i = 0; i < layout.MAX_EXPOSED; i++) {
    assert.equal(hear(messages.EXPOSE, 0, 0, words(i, 100, 0, 0, 1, 0)), true)
    assert.equal(connection.read?.(i, 0, new Uint8Array(1), new Overlapped()), WSA.WSA_IO_PENDING)
  }
  assert.equal(connection.read?.(0, 0, new Uint8Array(1), new Overlapped()), WSA.WSAENOBUFS)
  assert.equal(hear(messages.EXPOSE, 0, 0, words(99, 100, 0, 0, 1, 0)), false)
})

test('reads that wait for others keep no message from going, and go when one of those is done', () => {
  const { link, fabric, sent, hear, asked, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  hear(messages.REQUEST, 0, 1, REQUEST)
  const other = asked[1]?.accept(OWNER, new Uint8Array())
  assert.ok(other?.ok === true)
  let posted = 0
  let most = layout.READS
  fabric.read = () => (posted === most ? AGAIN : (posted += 1))
  for (let i = 0; i <= layout.READS; i++) connection.read?.(5, 0, new Uint8Array(1), new Overlapped())
  other.value.signal()
  assert.deepEqual(sent, [messages.ACCEPTED, messages.ACCEPTED, messages.UPDATE])
  assert.equal(posted, layout.READS)
  most += 1
  link.readDone(1)
  assert.equal(posted, layout.READS + 1)
})

test('an update says of each of its ranges, however many there are, and what does not fit is written before it', () => {
  const { link, fabric, connection } = connected()
  let ranges = 0
  fabric.write = () => (ranges += 1) * 0
  fabric.send = (_link, message) => {
    const at = layout.SENT_AT + message * layout.MESSAGE_BYTES
    if (link.bytes[at] === messages.UPDATE) ranges += (link.bytes[at + 1] ?? 0) & ~messages.SIGNAL
    return 0
  }
  for (let i = 0; i < 33; i++) {
    const memory = connection.register(layout.PAGE_BYTES)
    assert.ok(memory.ok)
    for (const offset of [0, 2, 4, 6]) connection.write(memory.value, offset, 1)
  }
  connection.signal()
  assert.equal(ranges, 4 * 33)
})

test('a request that was withdrawn is not answered', () => {
  const { asked, sent, hear } = standing('acceptor')
  hear(messages.REQUEST, 0, 0, REQUEST)
  hear(messages.END)
  const [incoming] = asked
  assert.equal(incoming?.isOpen(), false)
  assert.deepEqual(sent, [messages.END])
  incoming.refuse(WSA.WSAECONNREFUSED)
  assert.equal(incoming.accept(OWNER, new Uint8Array()).ok, false)
  assert.deepEqual(sent, [messages.END])
})

test('a message shorter than its header or longer than a buffer ends the link', () => {
  for (const length of [0, messages.HEADER_BYTES - 1, layout.MESSAGE_BYTES + 1]) {
    const { link } = standing('acceptor')
    link.received(0, length)
    assert.equal(link.lives, false)
  }
})

test('one receive of the peer is never used up by answers, and answers wait in bounded memory', () => {
  const { link, asked, sent, jobs, run, hear } = standing('acceptor')
  const most = layout.MESSAGES - 1 + 2 * layout.MAX_SLOTS
  for (let i = 0; i < most; i++) {
    assert.equal(hear(messages.REQUEST, 0, 0, REQUEST), true)
    asked.pop()?.refuse(WSA.WSAECONNREFUSED)
  }
  // The last one gives the peer its receives back.
  assert.equal(sent.filter((kind) => kind === messages.REFUSED).length, layout.MESSAGES - 1)
  assert.equal(sent.filter((kind) => kind === messages.NOTHING).length, 1)
  assert.equal(jobs.length, 0)
  hear(messages.REQUEST, 0, 0, REQUEST)
  asked.pop()?.refuse(WSA.WSAECONNREFUSED)
  run()
  assert.equal(link.lives, false)
})

test('all connections of a link together register no more than the arena has', () => {
  const { hear, asked } = connected()
  hear(messages.REQUEST, 0, 1, REQUEST)
  asked[1]?.accept(OWNER, new Uint8Array())
  for (let i = 0; i < layout.RINGS_BYTES / layout.PAGE_BYTES; i++) {
    assert.equal(hear(messages.REGISTER, 0, 0, words(FIRST_PAGE + i, 1)), true)
  }
  assert.equal(hear(messages.REGISTER, 0, 1, words(FIRST_PAGE, 1)), false)
})
