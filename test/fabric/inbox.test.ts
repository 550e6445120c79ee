/** Each guard before what a peer says is used, one message at a time: the link reads memory that the test has written. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Quota } from '../../src/base/quota.ts'
import type { Fabric } from '../../src/native/fabric.ts'
import type { Turns } from '../../src/native/turns.ts'
import { FabricConnection } from '../../src/providers/fabric/connection.ts'
import type { Incoming } from '../../src/providers/fabric/incoming.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import { DEFAULT_LIMITS } from '../../src/providers/fabric/limits.ts'
import { encodeHello } from '../../src/providers/fabric/hello.ts'
import { Link } from '../../src/providers/fabric/link.ts'
import type { LinkHost } from '../../src/providers/fabric/link.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { AGAIN } from '../../src/providers/fabric/outbox.ts'
import { Overlapped, WSA } from '../../src/spi/index.ts'
import { FakeClock } from '../switch/fake-clock.ts'

const LOCAL = { family: 'IPv4', address: '127.0.0.1', port: 4001 } as const
const REQUEST = messages.encodeRequest({ remote: LOCAL, local: LOCAL, callerData: new Uint8Array() })
const FIRST_PAGE = layout.REGIONS_BYTES / layout.PAGE_BYTES

/** An owner that hears everything and does nothing. */
const OWNER = {
  accepted: () => undefined,
  judging: () => undefined,
  refused: () => undefined,
  signalled: () => undefined,
  ended: () => undefined,
  completed: () => undefined,
}

function standing(role: Link['role']) {
  const memory = new ArrayBuffer(layout.MIRROR_AT + layout.ARENA_BYTES)
  const sent: number[] = []
  const reads: { readonly address: bigint; readonly key: bigint; readonly bytes: number }[] = []
  const fabric: Partial<Fabric> = {
    send: (_link, message) => {
      sent.push(new Uint8Array(memory)[layout.SENT_AT + message * layout.MESSAGE_BYTES] ?? -1)
      return 0
    },
    receive: () => 0,
    read: (_link, target, address, key) => reads.push({ address, key, bytes: target.length }),
    close: () => undefined,
    release: () => undefined,
  }
  const asked: Incoming[] = []
  const jobs: (() => void)[] = []
  const clock = new FakeClock()
  const host: LinkHost = {
    fabric: fabric as Fabric,
    turns: { schedule: (job: () => void) => jobs.push(job) } as unknown as Turns,
    limits: DEFAULT_LIMITS,
    clock,
    connections: new Quota(9),
    requested: (incoming) => asked.push(incoming),
    silenced: () => undefined,
    linkClosed: () => undefined,
    forget: () => undefined,
    progress: () => undefined,
  }
  const link = new Link(host, role, 1, { memory, fd: -1, address: 0n, key: 0n }, LOCAL.address)
  // Without the handshake, which is another test's.
  if (role === 'acceptor') link.connected()
  /** Lets the peer say this; false when it was the end of the link. */
  const hear = (kind: number, count = 0, slot = 0, payload: Iterable<number> = [], credits = 0): boolean => {
    const data = [...payload]
    const header = [kind, count, credits, 0, slot & 255, slot >>> 8, 0, 0]
    new Uint8Array(memory).set([...header, ...data], layout.RECEIVED_AT)
    link.received(0, messages.HEADER_BYTES + data.length)
    return link.lives
  }
  return { link, fabric, host, clock, asked, sent, reads, jobs, hear }
}

/** With a connection in slot 0. */
function connected() {
  const all = standing('acceptor')
  assert.equal(all.hear(messages.REQUEST, 0, 0, REQUEST), true)
  const connection = all.asked[0]?.accept(OWNER, new Uint8Array())
  assert.ok(connection?.ok === true)
  return { ...all, connection: connection.value }
}

function words(...numbers: readonly number[]): Uint8Array {
  return new Uint8Array(Uint32Array.from(numbers).buffer)
}

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

const EXPOSED = words(5, 100, 0, 0, 1, 0)
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

test('READ-3 while a connection reads neither its signals nor its end go out, and the read ends aborted', () => {
  const { link, hear, sent, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  const overlapped = new Overlapped()
  connection.read?.(5, 0, new Uint8Array(1), overlapped)
  connection.signal()
  connection.close()
  assert.deepEqual(sent, [messages.ACCEPTED])
  assert.equal(overlapped.pending, true)
  link.readDone(1)
  assert.deepEqual([overlapped.status, overlapped.bytes], [WSA.WSA_OPERATION_ABORTED, 0])
  assert.deepEqual(sent, [messages.ACCEPTED, messages.UPDATE, messages.END])
})

test('what a connection reads when its link fails ends with it', () => {
  const { link, host, hear, jobs, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  const overlapped = new Overlapped()
  connection.read?.(5, 0, new Uint8Array(1), overlapped)
  link.fail(WSA.WSAECONNABORTED)
  connection.close()
  assert.equal(link.held, 1)
  for (const job of jobs) job()
  assert.deepEqual([overlapped.status, overlapped.bytes], [WSA.WSA_OPERATION_ABORTED, 0])
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('READ-4 what is asked for after the link has failed, and before its connection hears of it, ends, too', () => {
  const { link, fabric, host, hear, jobs, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  fabric.read = () => AGAIN
  const [first, second] = [new Overlapped(), new Overlapped()]
  connection.read?.(5, 0, new Uint8Array(1), first)
  link.fail(WSA.WSAECONNABORTED)
  connection.read?.(5, 0, new Uint8Array(1), second)
  for (const job of jobs.splice(0)) job()
  assert.deepEqual([first.status, second.status], [WSA.WSAECONNRESET, WSA.WSAECONNRESET])
  connection.close()
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
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

test('a link that refuses a message ends, also where nobody asked for that message', () => {
  const { link, fabric, jobs, connection } = connected()
  fabric.expose = () => ({ exposure: 1, address: 0n, key: 0n })
  fabric.conceal = () => undefined
  connection.expose?.(new Uint8Array(1), 'read')
  connection.close()
  fabric.send = () => -32
  // The end of what was exposed is to be told.
  for (let beats = 0; beats < 2; beats++) assert.equal(link.beat(), true)
  for (const job of jobs) job()
  assert.equal(link.lives, false)
})

test('one receive of the peer is never used up by answers, and answers wait in bounded memory', () => {
  const { link, asked, sent, jobs, hear } = standing('acceptor')
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
  for (const job of jobs) job()
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

test('a connection that is closed after its link has failed and before it hears of it is given back once', () => {
  const { link, host, jobs, connection } = connected()
  link.fail(WSA.WSAECONNABORTED)
  connection.close()
  for (const job of jobs) job()
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('an attempt that is given up and then refused is given back once', () => {
  const { link, host, hear } = standing('opener')
  host.connections.take()
  const attempt = FabricConnection.ask(host, OWNER, link, {
    remote: LOCAL,
    local: LOCAL,
    callerData: REQUEST,
  })
  assert.ok(attempt.ok)
  attempt.value.close()
  assert.equal(hear(messages.REFUSED, 0, 0, words(WSA.WSAECONNREFUSED)), true)
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('the opener ends a link that nobody has used for so long, and no other', () => {
  const { link, host, clock, hear } = standing('opener')
  const ask = (): void => {
    host.connections.take()
    const attempt = FabricConnection.ask(host, OWNER, link, {
      remote: LOCAL,
      local: LOCAL,
      callerData: REQUEST,
    })
    assert.ok(attempt.ok)
  }
  const refuse = (): void => {
    assert.equal(hear(messages.REFUSED, 0, 0, words(WSA.WSAECONNREFUSED)), true)
  }
  const { idleLinkMs } = host.limits
  ask()
  refuse()
  clock.advance(idleLinkMs - 1)
  ask()
  clock.advance(2 * idleLinkMs)
  refuse()
  clock.advance(idleLinkMs - 1)
  assert.equal(link.lives, true)
  clock.advance(1)
  assert.equal(link.lives, false)
})

test('a link that comes up and that no connection uses ends as well', () => {
  const { link, fabric, host, clock } = standing('opener')
  fabric.peerData = () => encodeHello({ address: 0n, key: 0n })
  fabric.setPeer = () => undefined
  link.connected()
  clock.advance(host.limits.idleLinkMs - 1)
  assert.equal(link.lives, true)
  clock.advance(1)
  assert.equal(link.lives, false)
})
