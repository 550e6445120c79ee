import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA, wsaName } from '../../src/spi/index.ts'
import type { EventObject, Verdict, WsaCode, WsaName } from '../../src/spi/index.ts'
import type { ConnectOutcome } from '../../src/switch/socket.ts'
import type { Reason } from '../../src/switch/reasons.ts'
import { settle } from './fake-clock.ts'
import { FakeProvider } from './fake-socket.ts'
import type { FakeSocket } from './fake-socket.ts'
import {
  CONNECT_TIMEOUT_MS,
  ELSEWHERE,
  GRACE_MS,
  HELLO,
  Host,
  LIMITS,
  RawPeer,
  SERVER,
  SUBNET,
  failing,
} from './host.ts'

const ACCEPT: Verdict = { decision: 'CF_ACCEPT', calleeData: HELLO }

/** The codes with which a provider promises that TCP/IP would fail, too. */
const FINAL: readonly WsaName[] = ['WSAECONNREFUSED', 'WSAECONNRESET', 'WSAEHOSTUNREACH']

/** Why TCP/IP carries a connection whose connect over the SAN failed with a code; `provider-error` for all others. */
const REASON: Partial<Record<WsaName, Reason>> = {
  WSATRY_AGAIN: 'starting',
  WSAETIMEDOUT: 'peer-not-switched',
  WSAEACCES: 'peer-other-user',
  WSAEINVALIDPROVIDER: 'peer-not-owner',
  WSAEFAULT: 'peer-malformed',
  WSASYSNOTREADY: 'owner-unknown',
  WSAECONNABORTED: 'handshake-timeout',
  WSAVERNOTSUPPORTED: 'version',
  WSAENOBUFS: 'resource',
  WSAEMFILE: 'resource',
  WSAEPROCLIM: 'limit',
  WSA_QOS_POLICY_FAILURE: 'peer-rule',
  WSAEADDRNOTAVAIL: 'no-listener',
  WSAENETUNREACH: 'no-route',
  WSAEAFNOSUPPORT: 'no-route',
}

/** Neither is a result: the one answers `connect`, the other says that the peer makes up its mind. */
const CODES = (Object.keys(WSA) as WsaName[]).filter(
  (name) => name !== 'WSAEWOULDBLOCK' && name !== 'WSA_IO_PENDING',
)

function expectedOutcome(name: WsaName): ConnectOutcome {
  if (FINAL.includes(name)) return { kind: 'failed', code: WSA[name] }
  return { kind: 'tcpip', reason: REASON[name] ?? 'provider-error', status: 0 }
}

describe('connect', () => {
  test('WSD-CONN-1 the destination is looked up before anything is made', () => {
    const host = new Host()
    host.journal.clear()
    host.connect(ELSEWHERE)
    assert.deepEqual(host.journal.labels(), ['tcp.connect'])
  })

  test('WSD-CONN-2 a served destination is connected to over the SAN, and TCP/IP is not asked to connect', async () => {
    const host = new Host()
    host.listen(SERVER)
    const attempt = host.connect(SERVER)
    assert.equal(attempt.outcomes.length, 0)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
    assert.deepEqual([attempt.socket.state, attempt.socket.reason], ['onSan', undefined])
    assert.equal(host.journal.count('tcp.connect'), 0)
    assert.equal(host.switch.stats.connects, 1)
  })

  test('WSD-CONN-3 WSD-CONN-4 RACE-10 the event for FD_CONNECT comes first, which makes the connect nonblocking', () => {
    const host = new Host()
    host.listen({ ...SERVER, port: 81 })
    host.journal.clear()
    host.connect(SERVER)
    assert.deepEqual(host.journal.one('san.eventSelect').args[1], 0x10)
    assert.ok(host.journal.at('san.eventSelect') < host.journal.at('san.connect'))
  })

  test('WSD-CONN-5 WSD-NEG-4 the provider gets the IP destination and our hello', () => {
    const host = new Host()
    host.connect(SERVER)
    assert.deepEqual(host.journal.one('san.connect').args, [SERVER, HELLO])
  })

  test('WSD-CONN-7 WSD-CONN-8 WSD-CONN-9 event, result, hello of the peer, session, and only then the application', async () => {
    const host = new Host()
    new RawPeer(host.network).listen(SERVER, () => ACCEPT)
    host.journal.clear()
    const attempt = host.connect(SERVER)
    assert.equal(host.journal.one('san.connect').result, WSA.WSAEWOULDBLOCK)
    const told = host.journal.entries.length
    await settle()
    assert.deepEqual(host.journal.labels().slice(told), [
      'san^set',
      'san.enumNetworkEvents',
      'san^reset',
      'san.calleeData',
      'san.memory',
      'san.receive',
      'san.rdmaWrite',
      'san.signal',
    ])
    assert.equal(attempt.end.session.state, 'open')
  })

  test('WSD-CONN-10 a connected SAN socket is never connected again', async () => {
    const host = new Host()
    host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    assert.throws(() => {
      attempt.socket.connect(SERVER, () => undefined)
    }, /Invariant broken/)
    assert.equal(host.journal.count('san.connect'), 1)
  })

  test('WSD-CONN-11 once connected over the SAN, TCP/IP is out of it, whatever becomes of the peer', async () => {
    const host = new Host()
    const raw = new RawPeer(host.network).listen(SERVER, () => ACCEPT)
    const attempt = host.connect(SERVER)
    await settle()
    raw.accepted[0]!.socket.close()
    await settle()
    assert.notEqual(attempt.end.session.readEnd(), 'more')
    assert.equal(attempt.outcomes.length, 1)
    assert.equal(host.journal.count('tcp.connect'), 0)
  })
})

describe('the result of a connect', () => {
  for (const name of CODES) {
    test(`WSD-CONN-13 WSD-CONN-16 WSD-CONN-17 ${name} at once ${FINAL.includes(name) ? 'is final' : 'goes on over TCP/IP'}`, async () => {
      const host = new Host({ faults: [failing('connect', name)] })
      const attempt = host.connect(SERVER)
      const inside = FINAL.includes(name) ? 0 : 1
      assert.equal(
        attempt.outcomes.length,
        inside,
        'only where TCP/IP goes on is it told from inside the call',
      )
      await settle()
      assert.deepEqual(attempt.outcome, expectedOutcome(name))
      assertAftermath(host, name)
    })

    test(`WSD-CONN-13 WSD-CONN-16 WSD-CONN-17 ${name} by event ${FINAL.includes(name) ? 'is final' : 'goes on over TCP/IP'}`, async () => {
      const host = new Host()
      new RawPeer(host.network).listen(SERVER, () => ({ decision: 'CF_REJECT', error: WSA[name] }))
      const attempt = host.connect(SERVER)
      await settle()
      assert.deepEqual(attempt.outcome, expectedOutcome(name))
      assertAftermath(host, name)
    })
  }

  for (const [call, name] of [
    ['eventSelect', 'WSAENETDOWN'],
    ['eventSelect', 'WSAECONNREFUSED'],
    ['enumNetworkEvents', 'WSAENETDOWN'],
    ['memory', 'WSAENOBUFS'],
  ] as const) {
    test(`WSD-CONN-12 the companion is closed when ${call} fails with ${name}`, async () => {
      const host = new Host({ faults: [failing(call, name)] })
      new RawPeer(host.network).listen(SERVER, () => ACCEPT)
      const attempt = host.connect(SERVER)
      await settle()
      assert.deepEqual(attempt.outcome, expectedOutcome(name))
      assertAftermath(host, name)
    })
  }

  test('WSD-CONN-14 WSD-CONN-15 where nobody switched listens TCP/IP connects', async () => {
    const host = new Host()
    const attempt = host.connect(SERVER)
    await settle()
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-not-switched', status: 0 })
  })

  test('WSD-CLOSE-20 WSD-CONN-12 RACE-30 only the companion is closed, and before TCP/IP connects', async () => {
    const host = new Host({ faults: [failing('connect', 'WSAETIMEDOUT')] })
    host.journal.clear()
    const attempt = host.connect(SERVER, { tcp: { connect: WSA.WSAENETUNREACH } })
    await settle()
    const order = host.journal.labels(['san^closeSocketHandle', 'san^set'])
    assert.deepEqual(order.slice(order.indexOf('san.connect')), ['san.connect', 'san.close', 'tcp.connect'])
    assert.deepEqual(attempt.outcome, {
      kind: 'tcpip',
      reason: 'peer-not-switched',
      status: WSA.WSAENETUNREACH,
    })
    assert.equal(attempt.socket.state, 'onTcp')
  })

  test('a final failure gives the reserved address back and leaves the socket closed', async () => {
    const host = new Host({ faults: [failing('connect', 'WSAECONNREFUSED')] })
    const attempt = host.connect(SERVER)
    await settle()
    assert.ok(host.journal.at('san.close') < host.journal.at('tcp.release'))
    assert.equal(attempt.socket.state, 'closed')
    attempt.socket.close()
    assert.equal(host.journal.count('tcp.release'), 1)
  })

  test('WSD-CONN-6 RACE-12 success at once is success, though no event follows', async () => {
    const { host, fakes } = faked((socket) => {
      socket.connectAnswer = 0
      socket.calleeBytes = Uint8Array.from(HELLO)
    })
    const attempt = host.connect(SERVER)
    assert.equal(attempt.outcomes.length, 0)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
    assert.equal(fakes.sockets[0]?.isClosed, false)
    assert.equal(host.clock.pending, 0)
  })

  test('RACE-11 a result signalled before connect has returned is not lost', async () => {
    const { host, fakes } = faked((socket) => {
      socket.calleeBytes = Uint8Array.from(HELLO)
    })
    host.journal.after('san.connect', () => {
      fakes.sockets[0]?.endConnect(0)
    })
    const attempt = host.connect(SERVER)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
    assert.equal(host.clock.pending, 0)
  })

  test('an event without a result is no result', async () => {
    const { host, fakes } = faked(() => undefined)
    const attempt = host.connect(SERVER)
    const [event] = host.journal.one('san.eventSelect').args as [EventObject]
    event.set()
    await settle()
    assert.equal(attempt.outcomes.length, 0)
    fakes.sockets[0]?.endConnect(WSA.WSAENETDOWN)
    await settle()
    assert.equal(attempt.outcome.kind, 'tcpip')
  })
})

describe('a connect that nobody answers', () => {
  test('WSD-NEG-14 goes on over TCP/IP when its time is up, not earlier', async () => {
    const { host, attempt } = silent()
    host.clock.advance(CONNECT_TIMEOUT_MS - 1)
    await settle()
    assert.equal(attempt.outcomes.length, 0)
    host.clock.advance(1 + GRACE_MS)
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'handshake-timeout', status: 0 })
    assert.deepEqual(host.switch.stats.reasons, { 'handshake-timeout': 1 })
    assert.ok(host.journal.at('san.close') < host.journal.at('tcp.connect'))
  })

  test('WSD-NEG-14 an answer that has come in time counts, though the loop was too busy to look', async () => {
    const { host, fakes } = faked((socket) => {
      socket.calleeBytes = Uint8Array.from(HELLO)
    })
    const attempt = host.connect(SERVER)
    fakes.sockets[0]?.endConnect(0)
    host.clock.advance(CONNECT_TIMEOUT_MS)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
    host.clock.advance(10 * CONNECT_TIMEOUT_MS)
    assert.equal(attempt.end.session.state, 'open')
  })

  test('RACE-29 WSD-CONN-16 stays on TCP/IP though the answer comes after all', async () => {
    const { host, attempt } = silent()
    const [event] = host.journal.one('san.eventSelect').args as [EventObject]
    host.clock.advance(CONNECT_TIMEOUT_MS + GRACE_MS)
    event.set()
    await settle()
    assert.equal(attempt.outcome.kind, 'tcpip')
    assert.equal(host.journal.count('san.enumNetworkEvents'), 0)
  })

  test('WSD-CONN-20 WSD-BLOCK-2 WSD-CLOSE-12 RACE-29 is given up by closing the companion, and a late success is not heard of', async () => {
    const { host, fakes } = faked((socket) => {
      socket.calleeBytes = Uint8Array.from(HELLO)
    })
    const attempt = host.connect(SERVER)
    host.journal.clear()
    fakes.sockets[0]?.endConnect(0)
    attempt.socket.close()
    assert.deepEqual(host.journal.labels(['san^set']), ['san.close', 'tcp.release'])
    fakes.sockets[0]?.endConnect(0)
    await settle()
    host.clock.advance(10 * CONNECT_TIMEOUT_MS)
    assert.deepEqual(attempt.outcomes, [])
    assert.equal(attempt.socket.state, 'closed')
    assert.deepEqual(host.journal.labels(['san^set']), ['san.close', 'tcp.release'])
  })

  test('WSD-CONN-20 given up before the acceptor has answered, it never reaches the other application', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    attempt.socket.close()
    await settle()
    assert.deepEqual([attempt.outcomes.length, listening.arrivals.length], [0, 0])
  })

  test('a result stops the clock', async () => {
    const host = new Host()
    new RawPeer(host.network).listen(SERVER, () => ACCEPT)
    const attempt = host.connect(SERVER)
    assert.equal(host.clock.pending, 1)
    await settle()
    assert.equal(host.clock.pending, 0)
    assert.equal(attempt.outcome.kind, 'san')
  })

  function silent() {
    const host = new Host({ faults: [{ call: 'connect', drop: true }] })
    return { host, attempt: host.connect(SERVER) }
  }
})

/** A host whose only provider is in the hands of the test. */
function faked(prepare: (socket: FakeSocket) => void): { readonly host: Host; readonly fakes: FakeProvider } {
  const fakes = new FakeProvider(LIMITS, SUBNET, prepare)
  return { host: new Host({ providers: [fakes] }), fakes }
}

/** What must be true after a connect over the SAN has failed with `name`. */
function assertAftermath(host: Host, name: WsaName): void {
  const isFinal = FINAL.includes(name)
  const expected = expectedOutcome(name)
  assert.equal(wsaName(WSA[name] satisfies WsaCode), name)
  assert.equal(host.journal.count('san.close'), 1)
  assert.equal(host.journal.count('tcp.connect'), isFinal ? 0 : 1)
  assert.ok(host.journal.at('san.close') < host.journal.at(isFinal ? 'tcp.release' : 'tcp.connect'))
  assert.equal(host.switch.stats.refusals, isFinal ? 1 : 0)
  assert.deepEqual(host.switch.stats.reasons, expected.kind === 'tcpip' ? { [expected.reason]: 1 } : {})
  assert.equal(host.clock.pending, 0)
}
