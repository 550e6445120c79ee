import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { SOMAXCONN, SPI_VERSION, WSA, failure } from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { SanListener } from '../../src/switch/listen.ts'
import { started } from '../../src/switch/started-provider.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { settle } from './fake-clock.ts'
import {
  ELSEWHERE,
  HELLO,
  Host,
  LIMITS,
  RawPeer,
  SERVER,
  SUBNET,
  WILDCARD,
  failing,
  sanOver,
} from './host.ts'
import { spy } from './spy.ts'

const COMPANION = ['san.socket', 'san^createSocketHandle', 'san.bind']

describe('listen', () => {
  test('WSD-LISTEN-1 RACE-1 TCP/IP listens before any SAN provider is called', () => {
    for (const address of [SERVER, WILDCARD]) {
      const host = new Host()
      host.journal.clear()
      assert.equal(host.listen(address, { backlog: 5 }).status, 0)
      const [first, ...others] = host.journal.entries
      assert.equal(first?.label, 'tcp.listen')
      assert.deepEqual(first.args, [5])
      assert.equal(others.filter(({ label }) => label === 'tcp.listen').length, 0)
    }
  })

  test('WSD-LISTEN-1 what TCP/IP refuses is refused, and no SAN provider hears of it', () => {
    const host = new Host()
    host.journal.clear()
    const { socket, status } = host.listen(SERVER, { tcp: { listen: WSA.WSAEADDRINUSE } })
    assert.equal(status, WSA.WSAEADDRINUSE)
    assert.equal(socket.state, 'idle')
    assert.deepEqual(host.journal.labels(), ['tcp.listen'])
  })

  test('WSD-LISTEN-2 WSD-ROUTE-6 at a served address or the wildcard a SAN provider listens as well', () => {
    for (const address of [SERVER, WILDCARD]) {
      const host = new Host()
      const { socket } = host.listen(address)
      assert.deepEqual(socket.providers, ['san'])
      assert.equal(socket.reason, undefined)
      assert.deepEqual(host.journal.one('san.bind').args, [address])
      assert.deepEqual(host.switch.stats.reasons, {})
    }
  })

  test('WSD-LISTEN-3 WSD-ARCH-3 at the wildcard each provider gets a listener of its own, at the same port', () => {
    const host = new Host({
      providers: [
        loopback({ subnets: [SUBNET] }),
        loopback({ subnets: [{ ...SUBNET, address: '10.2.0.0' }] }),
      ],
    })
    const { socket } = host.listen(WILDCARD)
    assert.deepEqual(socket.providers, ['san', 'san2'])
    for (const who of ['san', 'san2']) {
      assert.deepEqual(host.journal.one(`${who}.bind`).args, [WILDCARD])
      assert.equal(host.journal.count(`${who}.listen`), 1)
    }
    assert.ok(host.journal.at('san.eventSelect') < host.journal.at('san2.socket'))
  })

  test('WSD-LISTEN-3 a provider that cannot listen leaves the wildcard to the others', async () => {
    const network = new LoopbackNetwork()
    const host = new Host({ network, providers: [loopback({ subnets: [] }), sanOver(network)] })
    const listening = host.listen(WILDCARD)
    assert.deepEqual(listening.socket.providers, ['san2'])
    assert.equal(listening.socket.reason, undefined)
    const attempt = new RawPeer(network).connect(SERVER, HELLO)
    await settle()
    assert.equal(attempt.status, 0)
  })

  test('WSD-LISTEN-4 at an address no SAN serves there is no SAN call at all', () => {
    const host = new Host()
    host.journal.clear()
    const { socket, status } = host.listen(ELSEWHERE)
    assert.equal(status, 0)
    assert.deepEqual(host.journal.labels(), ['tcp.listen', 'tcp.localAddress'])
    assert.deepEqual([socket.providers, socket.reason], [[], 'no-route'])
    assert.deepEqual(host.switch.stats.reasons, { 'no-route': 1 })
  })

  test('WSD-LISTEN-4 what has no address makes no SAN call', () => {
    const host = new Host()
    host.journal.clear()
    const unbound = host.listen(SERVER, { tcp: { localAddress: failure(WSA.WSAEINVAL) } })
    assert.deepEqual([unbound.status, unbound.socket.reason], [0, 'provider-error'])
    assert.ok(host.journal.labels().every((label) => label.startsWith('tcp.')))
  })

  test('WSD-LISTEN-5 the provider listens after the bind, with the backlog of the application', () => {
    const host = new Host()
    host.journal.clear()
    host.listen(SERVER, { backlog: 3 })
    assert.deepEqual(host.journal.labels(), [
      'tcp.listen',
      'tcp.localAddress',
      ...COMPANION,
      'san.listen',
      'san.eventSelect',
    ])
    assert.deepEqual(host.journal.one('san.listen').args, [3])
  })

  test('WSD-LISTEN-6 SOMAXCONN leaves the choice to the provider', () => {
    const host = new Host()
    host.listen(SERVER, { backlog: SOMAXCONN })
    assert.deepEqual(host.journal.one('san.listen').args, [SOMAXCONN])
    assert.equal(host.journal.one('san.listen').result, 0)
  })

  test('WSD-LISTEN-7 the switch never waits in accept: it asks when told, until it would block', async () => {
    const { host } = await served()
    const answers = host.journal.all('san.accept').map(({ result }) => (result as { ok: boolean }).ok)
    assert.deepEqual(answers, [true, false])
    assert.deepEqual(host.journal.all('san.accept')[1]?.result, failure(WSA.WSAEWOULDBLOCK))
  })

  test('WSD-LISTEN-8 the provider is given an event for FD_ACCEPT', () => {
    const host = new Host()
    host.listen(SERVER)
    const { args } = host.journal.one('san.eventSelect')
    assert.equal(args[1], 0x08)
    assert.ok('set' in (args[0] as object))
  })

  test('WSD-LISTEN-9 RACE-2 a request between listen and eventSelect is not lost', async () => {
    const host = new Host()
    const client = new RawPeer(host.network)
    host.journal.after('san.listen', () => client.connect(SERVER, HELLO))
    host.listen(SERVER)
    assert.ok(host.journal.at('san.eventSelect') < host.journal.at('san^set'))
    await settle()
    assert.equal(host.journal.count('san^condition'), 1)
  })

  test('WSD-LISTEN-10 the provider signals the event once a request has come', async () => {
    const host = new Host()
    host.listen(SERVER)
    await settle()
    assert.equal(host.journal.count('san^set'), 0)
    new RawPeer(host.network).connect(SERVER, HELLO)
    assert.equal(host.journal.count('san^set'), 1)
    assert.equal(host.journal.count('san.accept'), 0)
  })

  test('WSD-LISTEN-11 the switch answers in a turn of its own, whatever the application is doing', async () => {
    const { host, attempt } = await served()
    assert.ok(host.journal.at('san^set') < host.journal.at('san.enumNetworkEvents'))
    assert.ok(host.journal.at('san.enumNetworkEvents') < host.journal.at('san.accept'))
    assert.equal(attempt.status, 0)
  })

  test('WSD-LISTEN-12 WSD-LISTEN-13 RACE-7 a full backlog refuses at once: no event, no question to the switch', async () => {
    const host = new Host()
    host.listen(SERVER, { backlog: 2 })
    const peer = new RawPeer(host.network)
    const attempts = [1, 2].map((port) => peer.connect(SERVER, HELLO, { ...SERVER, port }))
    const before = host.journal.count('san^set')
    const refused = peer.connect(SERVER, HELLO, { ...SERVER, port: 3 })
    assert.equal(refused.status, WSA.WSAECONNREFUSED)
    assert.equal(host.journal.count('san^set'), before)
    await settle()
    assert.equal(host.journal.count('san^condition'), 2)
    assert.deepEqual(
      attempts.map(({ status }) => status),
      [0, 0],
    )
  })

  test('WSD-LISTEN-14 WSD-LISTEN-15 whom a full backlog refuses gets WSAECONNREFUSED, and TCP/IP is not tried', async () => {
    const host = new Host()
    host.listen(SERVER, { backlog: 1 })
    const attempts = [host.connect(SERVER), host.connect(SERVER)]
    await settle()
    assert.equal(attempts[0]?.outcome.kind, 'san')
    assert.deepEqual(attempts[1]?.outcome, { kind: 'failed', code: WSA.WSAECONNREFUSED })
    assert.equal(host.journal.count('tcp.connect'), 0)
    assert.equal(host.switch.stats.refusals, 1)
  })

  for (const [call, error, reason, closes] of [
    ['socket', 'WSAENOBUFS', 'resource', 0],
    ['createSocketHandle', 'WSAEMFILE', 'resource', 0],
    ['bind', 'WSAEADDRNOTAVAIL', 'name-taken', 1],
    ['setSockOpt', 'WSAEACCES', 'peer-other-user', 1],
    ['listen', 'WSAEPROCLIM', 'limit', 1],
    ['eventSelect', 'WSAENETDOWN', 'provider-error', 1],
  ] as const) {
    test(`WSD-LISTEN-17 when ${call} fails the companion is closed and TCP/IP serves`, async () => {
      const host = new Host({ faults: [failing(call, error)] })
      const { socket, status } = host.listen(SERVER, { recorded: [['SO_DEBUG', 1]] })
      assert.equal(status, 0)
      assert.deepEqual([socket.providers, socket.reason], [[], reason])
      assert.equal(host.journal.count('san.close'), closes)
      assert.deepEqual(host.switch.stats.reasons, { [reason]: 1 })
      const client = new RawPeer(host.network).connect(SERVER, HELLO)
      await settle()
      assert.equal(client.status, WSA.WSAETIMEDOUT)
      assert.equal(host.journal.count('san^closeSocketHandle'), closes)
      socket.close()
    })
  }

  test('WSD-LISTEN-19 WSD-CLOSE-14 a listener that closes refuses who waits', async () => {
    const host = new Host()
    const { socket, arrivals } = host.listen(SERVER)
    const attempt = new RawPeer(host.network).connect(SERVER, HELLO)
    socket.close()
    await settle()
    // Nobody switched listens any more, which says nothing about TCP/IP (CONNECT-2).
    assert.equal(attempt.status, WSA.WSAETIMEDOUT)
    assert.equal(arrivals.length, 0)
    assert.ok(host.journal.at('san.close') < host.journal.at('tcp.release'))
    assert.equal(host.journal.count('san^condition'), 0)
  })

  test('a second listen reaches TCP/IP and makes no second companion', () => {
    const host = new Host()
    const { socket } = host.listen(SERVER)
    assert.equal(
      socket.listen(9, () => undefined),
      0,
    )
    assert.equal(host.journal.count('tcp.listen'), 2)
    assert.equal(host.journal.count('san.socket'), 1)
  })

  test('a listener handed to somebody else leaves the SAN and stays on TCP/IP', async () => {
    const host = new Host()
    const { socket } = host.listen(SERVER)
    socket.leaveSan('shared')
    assert.deepEqual([socket.state, socket.providers, socket.reason], ['listening', [], 'shared'])
    assert.equal(host.journal.count('san.close'), 1)
    host.switch.add(sanOver(host.network))
    assert.deepEqual(socket.providers, [])
    socket.close()
    socket.close()
    await settle()
    assert.equal(host.journal.count('san.close'), 1)
  })
})

describe("one provider's share of a listener", () => {
  test('is opened once, however often the provider is offered', () => {
    const { host, provider } = apart()
    const { socket } = host.listen(SERVER)
    const entry = started(provider, 'late', LIMITS)
    socket.serve(entry)
    socket.serve(entry)
    assert.deepEqual([socket.providers, host.journal.count('late.socket')], [['san', 'late'], 1])
  })

  test('is closed once, however often it is told', () => {
    const { host, provider } = apart()
    const environment = {
      schedule: setImmediate,
      clock: host.clock,
      connectTimeoutMs: 1,
      judgementTimeoutMs: 1,
      negotiationTimeoutMs: 1,
    }
    const entry = started(provider, 'late', LIMITS)
    const opened = SanListener.open(environment, entry, {
      local: SERVER,
      options: new Map(),
      backlog: 1,
      onArrival: () => undefined,
      admits: () => 0,
      sharing: undefined,
      condition: undefined,
    })
    assert.ok(opened.ok)
    opened.listener.close('forsaken')
    opened.listener.close('forsaken')
    assert.equal(host.journal.count('late.close'), 1)
  })

  /** A provider that the switch has not started. */
  function apart() {
    const host = new Host()
    const provider = spy(sanOver(host.network), 'late', host.journal)
    assert.ok(provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() }).ok)
    return { host, provider }
  }
})

describe('a provider that comes later', () => {
  test('WSD-INST-8 WSD-INST-9 WSD-LISTEN-18 RACE-35 joins the wildcard listeners, and disturbs nobody', async () => {
    const network = new LoopbackNetwork()
    const host = new Host({ network, providers: [loopback({ subnets: [SUBNET] })] })
    const wildcard = host.listen(WILDCARD)
    const single = host.listen({ ...SERVER, port: 81 })
    host.journal.clear()
    host.switch.add(sanOver(network))
    assert.deepEqual(host.journal.labels(), [])
    assert.deepEqual(wildcard.socket.providers, ['san', 'loopback'])
    assert.deepEqual(single.socket.providers, ['san'])
    const peer = new RawPeer(network)
    const attempts = [
      peer.connect(SERVER, HELLO),
      peer.connect({ ...SERVER, port: 81 }, HELLO, { ...SERVER, port: 9 }),
    ]
    await settle()
    assert.deepEqual(
      attempts.map(({ status }) => status),
      [0, WSA.WSAETIMEDOUT],
    )
  })

  test('WSD-INST-9 clears the reason of a listener that had nobody beside TCP/IP', () => {
    const host = new Host({ providers: [] })
    const { socket } = host.listen(WILDCARD)
    assert.equal(socket.reason, 'no-route')
    host.switch.add(sanOver(host.network))
    assert.deepEqual([socket.providers, socket.reason], [['loopback'], undefined])
  })

  test('WSD-INST-9 leaves a closed listener alone', () => {
    const host = new Host({ providers: [] })
    const { socket } = host.listen(WILDCARD)
    socket.close()
    host.switch.untrack(socket)
    const late = host.listen(WILDCARD)
    late.socket.close()
    host.switch.add(sanOver(host.network))
    assert.deepEqual([socket.providers, late.socket.providers], [[], []])
  })
})

async function served() {
  const host = new Host()
  host.listen(SERVER)
  const attempt = new RawPeer(host.network).connect(SERVER, HELLO)
  await settle()
  return { host, attempt }
}
