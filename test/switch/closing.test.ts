import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA } from '../../src/spi/index.ts'
import type { Overlapped } from '../../src/spi/index.ts'
import { settle } from './fake-clock.ts'
import { Host, RawPeer, SERVER } from './host.ts'
import { sessionPair } from './session-pair.ts'
import type { SessionPair } from './session-pair.ts'
import type { Entry } from './spy.ts'

/** The numbers of the spied sockets of a pair: the listener was the first. */
const ONE = 2
const OTHER = 3

describe('shutting down', () => {
  test('WSD-SHUT-1 reaches no function of the provider: only the header of the session says it', async () => {
    const { journal, one } = await quietPair()
    one.session.shutdown()
    assert.deepEqual(journal.labels(), ['san.rdmaWrite', 'san.signal'])
    one.session.shutdown()
    assert.equal(journal.entries.length, 2)
  })

  test('WSD-SHUT-2 ends sending here and, after all data, reading there; the other way stays open', async () => {
    const { one, other } = await sessionPair()
    one.say('last words')
    one.session.shutdown()
    assert.equal(one.session.state, 'draining')
    await settle()
    assert.deepEqual(other.hear(), { text: 'last words', then: 'end' })
    assert.equal(other.session.state, 'halfOpen')
    other.say('answer')
    assert.deepEqual(one.hear(), { text: 'answer', then: 'more' })
    other.session.shutdown()
    assert.deepEqual(one.hear(), { text: '', then: 'end' })
    assert.deepEqual([one.session.state, other.session.state], ['finished', 'finished'])
  })

  test('WSD-SHUT-3 the graceful part is over when the provider hears of the close', async () => {
    const { journal, one, other } = await sessionPair()
    one.session.shutdown()
    other.session.shutdown()
    assert.equal(journal.all('san.close').length, 1)
    one.session.close()
    assert.equal(journal.all('san.close')[1]?.result, 0)
  })

  test('WSD-SHUT-4 after the end was sent, sending fails with WSAESHUTDOWN', async () => {
    const { one, other } = await sessionPair()
    one.session.shutdown()
    assert.equal(one.session.write([Buffer.from('more')]), -WSA.WSAESHUTDOWN)
    await settle()
    assert.deepEqual(other.hear(), { text: '', then: 'end' })
    other.session.shutdown()
    assert.equal(other.session.write([Buffer.from('more')]), -WSA.WSAESHUTDOWN)
  })
})

describe('closing', () => {
  for (const [closer, survivor, who] of [
    ['one', 'other', 'initiator'],
    ['other', 'one', 'acceptor'],
  ] as const) {
    test(`WSD-CLOSE-1 WSD-CLOSE-2 the ${who} closes, and the connection ends on both sides`, async () => {
      const pair = await sessionPair()
      pair[closer].session.close()
      assert.equal(pair.journal.all('san.close').at(-1)?.socket, closer === 'one' ? ONE : OTHER)
      await settle()
      assert.deepEqual(pair[survivor].hear(), { text: '', then: 'end' })
      assert.equal(pair[survivor].session.socket.signal(), WSA.WSAECONNRESET)
    })
  }

  test('WSD-CLOSE-3 the receive of the side that did not close ends with WSAECONNRESET', async () => {
    const { journal, one } = await quietPair()
    one.session.close()
    await settle()
    const [told, ended] = completions(journal.entries, OTHER)
    assert.deepEqual(
      [told, ended].map((args) => args?.[1]),
      [0, WSA.WSAECONNRESET],
    )
  })

  test('WSD-CLOSE-4 the pending receive of the side that closes ends with WSA_OPERATION_ABORTED, once, with no bytes', async () => {
    const { journal, one } = await quietPair()
    one.session.close()
    assert.equal(journal.count('san^completeOverlappedRequest'), 0)
    await settle()
    const ends = completions(journal.entries, ONE)
    assert.deepEqual(
      ends.map(([, status, bytes]) => [status, bytes]),
      [[WSA.WSA_OPERATION_ABORTED, 0]],
    )
    assert.equal((ends[0]?.[0] as Overlapped).status, WSA.WSA_OPERATION_ABORTED)
  })

  test('WSD-CLOSE-5 RACE-23 by the time the abort is told, the operation holds nothing of the connection', async () => {
    const { journal, one } = await quietPair()
    let memory: unknown
    journal.after('san^completeOverlappedRequest', () => {
      memory = one.session.socket.memory()
    })
    one.session.close()
    await settle()
    assert.deepEqual(memory, { ok: false, error: WSA.WSAENOTSOCK })
  })

  test('WSD-CLOSE-6 RACE-24 scenario 21: closeSocketHandle is the last upcall of each socket, and the only one of its kind', async () => {
    const { journal, one, other } = await quietPair()
    one.session.close()
    await settle()
    other.session.close()
    await settle()
    for (const socket of [ONE, OTHER]) {
      const upcalls = journal.entries.filter((entry) => entry.direction === 'up' && entry.socket === socket)
      const names = upcalls.map(({ name }) => name)
      assert.equal(names.indexOf('closeSocketHandle'), names.length - 1)
    }
  })

  test('WSD-CLOSE-7 after everything is closed the provider holds nothing', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    attempt.end.session.close()
    listening.ends[0]?.session.close()
    listening.socket.close()
    await settle()
    assert.equal(host.journal.count('san^createSocketHandle'), 3)
    assert.equal(host.journal.count('san^closeSocketHandle'), 3)
    const again = host.connect(SERVER)
    await settle()
    assert.deepEqual(again.outcome, { kind: 'tcpip', reason: 'peer-not-switched', status: 0 })
  })

  test('WSD-CLOSE-8 the switch does the rest: who has closed hears nothing any more', async () => {
    const { one, other } = await sessionPair()
    other.say('too late')
    one.session.reset()
    const before = [one.readableCalls, one.writableCalls]
    await settle()
    assert.deepEqual([one.readableCalls, one.writableCalls], before)
    assert.equal(one.session.state, 'closed')
    one.session.close()
    one.session.reset()
    one.session.shutdown()
    assert.equal(one.session.write([Buffer.from('x')]), -WSA.WSAESHUTDOWN)
    assert.equal(one.session.read(1), undefined)
    assert.equal(one.session.readEnd(), 'reset')
  })

  test('WSD-CLOSE-9 RACE-25 what the peer published stays readable after it is gone, until the socket is closed here', async () => {
    const { journal, one, other } = await sessionPair()
    one.say('still there')
    one.session.reset()
    await settle()
    assert.ok(journal.all('san.close').every(({ socket }) => socket !== OTHER))
    assert.deepEqual(other.hear(), { text: 'still there', then: 'reset' })
    other.session.close()
    assert.equal(journal.all('san.close').at(-1)?.socket, OTHER)
  })

  test('WSD-CLOSE-10 afterwards the descriptor of the provider means nothing', async () => {
    const { one } = await sessionPair()
    one.session.close()
    assert.equal(one.session.socket.close(), WSA.WSAENOTSOCK)
    assert.equal(one.session.socket.signal(), WSA.WSAENOTSOCK)
  })

  test('WSD-CLOSE-13 WSD-CLOSE-11 WSD-MEM-8 rings still registered are not given back one by one: the close takes all', async () => {
    const { journal, one } = await sessionPair()
    one.session.write([Buffer.alloc(5000)])
    assert.equal(journal.count('san.registerMemory'), 1)
    one.session.reset()
    assert.equal(journal.count('san.deregisterMemory'), 0)
    await settle()
    assert.equal(journal.all('san^closeSocketHandle').filter(({ socket }) => socket === ONE).length, 1)
  })

  test('WSD-CLOSE-15 RACE-28 a side whose peer is gone gets errors, never a fault', async () => {
    const { one, other } = await sessionPair()
    one.session.reset()
    await settle()
    assert.equal(other.session.write([Buffer.alloc(3000)]), -WSA.WSAECONNRESET)
    other.session.shutdown()
    assert.equal(other.session.read(10), undefined)
    assert.equal(other.session.readEnd(), 'reset')
    other.session.reset()
  })

  test('WSD-CLOSE-18 one closeSocketHandle for each createSocketHandle, also for a connect that failed', async () => {
    const host = new Host()
    const attempts = [host.connect(SERVER), host.connect({ ...SERVER, port: SERVER.port + 1 })]
    await settle()
    assert.ok(attempts.every(({ outcome }) => outcome.kind === 'tcpip'))
    assert.equal(host.journal.count('san^createSocketHandle'), 2)
    assert.equal(host.journal.count('san^closeSocketHandle'), 2)
  })

  test('WSD-CLOSE-19 the socket of the application closes the companion first, then TCP/IP', async () => {
    const host = new Host()
    new RawPeer(host.network).listen(SERVER, () => ({ decision: 'CF_DEFER' }))
    const attempt = host.connect(SERVER)
    host.journal.clear()
    attempt.socket.close()
    assert.deepEqual(host.journal.labels(), ['san.close', 'tcp.release'])
    await settle()
    assert.deepEqual(attempt.outcomes, [])
  })

  test('RACE-26 scenario 22: both sides may close in the same turn', async () => {
    for (const how of ['close', 'reset'] as const) {
      const { journal, one, other } = await quietPair()
      one.session[how]()
      other.session[how]()
      await settle()
      assert.equal(journal.count('san^closeSocketHandle'), 2)
      assert.deepEqual([one.session.state, other.session.state], ['closed', 'closed'])
    }
  })
})

/** A pair whose making is forgotten. */
async function quietPair(): Promise<SessionPair> {
  const pair = await sessionPair()
  pair.journal.clear()
  return pair
}

/** What `completeOverlappedRequest` was told for `socket`: operation, status, bytes. */
function completions(entries: readonly Entry[], socket: number): (readonly unknown[])[] {
  return entries
    .filter((entry) => entry.name === 'completeOverlappedRequest' && entry.socket === socket)
    .map(({ args }) => args)
}
