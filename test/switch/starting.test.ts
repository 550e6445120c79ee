import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { SPI_VERSION, WSA, failure, success } from '../../src/spi/index.ts'
import type { SanProvider, ServedSubnet, Upcalls } from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { Switch, createSwitch } from '../../src/switch/switch.ts'
import { settle } from './fake-clock.ts'
import { CLIENT, Host, SERVER, SUBNET, WILDCARD, failing, sanOver } from './host.ts'
import { spy } from './spy.ts'

const OTHER: ServedSubnet = { ...SUBNET, address: '10.2.0.0' }

describe('starting', () => {
  test('WSD-START-3 WSD-START-9 WSD-ADDR-6 each provider is started, then asked for its addresses', () => {
    const host = new Host({ providers: [loopback({ subnets: [SUBNET] }), loopback({ subnets: [OTHER] })] })
    assert.deepEqual(host.journal.labels(), [
      'san.startup',
      'san.addressList',
      'san2.startup',
      'san2.addressList',
    ])
    assert.deepEqual(
      host.switch.reports.map(({ name, error }) => [name, error]),
      [
        ['san', undefined],
        ['san2', undefined],
      ],
    )
  })

  test('WSD-START-6 a provider is handed upcalls of its own by its switch', () => {
    const seen: Upcalls[] = []
    const provider = (): SanProvider => {
      const real = loopback()
      return {
        name: 'witness',
        startup(request) {
          seen.push(request.upcalls)
          return real.startup(request)
        },
        cleanup: () => real.cleanup(),
        addressList: () => real.addressList(),
        socket: (request) => real.socket(request),
      }
    }
    createSwitch({ san: [provider(), provider()] })
    createSwitch({ san: [provider()] })
    assert.equal(new Set(seen).size, 3)
  })

  test('WSD-START-8 a provider is told the version of the interface', () => {
    assert.deepEqual(new Host().journal.one('san.startup').args, [SPI_VERSION])
  })

  test('WSD-START-10 addresses become routes', () => {
    const host = new Host({ providers: [loopback({ subnets: [OTHER, SUBNET] })] })
    assert.deepEqual(host.listen(SERVER).socket.providers, ['san'])
  })

  for (const call of ['startup', 'addressList'] as const) {
    test(`WSD-START-16 a provider whose ${call} fails is left out, and the others serve`, () => {
      const host = new Host({ faults: [failing(call, 'WSASYSNOTREADY')] })
      host.switch.add(sanOver(host.network))
      assert.deepEqual(
        host.switch.reports.map(({ error }) => error),
        [WSA.WSASYSNOTREADY, undefined],
      )
      assert.equal(host.journal.count('san.cleanup'), call === 'startup' ? 0 : 1)
      assert.deepEqual(host.listen(WILDCARD).socket.providers, ['loopback'])
      assert.equal(host.journal.count('san.socket'), 0)
    })
  }

  test('WSD-START-13 a provider whose regions are too small for a session is not used', () => {
    const host = new Host({ loopback: { limits: { regionBytes: 1152 } } })
    assert.equal(host.switch.reports[0]?.error, WSA.WSAEINVAL)
    assert.equal(host.journal.count('san.cleanup'), 1)
    assert.deepEqual(host.listen(SERVER).socket.providers, [])
  })
})

describe('addresses', () => {
  /** A provider whose addresses the test changes. */
  class Moving {
    subnets: readonly ServedSubnet[] | undefined = [SUBNET]
    readonly provider: SanProvider

    constructor() {
      const real = loopback({ subnets: [SUBNET, OTHER] })
      this.provider = {
        name: 'moving',
        startup: (request) => real.startup(request),
        cleanup: () => real.cleanup(),
        addressList: () => (this.subnets === undefined ? failure(WSA.WSAENETDOWN) : success(this.subnets)),
        socket: (request) => real.socket(request),
      }
    }
  }

  test('WSD-ADDR-7 RACE-36 after a change every provider is asked again, and the next connect goes by the answer', () => {
    const one = new Moving()
    const host = new Host({ providers: [one.provider, new Moving().provider] })
    const there = { ...SERVER, address: '10.2.0.1' }
    assert.equal(host.connect(there).outcome.kind, 'tcpip')
    one.subnets = [OTHER]
    host.switch.refreshAddresses()
    assert.equal(host.journal.count('san.addressList'), 2)
    assert.equal(host.journal.count('san2.addressList'), 2)
    host.connect(there)
    assert.equal(host.journal.count('san.socket'), 1)
    host.connect(SERVER)
    assert.equal(host.journal.count('san2.socket'), 1)
  })

  test('WSD-ADDR-7 WSD-ADDR-9 an address that nobody serves may be a new one: asked once a second, and providers only after a change', () => {
    const one = new Moving()
    const asked: number[] = []
    let changed = false
    const host: Host = new Host({
      providers: [one.provider],
      addressesChanged: () => {
        asked.push(host.clock.now())
        return changed
      },
    })
    const there = { ...SERVER, address: '10.2.0.1' }
    host.connect(SERVER)
    assert.deepEqual(asked, [], 'what is served costs nothing')
    assert.equal(host.connect(there).outcome.kind, 'tcpip')
    assert.deepEqual([asked, host.journal.count('san.addressList')], [[0], 1])
    one.subnets = [SUBNET, OTHER]
    changed = true
    host.clock.advance(999)
    assert.equal(host.connect(there).outcome.kind, 'tcpip')
    host.clock.advance(1)
    host.journal.clear()
    host.connect(there)
    assert.deepEqual(
      [asked, host.journal.count('san.addressList'), host.journal.count('san.connect')],
      [[0, 1000], 1, 1],
    )
    // A listener at a new address of this host, too.
    one.subnets = [SUBNET]
    host.switch.refreshAddresses()
    one.subnets = [SUBNET, OTHER]
    host.clock.advance(1000)
    assert.deepEqual(host.listen(there).socket.providers, ['san'])
  })

  test('WSD-ADDR-7 a provider that cannot say keeps what it had, and its rank', () => {
    const [first, second] = [new Moving(), new Moving()]
    const host = new Host({ providers: [first.provider, second.provider] })
    second.subnets = undefined
    host.switch.refreshAddresses()
    host.connect(SERVER)
    assert.deepEqual([host.journal.count('san.socket'), host.journal.count('san2.socket')], [1, 0])
    second.subnets = [SUBNET]
    first.subnets = undefined
    host.switch.refreshAddresses()
    host.connect(SERVER)
    assert.deepEqual([host.journal.count('san.socket'), host.journal.count('san2.socket')], [2, 0])
  })

  test('WSD-ADDR-9 connections outlive the address, until the transport fails', async () => {
    const only = new Moving()
    const host = new Host({ providers: [only.provider] })
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    only.subnets = []
    host.switch.refreshAddresses()
    attempt.end.say('still here')
    await settle()
    assert.deepEqual(listening.ends[0]?.hear(), { text: 'still here', then: 'more' })
  })

  test('WSD-ADDR-9 WSD-ROUTE-6 a listener leaves the SAN with its address, and joins it with a new one; TCP/IP listens on', () => {
    const [one, other] = [new Moving(), new Moving()]
    const host = new Host({ providers: [one.provider, other.provider] })
    const [bound, wildcard] = [host.listen(SERVER), host.listen(WILDCARD)]
    one.subnets = [OTHER]
    host.switch.refreshAddresses()
    assert.deepEqual([bound.socket.providers, wildcard.socket.providers], [['san2'], ['san', 'san2']])
    other.subnets = []
    host.switch.refreshAddresses()
    assert.deepEqual([bound.socket.providers, bound.socket.reason], [[], 'no-route'])
    one.subnets = [SUBNET]
    host.switch.refreshAddresses()
    assert.deepEqual([bound.socket.providers, bound.socket.reason], [['san'], undefined])
    assert.equal(host.journal.count('tcp.listen'), 2)
  })

  test('AMB-25 of two providers for one subnet the first is asked; what it cannot do goes over TCP/IP, not to the second', async () => {
    const host = new Host({ providers: [sanOver(new LoopbackNetwork()), sanOver(new LoopbackNetwork())] })
    const attempt = host.connect(SERVER)
    await settle()
    assert.deepEqual([host.journal.count('san.connect'), host.journal.count('san2.connect')], [1, 0])
    assert.equal(attempt.outcome.kind, 'tcpip')
  })
})

describe('a provider that is taken out of use', () => {
  test('leaves listeners and connects at once, carries what it has to the end, and is ended then', async () => {
    const provider = sanOver(new LoopbackNetwork())
    const host = new Host({ providers: [] })
    const spied = spy(provider, 'san', host.journal)
    host.switch.add(spied)
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    assert.equal(host.switch.remove(spied), 0)
    assert.equal(host.switch.remove(spied), WSA.WSAEINVAL)
    assert.deepEqual([listening.socket.providers, listening.socket.reason], [[], 'no-route'])
    assert.equal(host.connect(SERVER, { local: { ...CLIENT, port: 2 } }).outcome.kind, 'tcpip')
    attempt.end.say('to the end')
    await settle()
    assert.deepEqual(listening.ends[0]?.hear(), { text: 'to the end', then: 'more' })
    assert.equal(host.journal.count('san.cleanup'), 0)
    attempt.end.session.close()
    listening.ends[0].session.close()
    await settle()
    assert.equal(host.journal.count('san.cleanup'), 1)
    host.switch.close()
    assert.equal(host.journal.count('san.cleanup'), 1)
  })

  test('is ended at once where it carries nothing, and may come again', async () => {
    const host = new Host({ providers: [] })
    const spied = spy(sanOver(new LoopbackNetwork()), 'san', host.journal)
    host.switch.add(spied)
    const wildcard = host.listen(WILDCARD)
    host.switch.remove(spied)
    await settle()
    assert.equal(host.journal.count('san.cleanup'), 1)
    host.switch.add(spied)
    assert.deepEqual(wildcard.socket.providers, ['san'])
    const attempt = host.connect(SERVER)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
  })
})

describe('ending', () => {
  test('WSD-CLEAN-1 WSD-CLEAN-3 the end of the switch ends every provider it started, once', () => {
    const host = new Host({
      providers: [loopback({ subnets: [SUBNET] }), loopback({ limits: { regionBytes: 64 } }), loopback()],
    })
    host.journal.clear()
    host.switch.close()
    host.switch.close()
    assert.deepEqual(host.journal.labels(), ['san.cleanup', 'san3.cleanup'])
    assert.equal(host.connect(SERVER).outcome.kind, 'tcpip')
  })

  test('WSD-CLEAN-2 WSD-CLEAN-4 sockets close with their provider, and nothing of them is left', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    host.switch.close()
    await settle()
    assert.equal(host.journal.count('san^createSocketHandle'), 3)
    assert.equal(host.journal.count('san^closeSocketHandle'), 3)
    assert.equal(attempt.end.session.read(1), undefined)
    // Nobody has ended the stream: it was cut off.
    assert.deepEqual(attempt.end.hear(), { text: '', then: 'reset' })
    attempt.end.session.close()
    listening.socket.close()
  })

  test('WSD-CLEAN-2 a connection whose peer had gone before ends with its provider, too, and touches its memory no more', async () => {
    const network = new LoopbackNetwork()
    const [here, there] = [new Host({ network }), new Host({ network })]
    const { ends } = there.listen(SERVER)
    const attempt = here.connect(SERVER)
    await settle()
    const { end } = attempt
    ends[0]?.say('left unread')
    there.switch.close()
    await settle()
    const told = end.readableCalls
    here.switch.close()
    assert.equal(end.session.state, 'closed')
    assert.equal(end.readableCalls, told + 1)
    assert.deepEqual(end.hear(), { text: '', then: 'reset' })
  })

  test('two switches live side by side', async () => {
    const one = new Host()
    const other = new Host()
    assert.ok(one.switch instanceof Switch)
    one.listen(SERVER)
    const attempt = other.connect(SERVER)
    await settle()
    assert.equal(attempt.outcome.kind, 'tcpip')
  })
})
