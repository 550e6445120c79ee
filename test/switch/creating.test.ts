import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA, failure, success } from '../../src/spi/index.ts'
import type { SanSocket, ServedSubnet, SocketAddress, SwitchHandle, Upcalls } from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { settle } from './fake-clock.ts'
import { CLIENT, ELSEWHERE, Host, RawPeer, SERVER, SUBNET, WILDCARD, failing, sanOver } from './host.ts'

/** How TCP/IP gets a connection that the companion could not carry. */
const FALLBACK = ['tcp.reserve', 'san.socket', 'san^createSocketHandle']

describe('the application socket', () => {
  test('WSD-SOCK-1 is made by TCP/IP, and the switch adds nothing to it yet', () => {
    const host = new Host()
    host.journal.clear()
    assert.equal(host.socket(CLIENT).socket.state, 'idle')
    assert.deepEqual(host.journal.labels(), [])
  })

  test('WSD-SOCK-2 is the TCP/IP socket: what TCP/IP is to do is asked of that very one', async () => {
    const host = new Host()
    const one = host.socket(CLIENT)
    const other = host.socket({ ...CLIENT, port: 50_002 })
    one.socket.connect(ELSEWHERE, () => undefined)
    other.socket.connect(SERVER, () => undefined)
    await settle()
    const reserved = host.journal.one('tcp.reserve')
    assert.deepEqual(reserved.result, success({ ...CLIENT, port: 50_002 }))
    assert.deepEqual(
      host.journal.all('tcp.connect').map(({ args }) => args[0]),
      [ELSEWHERE, SERVER],
    )
  })

  test('WSD-SOCK-3 shows its own addresses, whoever carries the data', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    assert.ok(attempt.outcome.kind === 'san')
    assert.deepEqual(attempt.outcome.local, CLIENT)
    const [arrival] = listening.arrivals
    assert.deepEqual([arrival?.local, arrival?.remote], [SERVER, CLIENT])
  })

  test('WSD-SOCK-4 has no SAN socket before listen or connect, whatever options are set', () => {
    const host = new Host()
    host.journal.clear()
    const { socket } = host.socket(CLIENT)
    socket.record('SO_DEBUG', 1)
    socket.record('SO_KEEPALIVE', 1)
    socket.close()
    assert.deepEqual(host.journal.labels(), ['tcp.release'])
  })

  test('WSD-SOCK-5 may be bound to one address or to the wildcard, which takes requests for all of them', async () => {
    const host = new Host()
    const wildcard = host.listen(WILDCARD)
    for (const address of ['10.1.0.1', '10.1.7.7']) host.connect({ ...SERVER, address })
    const single = host.listen({ ...SERVER, port: 81 })
    const missed = host.connect({ ...SERVER, address: '10.1.7.7', port: 81 })
    await settle()
    assert.deepEqual(
      wildcard.arrivals.map(({ local }) => local.address),
      ['10.1.0.1', '10.1.7.7'],
    )
    assert.equal(single.arrivals.length, 0)
    assert.equal(missed.outcome.kind, 'tcpip')
  })

  test('WSD-SOCK-6 is bound by TCP/IP alone: a SAN provider hears of the address at listen', () => {
    const host = new Host()
    const { socket, tcp } = host.socket(SERVER)
    host.journal.clear()
    assert.deepEqual(tcp.localAddress(), success(SERVER))
    assert.deepEqual(host.journal.labels(), ['tcp.localAddress'])
    socket.listen(1, () => undefined)
    assert.deepEqual(host.journal.one('san.bind').args, [SERVER])
  })

  test('WSD-SOCK-8 is given to a provider only at listen or connect', () => {
    const host = new Host()
    const listener = host.socket(SERVER)
    const client = host.socket(CLIENT)
    host.journal.clear()
    listener.socket.listen(1, () => undefined)
    assert.equal(host.journal.count('san.socket'), 1)
    client.socket.connect(SERVER, () => undefined)
    assert.equal(host.journal.count('san.socket'), 2)
  })

  test('WSD-SOCK-9 is carried by TCP/IP where no SAN provider can be used', () => {
    for (const host of [
      new Host({ providers: [] }),
      new Host({ faults: [failing('startup', 'WSAENETDOWN')] }),
    ]) {
      assert.equal(host.listen(SERVER).status, 0)
      const attempt = host.connect(SERVER)
      assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'no-route', status: 0 })
      assert.equal(host.journal.count('san.socket'), 0)
    }
  })

  test('WSD-SOCK-10 gets a companion from the provider that was chosen, and from no other', () => {
    const host = new Host({
      providers: [
        loopback({ subnets: [{ ...SUBNET, address: '10.2.0.0' }] }),
        loopback({ subnets: [SUBNET] }),
      ],
    })
    host.connect(SERVER)
    assert.equal(host.journal.count('san.socket'), 0)
    assert.equal(host.journal.count('san2.socket'), 1)
  })

  test('WSD-ROUTE-1 stays on TCP/IP for what no SAN serves, and for what the face says must stay', () => {
    const host = new Host()
    host.journal.clear()
    assert.deepEqual(host.connect(ELSEWHERE).outcome, { kind: 'tcpip', reason: 'no-route', status: 0 })
    assert.deepEqual(host.connect(SERVER, { stay: 'shared' }).outcome, {
      kind: 'tcpip',
      reason: 'shared',
      status: 0,
    })
    assert.deepEqual(host.journal.labels(), ['tcp.connect', 'tcp.connect'])
    assert.deepEqual(host.switch.stats.reasons, { 'no-route': 1, shared: 1 })
  })

  test('WSD-ARCH-4 WSD-ARCH-7 is decided for by itself: one goes over one SAN, one over another, one over TCP/IP', async () => {
    const [one, other] = [new LoopbackNetwork(), new LoopbackNetwork()]
    const far: ServedSubnet = { ...SUBNET, address: '10.2.0.0' }
    const host = new Host({ providers: [sanOver(one), sanOver(other, { subnets: [SUBNET, far] })] })
    const there = { ...SERVER, address: '10.2.0.1' }
    for (const address of [SERVER, there]) host.listen(address)
    const attempts = [SERVER, there, ELSEWHERE].map((address) => host.connect(address))
    await settle()
    assert.deepEqual(
      attempts.map(({ outcome }) => (outcome.kind === 'san' ? outcome.provider : outcome.kind)),
      ['san', 'san2', 'tcpip'],
    )
  })

  test('WSD-ROUTE-2 WSD-ROUTE-3 WSD-COMP-5 a SAN provider is asked for streams of an IP family, and can be asked for nothing else', () => {
    const host = new Host()
    host.listen(SERVER)
    host.connect(SERVER)
    for (const { args } of host.journal.all('san.socket')) assert.deepEqual(args, [{ family: 'IPv4' }])
  })

  test('WSD-ROUTE-4 WSD-ROUTE-5 the destination chooses, by subnet, the first provider that serves it', () => {
    const both = [loopback({ subnets: [SUBNET] }), loopback({ subnets: [{ ...SUBNET, prefixLength: 24 }] })]
    const host = new Host({ providers: both })
    host.connect(SERVER)
    host.connect({ ...SERVER, address: '10.1.255.255' })
    host.connect({ ...SERVER, address: '10.2.0.0' })
    assert.equal(host.journal.count('san.socket'), 2)
    assert.equal(host.journal.count('san2.socket'), 0)
  })
})

describe('the companion', () => {
  test('WSD-COMP-1 has a record of its own in the provider, which its switch descriptor gives back', () => {
    const table = new UpcallTable()
    const [one, other] = [{}, {}]
    const [first, second] = [table.createSocketHandle(one), table.createSocketHandle(other)]
    assert.ok(first.ok && second.ok)
    assert.deepEqual(table.querySocketHandleContext(first.value), success(one))
    const found = table.querySocketHandleContext(second.value)
    assert.ok(found.ok && found.value === other)
    assert.equal(table.open, 2)
  })

  test('WSD-COMP-2 WSD-COMP-15 is created, bound, given its options and then connects, in this order', () => {
    const host = new Host()
    new RawPeer(host.network).listen(SERVER, () => ({ decision: 'CF_DEFER' }))
    host.journal.clear()
    host.connect(SERVER, { recorded: [['SO_DEBUG', 1]] })
    assert.deepEqual(host.journal.labels(), [
      'tcp.reserve',
      'san.socket',
      'san^createSocketHandle',
      'san.bind',
      'san.setSockOpt',
      'san.eventSelect',
      'san.connect',
    ])
  })

  test('WSD-COMP-15 is created, bound, given its options and then listens, in this order', () => {
    const host = new Host()
    host.journal.clear()
    host.listen(SERVER, { recorded: [['SO_DEBUG', 1]] })
    assert.deepEqual(host.journal.labels(), [
      'tcp.listen',
      'tcp.localAddress',
      'san.socket',
      'san^createSocketHandle',
      'san.bind',
      'san.setSockOpt',
      'san.listen',
      'san.eventSelect',
    ])
  })

  test("WSD-COMP-3 is known to the switch by the provider's own descriptor, never by the switch's", async () => {
    const host = new Host()
    host.listen(SERVER)
    const { end } = await connected(host)
    const made = host.journal.all('san.socket').map(({ result }) => (result as { value: SanSocket }).value)
    assert.equal(made.length, 2)
    assert.equal(end.session.socket, made[1])
    assert.deepEqual(
      host.journal.all('san.connect').map(({ socket }) => socket),
      [2],
    )
  })

  test('WSD-COMP-4 a descriptor of the wrong kind does nothing in an upcall', () => {
    const host = new Host()
    const table = new UpcallTable()
    host.connect(SERVER)
    const made = host.journal.one('san.socket').result as { value: SanSocket }
    const wrong = made.value as unknown as SwitchHandle
    let told = 0
    const completed = (): void => {
      told += 1
    }
    const overlapped = { completed } as unknown as Parameters<Upcalls['completeOverlappedRequest']>[1]
    assert.deepEqual(table.querySocketHandleContext(wrong), failure(WSA.WSAENOTSOCK))
    assert.equal(table.closeSocketHandle(wrong), WSA.WSAENOTSOCK)
    assert.equal(table.completeOverlappedRequest(wrong, overlapped, 0, 0), WSA.WSAEINVAL)
    assert.equal(told, 0)
  })

  test('WSD-COMP-6 RACE-9 is bound at once: between socket and bind the provider is asked nothing', () => {
    const host = new Host()
    host.listen(SERVER, { recorded: [['SO_DEBUG', 1]] })
    host.connect(SERVER)
    const calls = host.journal.entries.filter(({ who, direction }) => who === 'san' && direction === 'down')
    const made = calls.flatMap(({ name }, at) => (name === 'socket' ? [at] : []))
    assert.deepEqual(
      made.map((at) => calls[at + 1]?.name),
      ['bind', 'bind'],
    )
  })

  test('WSD-COMP-7 has the very address and port of the TCP/IP socket', () => {
    const host = new Host()
    host.listen(SERVER)
    host.connect(SERVER, { local: { ...CLIENT, port: 50_123 } })
    assert.deepEqual(boundTo(host), [SERVER, { ...CLIENT, port: 50_123 }])
  })

  test('WSD-COMP-8 is bound to the wildcard only where the application listens on all addresses', () => {
    const host = new Host()
    host.listen(WILDCARD)
    host.connect(SERVER)
    assert.deepEqual(boundTo(host), [WILDCARD, CLIENT])
  })

  test('WSD-COMP-9 waits for TCP/IP to choose the address and to keep it from everybody else', () => {
    const host = new Host()
    host.connect(SERVER)
    assert.ok(host.journal.at('tcp.reserve') < host.journal.at('san.socket'))
    assert.deepEqual(host.journal.one('tcp.reserve').args, [SERVER])

    const without = new Host()
    without.journal.clear()
    const attempt = without.connect(SERVER, { tcp: { reserve: failure(WSA.WSAEADDRINUSE) } })
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'reservation', status: 0 })
    assert.deepEqual(without.journal.labels(), ['tcp.reserve', 'tcp.connect'])
  })

  test('WSD-COMP-10 is told IP addresses, by which the provider finds its peer', async () => {
    const host = new Host()
    const there = host.listen({ ...SERVER, port: 81 })
    const here = host.listen(SERVER)
    await connected(host)
    assert.deepEqual([here.arrivals.length, there.arrivals.length], [1, 0])
  })

  test('WSD-COMP-11 is given each option that the provider may know, once, before it listens or connects', () => {
    const host = new Host()
    const recorded = [
      ['SO_DEBUG', 0],
      ['TCP_NODELAY', 1],
      ['SO_GROUP_PRIORITY', 3],
      ['SO_DEBUG', 1],
    ] as const
    host.connect(SERVER, { recorded })
    assert.deepEqual(
      host.journal.all('san.setSockOpt').map(({ args, result }) => [...args, result]),
      [
        ['SO_DEBUG', 1, 0],
        ['SO_GROUP_PRIORITY', 3, WSA.WSAENOPROTOOPT],
      ],
    )
    assert.equal(host.journal.count('san.connect'), 1)
  })

  test('WSD-COMP-12 WSD-ACCEPT-17 has the options of the TCP/IP socket as far as the provider supports them', async () => {
    const host = new Host()
    const listening = host.listen(SERVER, { recorded: [['SO_DEBUG', 7]] })
    const { end } = await connected(host, [['SO_DEBUG', 5]])
    assert.deepEqual(end.session.socket.getSockOpt('SO_DEBUG'), success(5))
    const accepted = listening.arrivals[0]!.session.socket
    assert.deepEqual(accepted.getSockOpt('SO_DEBUG'), success(7))
    assert.deepEqual(end.session.socket.getSockOpt('SO_GROUP_PRIORITY'), failure(WSA.WSAENOPROTOOPT))
  })

  for (const [call, error, reason] of [
    ['bind', 'WSAEADDRNOTAVAIL', 'no-route'],
    ['bind', 'WSAENETDOWN', 'provider-error'],
    ['setSockOpt', 'WSAENOBUFS', 'resource'],
    ['setSockOpt', 'WSAEINVAL', 'provider-error'],
  ] as const) {
    test(`WSD-COMP-13 is closed when ${call} fails with ${error}, and TCP/IP connects`, async () => {
      const host = new Host({ faults: [failing(call, error)] })
      host.journal.clear()
      const attempt = host.connect(SERVER, { recorded: [['SO_DEBUG', 1]] })
      assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason, status: 0 })
      assert.equal(attempt.socket.reason, reason)
      const steps = call === 'bind' ? ['san.bind'] : ['san.bind', 'san.setSockOpt']
      assert.deepEqual(host.journal.labels(), [...FALLBACK, ...steps, 'san.close', 'tcp.connect'])
      await settle()
      assert.equal(host.journal.count('san^closeSocketHandle'), 1)
    })
  }

  for (const [call, error, reason] of [
    ['socket', 'WSAENOBUFS', 'resource'],
    ['socket', 'WSAEMFILE', 'resource'],
    ['socket', 'WSAEPROCLIM', 'limit'],
    ['createSocketHandle', 'WSAENOBUFS', 'resource'],
  ] as const) {
    test(`WSD-COMP-13 does not exist when ${call} fails with ${error}: nothing to close, and TCP/IP connects`, () => {
      const host = new Host({ faults: [failing(call, error)] })
      const attempt = host.connect(SERVER)
      assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason, status: 0 })
      assert.equal(host.journal.count('san.close'), 0)
      assert.deepEqual(host.switch.stats.reasons, { [reason]: 1 })
    })
  }

  test('WSD-COMP-14 RACE-31 never gives way to TCP/IP once the connection stands: its errors go to the application', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const { attempt, end } = await connected(host)
    host.journal.clear()
    listening.ends[0]!.session.reset()
    await settle()
    assert.deepEqual(end.hear(), { text: '', then: 'reset' })
    assert.equal(end.session.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
    assert.equal(attempt.socket.state, 'onSan')
    assert.ok(!host.journal.labels().some((label) => label.startsWith('tcp.')))
  })

  test('WSD-COMP-16 the addresses of a connection are known without asking the provider', async () => {
    const host = new Host()
    const listening = host.listen(WILDCARD)
    const { attempt } = await connected(host)
    assert.ok(attempt.outcome.kind === 'san')
    assert.deepEqual(attempt.outcome.local, CLIENT)
    assert.deepEqual(listening.arrivals[0]?.local, SERVER)
  })
})

function boundTo(host: Host): SocketAddress[] {
  return host.journal.all('san.bind').map(({ args }) => args[0] as SocketAddress)
}

async function connected(host: Host, recorded: readonly (readonly ['SO_DEBUG', number])[] = []) {
  const attempt = host.connect(SERVER, { recorded })
  await settle()
  return { attempt, end: attempt.end }
}
