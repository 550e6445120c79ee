/** When memory that the peer could read is the application's again; the fabric does here what the test says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { LINK_MESSAGES_DONE, LINK_WANTS_ROOM } from '../../src/native/fabric.ts'
import type { Fabric } from '../../src/native/fabric.ts'
import { Exposures } from '../../src/providers/fabric/exposures.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { AGAIN, Outbox } from '../../src/providers/fabric/outbox.ts'
import { Reads } from '../../src/providers/fabric/reads.ts'
import type { Announcement, Slot } from '../../src/providers/fabric/slot.ts'
import { WSA } from '../../src/spi/index.ts'

const MEMORY = new Uint8Array(100)

/** A link's exposures; messages go, and go away, as the test says. */
function made() {
  const memory = new ArrayBuffer(layout.ARENA_AT)
  const words = new Int32Array(memory, 0, 2)
  const sent: number[] = []
  const open = new Set<number>()
  let exposures = 0
  const fabric: Partial<Fabric> = {
    send: (_link, message) => {
      sent.push(new Uint8Array(memory)[layout.SENT_AT + message * layout.MESSAGE_BYTES] ?? -1)
      return 0
    },
    expose: () => {
      open.add((exposures += 1))
      return { exposure: exposures, address: 0x1_0000_0002n, key: 0x3_0000_0004n }
    },
    conceal: (_link, exposure) => open.delete(exposure),
    look: () => undefined,
  }
  const outbox = new Outbox(fabric as Fabric, 1, memory, () => assert.fail('a message was refused'))
  outbox.open()
  const exposed = new Exposures(fabric as Fabric, 1, outbox)
  const said: Announcement[] = []
  let signals = 0
  const slot = {
    announce: (announcement: Announcement) => said.push(announcement),
    link: { send: () => undefined },
    holder: { signalled: () => (signals += 1) },
  } as unknown as Slot
  const expose = (bytes = MEMORY): number => {
    const result = exposed.expose(slot, bytes, 'read')
    assert.ok(result.ok)
    return result.value
  }
  /** Posts what was announced last as message number `number`. */
  const post = (number: number): void => said.at(-1)?.sent?.(number)
  /** So many messages have left this side. */
  const gone = (messagesDone: number): void => {
    words[LINK_MESSAGES_DONE] = messagesDone
    words[LINK_WANTS_ROOM] = 0
    exposed.settle()
  }
  return { exposed, slot, said, sent, open, words, expose, post, gone, signals: () => signals }
}

/** A link's reads; what the fabric answers, and when jobs run, the test says. */
function readsOf(read: () => number, jobs: (() => void)[]): Reads {
  const fabric: Partial<Fabric> = { read }
  const outbox = new Outbox(fabric as Fabric, 1, new ArrayBuffer(layout.ARENA_AT), () =>
    assert.fail('a read was refused'),
  )
  return new Reads(fabric as Fabric, 1, outbox, (job) => jobs.push(job))
}

test('the peer is told where it may read, in numbers of 32 bits', () => {
  const { said, expose } = made()
  assert.equal(expose(), 1)
  assert.deepEqual(said, [{ kind: messages.EXPOSE, words: [1, 100, 2, 1, 4, 3] }])
})

test('EXPOSE-4 memory is the application\u2019s once a message sent after its end has gone, and whoever waits is told once', () => {
  const { exposed, slot, said, open, words, expose, post, gone, signals } = made()
  const descriptor = expose()
  assert.equal(exposed.conceal(slot, descriptor), WSA.WSAEINVAL)
  assert.equal(open.size, 0, 'the fabric still lets the peer ask')
  assert.deepEqual([said.at(-1)?.kind, said.at(-1)?.words], [messages.CONCEAL, [descriptor]])
  assert.equal(words[LINK_WANTS_ROOM], 1)
  gone(7)
  assert.equal(exposed.conceal(slot, descriptor), WSA.WSAEINVAL, 'its end has not even been sent')
  post(9)
  gone(8)
  assert.equal(words[LINK_WANTS_ROOM], 1, 'nobody tells when the rest has gone')
  assert.deepEqual([exposed.conceal(slot, descriptor), signals()], [WSA.WSAEINVAL, 0])
  gone(9)
  gone(10)
  assert.deepEqual([signals(), words[LINK_WANTS_ROOM]], [1, 0])
  assert.equal(said.length, 2, 'its end was said more than once')
  assert.equal(exposed.conceal(slot, descriptor), 0)
  assert.equal(exposed.conceal(slot, descriptor), WSA.WSAEINVAL)
})

test('what is not the application\u2019s yet counts among what may be exposed', () => {
  const { exposed, slot, expose, post, gone } = made()
  for (let i = 0; i < layout.MAX_EXPOSED; i++) expose()
  const full = { ok: false, error: WSA.WSAENOBUFS }
  assert.deepEqual(exposed.expose(slot, MEMORY, 'read'), full)
  exposed.conceal(slot, 3)
  post(1)
  assert.deepEqual(exposed.expose(slot, MEMORY, 'read'), full)
  gone(1)
  assert.equal(exposed.conceal(slot, 3), 0)
  expose()
})

test('after a close here the peer has a heartbeat for what it was reading, then nothing is open to it', () => {
  const { exposed, slot, sent, open, expose } = made()
  expose()
  exposed.closed(slot)
  assert.equal(exposed.beat(), true)
  assert.equal(open.size, 1)
  assert.equal(exposed.beat(), true)
  assert.deepEqual([open.size, sent], [0, [messages.NOTHING]])
})

test('after a close of the peer nothing is open to it', () => {
  const { exposed, slot, open, sent, expose, gone, signals } = made()
  const descriptor = expose()
  exposed.peerClosed(slot)
  assert.deepEqual([open.size, sent], [0, [messages.NOTHING]])
  assert.equal(exposed.conceal(slot, descriptor), WSA.WSAEINVAL)
  gone(1)
  assert.equal(signals(), 1)
  assert.equal(exposed.conceal(slot, descriptor), 0)
})

test('a close of the peer costs no message where nothing was open to it', () => {
  const { exposed, slot, sent, words } = made()
  exposed.peerClosed(slot)
  assert.deepEqual([sent, words[LINK_WANTS_ROOM]], [[], 0])
})

test('a peer that does not take what it has asked for counts as dead', () => {
  const { exposed, slot, expose, post } = made()
  exposed.conceal(slot, expose())
  post(1)
  for (let beats = 0; beats < 4; beats++) assert.equal(exposed.beat(), true)
  assert.equal(exposed.beat(), false)
})

test('what nobody may read, the peer does not hear of', () => {
  const { exposed, slot, said } = made()
  const result = exposed.expose(slot, MEMORY, 'write')
  assert.ok(result.ok)
  assert.equal(exposed.conceal(slot, result.value), 0)
  assert.deepEqual(said, [])
})

test('a peer that gives nothing of what it has exposed counts as dead, and one that gives does not', () => {
  let numbers = 0
  const jobs: (() => void)[] = []
  const reads = readsOf(() => (numbers += 1), jobs)
  const done: number[] = []
  for (let beats = 0; beats < 9; beats++) assert.equal(reads.beat(), true, 'nothing was asked for')
  for (let i = 0; i < 2; i++) {
    reads.add({
      target: MEMORY,
      from: { bytes: 100, address: 0n, key: 0n },
      done: (status) => done.push(status),
    })
  }
  for (let beats = 0; beats < 4; beats++) assert.equal(reads.beat(), true)
  reads.done(1)
  for (let beats = 0; beats < 4; beats++) assert.equal(reads.beat(), true)
  assert.equal(reads.beat(), false)
  assert.deepEqual(done, [0])
  reads.end()
  for (const job of jobs) job()
  assert.deepEqual(done, [0, WSA.WSAECONNRESET])
})

test('reads beyond those that the fabric takes wait their turn, and one that it refuses ends alone', () => {
  const answers = [1, AGAIN, AGAIN, -12, 2]
  const jobs: (() => void)[] = []
  const reads = readsOf(() => answers.shift() ?? 0, jobs)
  const done: number[] = []
  for (let i = 0; i < 3; i++) {
    reads.add({
      target: MEMORY,
      from: { bytes: 100, address: 0n, key: 0n },
      done: (status) => done.push(i, status),
    })
  }
  assert.equal(reads.post(), true)
  for (const job of jobs) job()
  assert.deepEqual(done, [1, WSA.WSAENOBUFS])
  reads.done(2)
  reads.done(1)
  assert.deepEqual(done, [1, WSA.WSAENOBUFS, 2, 0, 0, 0])
})
