/** Who gives what back when a connection or its link ends, in whatever order: nothing stays of either. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { LINK_MESSAGES_DONE } from '../../src/native/fabric.ts'
import { FabricConnection } from '../../src/providers/fabric/connection.ts'
import { encodeHello } from '../../src/providers/fabric/hello.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { AGAIN } from '../../src/providers/fabric/outbox.ts'
import { Overlapped, WSA } from '../../src/spi/index.ts'
import { collectGarbage } from '../support/garbage.ts'
import { EXPOSED, FIRST_PAGE, LOCAL, OWNER, REQUEST, connected, standing, words } from './by-hand.ts'

/** An opener, which asks for connections. */
function opening() {
  const all = standing('opener')
  const { link, fabric, host, hear } = all
  const ask = (): FabricConnection => {
    host.connections.take()
    const request = { remote: LOCAL, local: LOCAL, callerData: new Uint8Array() }
    const attempt = FabricConnection.ask(host, OWNER, link, request)
    assert.ok(attempt.ok)
    return attempt.value
  }
  const refuse = (): void => {
    assert.equal(hear(messages.REFUSED, 0, 0, words(WSA.WSAECONNREFUSED)), true)
    assert.deepEqual([link.held, host.connections.taken], [0, 0])
  }
  const comeUp = (): void => {
    fabric.peerData = () => encodeHello({ address: 0n, key: 0n })
    fabric.setPeer = () => undefined
    link.connected()
  }
  return { ...all, ask, refuse, comeUp }
}

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
  const { link, host, hear, run, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  const overlapped = new Overlapped()
  connection.read?.(5, 0, new Uint8Array(1), overlapped)
  link.fail(WSA.WSAECONNABORTED)
  connection.close()
  assert.equal(link.held, 1)
  run()
  assert.deepEqual([overlapped.status, overlapped.bytes], [WSA.WSA_OPERATION_ABORTED, 0])
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('READ-4 what is asked for after the link has failed, and before its connection hears of it, ends, too', () => {
  const { link, fabric, host, hear, run, connection } = connected()
  hear(messages.EXPOSE, 0, 0, EXPOSED)
  fabric.read = () => AGAIN
  const [first, second] = [new Overlapped(), new Overlapped()]
  connection.read?.(5, 0, new Uint8Array(1), first)
  link.fail(WSA.WSAECONNABORTED)
  connection.read?.(5, 0, new Uint8Array(1), second)
  run()
  assert.deepEqual([first.status, second.status], [WSA.WSAECONNRESET, WSA.WSAECONNRESET])
  connection.close()
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('a link that refuses a message ends, also where nobody asked for that message', () => {
  const { link, fabric, run, connection } = connected()
  fabric.expose = () => ({ exposure: 1, address: 0n, key: 0n })
  fabric.conceal = () => undefined
  connection.expose?.(new Uint8Array(1), 'read')
  connection.close()
  fabric.send = () => -32
  // The end of what was exposed is to be told.
  for (let beats = 0; beats < 2; beats++) assert.equal(link.beat(), true)
  run()
  assert.equal(link.lives, false)
})

test('a connection that is closed after its link has failed and before it hears of it is given back once', () => {
  const { link, host, run, connection } = connected()
  link.fail(WSA.WSAECONNABORTED)
  connection.close()
  run()
  assert.deepEqual([link.held, host.connections.taken], [0, 0])
})

test('an attempt that is refused is given back once, also where it was given up before', () => {
  const { ask, refuse } = opening()
  ask()
  refuse()
  ask().close()
  refuse()
})

test('the opener ends a link that nobody has used for so long, and no other', () => {
  const { link, host, clock, ask, refuse } = opening()
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
  const { link, host, clock, comeUp } = opening()
  comeUp()
  clock.advance(host.limits.idleLinkMs - 1)
  assert.equal(link.lives, true)
  clock.advance(1)
  assert.equal(link.lives, false)
})

test('of a link that fails nothing is left to the loop, whether it has come up or not', () => {
  for (const isUp of [false, true]) {
    const { link, clock, calls, comeUp } = opening()
    assert.equal(link.start(), 0)
    if (isUp) comeUp()
    assert.ok(clock.pending > 0)
    link.fail(WSA.WSAECONNABORTED)
    link.fail(WSA.WSAECONNABORTED)
    assert.equal(clock.pending, 0)
    // The watcher before the descriptor that it watches, and the memory last.
    assert.deepEqual(calls, ['unwatch', 'close', 'release'])
  }
})

test('the memory of a link that has failed stays for as long as a connection has it, and goes with the last one', () => {
  const { link, calls, run, connection } = connected()
  calls.length = 0
  link.fail(WSA.WSAECONNABORTED)
  run()
  assert.deepEqual(calls, ['close'])
  connection.close()
  assert.deepEqual(calls, ['close', 'release'])
})

test('a link that ends while it tells of a message posts no receive any more', () => {
  const { link, calls, hear } = connected()
  calls.length = 0
  OWNER.signalled = () => {
    link.fail(WSA.WSAECONNABORTED)
  }
  hear(messages.UPDATE, messages.SIGNAL)
  OWNER.signalled = () => undefined
  assert.deepEqual(calls, ['close'])
})

test('whoever waits for an answer hears that the link has failed', () => {
  const { link, asked, hear } = standing('acceptor')
  hear(messages.REQUEST, 0, 0, REQUEST)
  let withdrawals = 0
  asked[0]?.pend(() => (withdrawals += 1))
  link.fail(WSA.WSAECONNABORTED)
  assert.deepEqual([asked[0]?.isOpen(), withdrawals], [false, 1])
})

test('a slot whose request was withdrawn can be asked for again', () => {
  const { asked, hear } = standing('acceptor')
  for (let i = 0; i < 2; i++) {
    assert.equal(hear(messages.REQUEST, 0, 0, REQUEST), true)
    assert.equal(hear(messages.END), true)
  }
  assert.equal(asked.length, 2)
})

const SEGMENTS = layout.RINGS_BYTES / layout.MAX_RING_BYTES

test('further memory is the link\u2019s again once it is deregistered, or both are through with its connection', () => {
  const { link, asked, hear, connection } = connected()
  for (let i = 0; i <= SEGMENTS; i++) {
    const memory = connection.register(layout.MAX_RING_BYTES)
    assert.ok(memory.ok)
    assert.equal(connection.deregister(memory.value), 0)
  }
  for (let i = 0; i < SEGMENTS; i++) assert.equal(connection.register(layout.MAX_RING_BYTES).ok, true)
  assert.equal(connection.register(layout.PAGE_BYTES).ok, false)
  connection.close()
  hear(messages.REQUEST, 0, 1, REQUEST)
  const next = asked[1]?.accept(OWNER, new Uint8Array())
  assert.ok(next?.ok === true)
  assert.equal(next.value.register(layout.PAGE_BYTES).ok, false, 'the peer may still write there')
  hear(messages.END)
  assert.equal(link.held, 1)
  assert.equal(next.value.register(layout.PAGE_BYTES).ok, true)
})

test('what the peer has registered counts no more once both are through with its connection', () => {
  const { link, sent, asked, hear, connection } = connected()
  // What is said goes, and receives come back, so that the end can be told.
  for (let i = 0; i < layout.RINGS_BYTES / layout.PAGE_BYTES; i++) {
    hear(messages.REGISTER, 0, 0, words(FIRST_PAGE + i, 1), i % 32 === 31 ? 1 : 0)
    link.words[LINK_MESSAGES_DONE] = sent.length
  }
  connection.close()
  hear(messages.END)
  assert.equal(hear(messages.REQUEST, 0, 0, REQUEST), true)
  asked[1]?.accept(OWNER, new Uint8Array())
  assert.equal(hear(messages.REGISTER, 0, 0, words(FIRST_PAGE, 1)), true)
})

test('of memory that was deregistered nothing is sent any more', () => {
  const { link, fabric, connection } = connected()
  const memory = connection.register(layout.PAGE_BYTES)
  assert.ok(memory.ok)
  connection.write(memory.value, 0, 8)
  connection.deregister(memory.value)
  const counts: number[] = []
  fabric.send = (_link, message) => {
    const at = layout.SENT_AT + message * layout.MESSAGE_BYTES
    if (link.bytes[at] === messages.UPDATE) counts.push(link.bytes[at + 1] ?? -1)
    return 0
  }
  connection.signal()
  assert.deepEqual(counts, [messages.SIGNAL])
})

test('a link that has failed takes nothing back of what was exposed: its end has', () => {
  const { link, fabric, connection } = connected()
  fabric.expose = () => ({ exposure: 1, address: 0n, key: 0n })
  fabric.conceal = () => assert.fail('the fabric has ended')
  const exposed = connection.expose?.(new Uint8Array(1), 'read')
  assert.ok(exposed?.ok === true)
  link.fail(WSA.WSAECONNABORTED)
  assert.equal(connection.conceal?.(exposed.value), WSA.WSAEINVAL)
})

test('a link forgets connections that have exposed memory once that has gone', async () => {
  const { link, fabric, sent, asked, hear } = connected()
  fabric.expose = () => ({ exposure: 1, address: 0n, key: 0n })
  fabric.conceal = () => undefined
  const gone = (() => {
    hear(messages.REQUEST, 0, 1, REQUEST)
    const other = asked.pop()?.accept(OWNER, new Uint8Array())
    assert.ok(other?.ok === true)
    const memory = new Uint8Array(1)
    other.value.expose?.(memory, 'read')
    other.value.close()
    hear(messages.END, 0, 1)
    return [new WeakRef(other.value), new WeakRef(memory)]
  })()
  link.words[LINK_MESSAGES_DONE] = sent.length
  link.roomMade()
  await new Promise((resolve) => setImmediate(resolve))
  collectGarbage()
  assert.deepEqual(
    gone.map((reference) => reference.deref()),
    [undefined, undefined],
  )
})
