import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA } from '../../src/spi/index.ts'
import type { Condition, IncomingRequest, Judgement } from '../../src/switch/incoming.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { settle } from './fake-clock.ts'
import {
  CLIENT,
  CONNECT_TIMEOUT_MS,
  HELLO,
  Host,
  JUDGEMENT_TIMEOUT_MS,
  NEGOTIATION_TIMEOUT_MS,
  RawPeer,
  SERVER,
  WILDCARD,
  failing,
  sanOver,
} from './host.ts'
import type { Attempt, HostOptions, Listening } from './host.ts'

describe('conditional accept', () => {
  test('WSD-ACCEPT-8 RACE-6 the application is asked once, inside accept, before the peer knows anything', async () => {
    const { host, listening, requests, connect } = judging(() => 'accept')
    const attempt = connect(1)
    let told: unknown = 'not asked'
    host.journal.after('san^condition', () => {
      told = attempt.outcomes.length
    })
    await settle()
    assert.equal(told, 0)
    assert.deepEqual(
      requests.map(({ remote, local, provider, state }) => ({ remote, local, provider, state })),
      [{ remote: { ...CLIENT, port: 1 }, local: SERVER, provider: 'san', state: 'established' }],
    )
    assert.equal(attempt.outcome.kind, 'san')
    assert.equal(listening.arrivals[0]?.request, requests[0])
  })

  test('WSD-ACCEPT-18 WSD-ACCEPT-19 whom the application rejects is refused for good, with the code it chose', async () => {
    for (const reject of [WSA.WSAECONNREFUSED, WSA.WSAECONNRESET, WSA.WSAEHOSTUNREACH] as const) {
      const { host, listening, connect } = judging(() => ({ reject }))
      const attempt = connect(1)
      await settle()
      assert.deepEqual(attempt.outcome, { kind: 'failed', code: reject })
      assert.deepEqual([listening.arrivals.length, host.journal.count('tcp.connect')], [0, 0])
    }
  })

  test('AMB-5 a deferred request holds up no other, and is decided later, in any order', async () => {
    const { listening, requests, connect } = judging(({ remote }) => (remote.port === 4 ? 'accept' : 'defer'))
    const attempts = [1, 2, 3, 4].map(connect)
    await settle()
    assert.deepEqual(
      requests.map(({ state }) => state),
      ['deferred', 'deferred', 'deferred', 'established'],
    )
    assert.equal(requests[2]?.accept(), true)
    assert.equal(requests[1]?.reject(), true)
    await settle()
    assert.equal(requests[0]?.accept(), true)
    await settle()
    assert.deepEqual(portsOf(listening), [4, 3, 1])
    assert.deepEqual(
      attempts.map(({ outcome }) => outcome.kind),
      ['san', 'failed', 'san', 'san'],
    )
  })

  test('the connect of a deferred request waits as long as the application does, and never goes on over TCP/IP', async () => {
    const { host, requests, connect } = judging(() => 'defer')
    const [patient, accepted] = [connect(1), connect(2)]
    await settle()
    host.clock.advance(JUDGEMENT_TIMEOUT_MS - 1)
    assert.deepEqual([patient.outcomes, accepted.outcomes], [[], []])
    requests[1]?.accept()
    await settle()
    assert.equal(accepted.outcome.kind, 'san')
    host.clock.advance(1)
    await settle()
    assert.deepEqual(patient.outcome, { kind: 'failed', code: WSA.WSAETIMEDOUT })
    assert.equal(host.journal.count('tcp.connect'), 0)
    assert.equal(requests[0]?.state, 'abandoned')
  })

  test('a peer that hears nothing of being judged goes on over TCP/IP, as if nobody had answered', async () => {
    const { host, requests, connect } = judging(() => 'defer')
    const attempt = connect(1)
    host.clock.advance(CONNECT_TIMEOUT_MS + 1)
    await settle()
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'handshake-timeout', status: 0 })
    assert.equal(requests.length, 0)
  })

  test('WSD-ACCEPT-21 a peer that gives up meanwhile is reported once, and what is decided then has no effect', async () => {
    const { listening, requests, connect, abandoned } = judging(() => 'defer')
    const [first, second] = [connect(1), connect(2), connect(3)]
    await settle()
    first.socket.close()
    assert.deepEqual(abandoned, [], 'reported from inside the call')
    // The provider knows it before the listener has heard of it.
    assert.equal(requests[0]?.accept(), false)
    await settle()
    assert.deepEqual(abandoned, [1])
    assert.deepEqual([requests[0].accept(), requests[0].reject()], [false, false])
    second.socket.close()
    assert.equal(requests[1]?.reject(), false)
    await settle()
    assert.deepEqual([abandoned, requests[1].state], [[1], 'rejected'])
    requests[2]?.accept()
    await settle()
    assert.deepEqual(portsOf(listening), [3])
  })

  test('a peer that gives up after it was accepted, and before it went through with it, is reported, too', async () => {
    for (const judgement of ['accept', 'defer'] as const) {
      const { host, listening, requests, abandoned } = judging(() => judgement)
      const client = new RawPeer(host.network).connect(SERVER, HELLO)
      await settle()
      if (judgement === 'defer') assert.equal(requests[0]?.accept(), true)
      assert.equal(requests[0]?.state, 'establishing')
      client.socket.close()
      await settle()
      assert.deepEqual([abandoned, listening.arrivals.length], [[CLIENT.port], 0])
    }
  })

  test('an accepted initiator that says nothing more is given up, and reported', async () => {
    const { host, abandoned } = judging(() => 'accept')
    new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    host.clock.advance(NEGOTIATION_TIMEOUT_MS)
    await settle()
    assert.deepEqual(abandoned, [CLIENT.port])
  })

  test('a decision from inside the condition takes effect when the condition defers', async () => {
    const { listening, requests, connect } = judging((request) => {
      assert.equal(request.remote.port === 1 ? request.accept() : request.reject(), true)
      return request.remote.port === 3 ? 'accept' : 'defer'
    })
    const attempts = [1, 2, 3].map(connect)
    await settle()
    assert.deepEqual(portsOf(listening), [1, 3])
    assert.deepEqual(
      attempts.map(({ outcome }) => outcome.kind),
      ['san', 'failed', 'san'],
    )
    assert.equal(requests[0]?.accept(), false)
  })

  test('a condition that throws rejects, and what it threw is nobody else’s trouble', async () => {
    const raised: unknown[] = []
    const error = new Error('undecided')
    const condition = ({ remote }: IncomingRequest): Judgement => {
      if (remote.port === 1) throw error
      return 'accept'
    }
    const { connect } = judging(condition, {}, { raised })
    const attempts = [1, 2].map(connect)
    await settle()
    assert.deepEqual(
      attempts.map(({ outcome }) => outcome.kind),
      ['failed', 'san'],
    )
    assert.deepEqual(raised, [error])
  })

  test('WSD-LISTEN-12 deferred requests count against the backlog', async () => {
    const { connect, requests } = judging(() => 'defer', { backlog: 2 })
    const attempts = [1, 2, 3].map(connect)
    await settle()
    assert.equal(requests.length, 2)
    assert.deepEqual(attempts[2]?.outcome, { kind: 'failed', code: WSA.WSAECONNREFUSED })
    requests[0]?.reject()
    await settle()
    connect(4)
    await settle()
    assert.equal(requests.length, 3)
  })

  test('WSD-CLOSE-14 a listener that closes refuses what it has deferred, and its application hears no more of it', async () => {
    const { listening, requests, connect, abandoned } = judging(() => 'defer')
    const attempt = connect(1)
    await settle()
    listening.socket.close()
    await settle()
    assert.notEqual(attempt.outcome.kind, 'san')
    assert.deepEqual([requests[0]?.accept(), requests[0]?.reject()], [false, false])
    await settle()
    assert.deepEqual(abandoned, [])
  })

  test('a listener that leaves the SAN reports what it had deferred', async () => {
    const { listening, connect, abandoned } = judging(() => 'defer')
    connect(1)
    await settle()
    listening.socket.leaveSan('shared')
    await settle()
    assert.deepEqual(abandoned, [1])
  })

  test('the condition may close its listener', async () => {
    for (const judgement of ['accept', 'defer', { reject: WSA.WSAECONNREFUSED }] as const) {
      const made = judging(() => {
        made.listening.socket.close()
        return judgement
      })
      const attempt = made.connect(1)
      await settle()
      assert.notEqual(attempt.outcome.kind, 'san')
      assert.deepEqual([made.listening.arrivals.length, made.abandoned], [0, []])
    }
  })

  test('an accept that fails after the application agreed is reported, and its peer does not wait', async () => {
    const fault = failing('accept', 'WSAENOBUFS', 3)
    const { requests, connect, abandoned } = judging(() => 'defer', {}, { faults: [fault] })
    const attempt = connect(1)
    await settle()
    assert.equal(requests[0]?.accept(), false)
    await settle()
    assert.deepEqual([requests[0].state, abandoned], ['abandoned', [1]])
    assert.equal(attempt.outcome.kind, 'failed')
  })

  test('WSD-ACCEPT-4 pull: requests of several SANs wait in their order until somebody asks', async () => {
    const [one, other] = [new LoopbackNetwork(), new LoopbackNetwork()]
    const { host, listening, requests } = judging(
      () => 'defer',
      {},
      { providers: [sanOver(one), sanOver(other)] },
      WILDCARD,
    )
    for (const port of [5, 3, 9]) {
      new RawPeer(port === 3 ? other : one).connect(SERVER, HELLO, { ...CLIENT, port })
      await settle()
    }
    assert.deepEqual(
      requests.map(({ remote, provider }) => `${remote.port} ${provider}`),
      ['5 san', '3 san2', '9 san'],
    )
    assert.equal(listening.arrivals.length, 0)
    assert.equal(host.journal.count('san^createSocketHandle'), 1, 'a request nobody asked for was accepted')
  })

  test('WSD-LISTEN-16 listening again changes the backlog, at the SAN as well, and nothing else', async () => {
    const { host, listening, connect } = judging(() => 'defer', { backlog: 1 })
    host.journal.clear()
    assert.equal(
      listening.socket.listen(2, () => assert.fail('the first one hears')),
      0,
    )
    assert.deepEqual(host.journal.labels(), ['tcp.listen', 'san.listen'])
    assert.deepEqual(host.journal.one('san.listen').args, [2])
    const attempts = [1, 2, 3].map(connect)
    await settle()
    assert.deepEqual(
      attempts.map(({ outcomes }) => outcomes.length),
      [0, 0, 1],
    )
  })
})

interface Judging {
  readonly host: Host
  readonly listening: Listening
  /** What the application was asked about. */
  readonly requests: readonly IncomingRequest[]
  /** The ports of the peers that were reported to have given up. */
  readonly abandoned: readonly number[]
  readonly connect: (port: number) => Attempt
}

/** A listener whose application judges with `condition`. */
function judging(
  condition: (request: IncomingRequest) => Judgement,
  listen: { backlog?: number } = {},
  options: HostOptions = {},
  local = SERVER,
): Judging {
  const host = new Host(options)
  const requests: IncomingRequest[] = []
  const abandoned: number[] = []
  const remembered: Condition = (request) => {
    requests.push(request)
    request.onAbandoned = () => abandoned.push(request.remote.port)
    return condition(request)
  }
  const listening = host.listen(local, { ...listen, condition: remembered })
  const connect = (port: number): Attempt => host.connect(SERVER, { local: { ...CLIENT, port } })
  return { host, listening, requests, abandoned, connect }
}

function portsOf({ arrivals }: Listening): number[] {
  return arrivals.map(({ remote }) => remote.port)
}
