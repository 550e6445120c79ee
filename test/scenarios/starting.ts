import assert from 'node:assert/strict'

import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import type { ServedSubnet, SocketAddress } from '../../src/spi/index.ts'
import { AF_INET } from '../../src/faces/winsock/index.ts'
import { LOCAL, nameOf, readToEnd, told, valueOf } from '../winsock/pair.ts'
import type { Journal } from '../switch/spy.ts'
import { connect, freed, hear, listen, listenQuietly } from './party.ts'
import type { Scenarios } from './party.ts'
import { connectBare, listenBare } from './wire.ts'

const SOCK_DGRAM = 2
const SOCK_RAW = 3
const IPPROTO_UDP = 17

/** A second SAN beside the carrier's, on a network of its own that nobody else is on. */
function elsewhere(): ReturnType<typeof loopback> {
  return loopback({ network: new LoopbackNetwork() })
}

const WILDCARD: SocketAddress = { ...LOCAL, address: '0.0.0.0' }

/** The names of calls in which the order of a procedure shows; what follows them is data. */
const PROCEDURE = new Set([
  'startup',
  'addressList',
  'reserve',
  'socket',
  'createSocketHandle',
  'bind',
  'setSockOpt',
  'listen',
  'eventSelect',
  'connect',
  'condition',
  'calleeData',
  'memory',
  'close',
  'closeSocketHandle',
  'cleanup',
])

/** The calls of procedures, in the order in which they began; of a stretch of equal ones the first. */
function orderOf(journal: Journal): string[] {
  const labels = journal.entries.filter(({ name }) => PROCEDURE.has(name)).map(({ label }) => label)
  return labels.filter((label, i) => label !== labels[i - 1])
}

export const STARTING: Scenarios = [
  {
    title:
      'D1 WSD-START-3 WSD-COMP-2 WSD-LISTEN-1, -5, -8 WSD-CONN-4 to -8 WSD-ACCEPT-6 to -12 the order of all calls, from start-up to the end',
    server: async (party) => {
      const { winsock, journal } = party.own
      const listener = valueOf(winsock.socket())
      listener.setsockopt('SO_DEBUG', 1)
      assert.equal(listener.bind(LOCAL), 0)
      assert.deepEqual(orderOf(journal), ['san.startup', 'san.addressList', 'tcp.bind'])
      assert.equal(listener.listen(4), 0)
      party.line.tell(valueOf(listener.getsockname()))
      const server = await listener.blocking.accept()
      await readToEnd(server)
      server.closesocket()
      await freed(party, journal)
      listener.closesocket()
      await freed(party, journal, 2)
      winsock.cleanup()
      assert.deepEqual(orderOf(journal), [
        'san.startup',
        'san.addressList',
        'tcp.bind',
        'tcp.listen',
        'san.socket',
        'san^createSocketHandle',
        'san.bind',
        'san.setSockOpt',
        'san.listen',
        'san.eventSelect',
        'san^condition',
        'san^createSocketHandle',
        'san.memory',
        'san.close',
        'san^closeSocketHandle',
        'san.close',
        'san^closeSocketHandle',
        'san.cleanup',
      ])
      // Told, asked what happened, accepted, asked about it from inside that.
      const labels = journal.labels()
      const at = (label: string): number => labels.indexOf(label)
      assert.ok(at('san^set') < at('san.enumNetworkEvents'))
      assert.ok(at('san.enumNetworkEvents') < at('san.accept'))
      assert.ok(at('san.accept') < at('san^condition'))
      assert.ok(at('san.accept') < at('san.receive'))
    },
    client: async (party) => {
      const { winsock, journal } = party.own
      const address = await hear<SocketAddress>(party)
      const socket = valueOf(winsock.socket())
      socket.setsockopt('SO_DEBUG', 1)
      await socket.blocking.connect(address)
      assert.equal(socket.provider, party.carrier)
      socket.closesocket()
      await freed(party, journal)
      winsock.cleanup()
      assert.deepEqual(orderOf(journal), [
        'san.startup',
        'san.addressList',
        'tcp.reserve',
        'san.socket',
        'san^createSocketHandle',
        'san.bind',
        'san.setSockOpt',
        'san.eventSelect',
        'san.connect',
        'san.calleeData',
        'san.memory',
        'san.close',
        'san^closeSocketHandle',
        'san.cleanup',
      ])
    },
  },

  {
    title:
      'D2 WSD-LISTEN-1 WSD-LISTEN-17 TCP/IP listens before any call of the provider, also where that then fails',
    server: async (party) => {
      for (const faults of [[], [{ call: 'listen', error: 'WSAENOBUFS' }] as const]) {
        const { winsock, journal } = party.computer({ faults })
        const listener = valueOf(winsock.socket())
        assert.equal(listener.bind(LOCAL), 0)
        assert.equal(listener.listen(4), 0)
        const of = journal.entries.filter(({ who, socket }) => who === 'san' && socket > 0)
        assert.ok(of.length > 0)
        for (const entry of of) assert.ok(journal.at('tcp.listen') < journal.entries.indexOf(entry))
        assert.ok(journal.at('tcp.listen') < journal.at('san.socket'))
        assert.equal(
          journal.count('san.close'),
          faults.length,
          'who does not listen there keeps no socket there',
        )
        party.line.tell(valueOf(listener.getsockname()))
        const server = await listener.blocking.accept()
        assert.equal(server.provider, faults.length === 0 ? party.carrier : 'tcpip')
        await readToEnd(server)
      }
    },
    client: async (party) => {
      for (const carrier of [party.carrier, 'tcpip']) {
        const socket = valueOf(party.own.winsock.socket())
        await socket.blocking.connect(await hear<SocketAddress>(party))
        assert.equal(socket.provider, carrier)
        socket.closesocket()
      }
    },
  },

  {
    title:
      'D3 WSD-LISTEN-3, -4 WSD-COMP-8 no call at an address no SAN serves; at the wildcard each provider listens, at the same port',
    server: async (party) => {
      // It serves 127.0.0.2 only.
      const narrow: readonly ServedSubnet[] = [{ family: 'IPv4', address: '127.0.0.2', prefixLength: 32 }]
      const one = party.computer({ serves: () => narrow })
      const calls = one.journal.labels().filter((label) => label.startsWith('san')).length
      const plain = listenQuietly({}, one.winsock)
      assert.equal(one.journal.labels().filter((label) => label.startsWith('san')).length, calls)
      party.line.tell(valueOf(plain.getsockname()))
      const first = await plain.blocking.accept()
      assert.equal(first.provider, 'tcpip')
      await readToEnd(first)

      const two = party.computer({ others: [elsewhere()] })
      const wild = listenQuietly({ local: WILDCARD }, two.winsock)
      const { port } = valueOf(wild.getsockname())
      for (const who of ['san', 'san2']) {
        assert.deepEqual(two.journal.one(`${who}.bind`).args, [{ family: 'IPv4', address: '0.0.0.0', port }])
        assert.equal(two.journal.one(`${who}.listen`).result, 0)
      }
      party.line.tell({ ...LOCAL, port })
      const second = await wild.blocking.accept()
      assert.equal(second.provider, party.carrier)
      await readToEnd(second)
    },
    client: async (party) => {
      for (const carrier of ['tcpip', party.carrier]) {
        const socket = valueOf(party.own.winsock.socket())
        await socket.blocking.connect(await hear<SocketAddress>(party))
        assert.equal(socket.provider, carrier)
        socket.closesocket()
      }
    },
  },

  {
    title: 'D26 WSD-INST-9 a provider that comes later serves the wildcard listeners that stand',
    server: async (party) => {
      const computer = party.computer({ without: true })
      const wild = listenQuietly({ local: WILDCARD }, computer.winsock)
      assert.equal(computer.journal.count('san.socket'), 0)
      const { port } = valueOf(wild.getsockname())
      for (const carrier of ['tcpip', party.carrier]) {
        if (carrier !== 'tcpip') computer.switch.add(computer.provider)
        party.line.tell({ ...LOCAL, port })
        const server = await wild.blocking.accept()
        assert.equal(server.provider, carrier)
        await readToEnd(server)
        assert.equal(await hear(party), 'closed')
      }
      assert.deepEqual(computer.journal.one('san.bind').args, [{ family: 'IPv4', address: '0.0.0.0', port }])
      assert.equal(computer.journal.one('san.listen').result, 0)
    },
    client: async (party) => {
      for (const carrier of ['tcpip', party.carrier]) {
        const address = await hear<SocketAddress>(party)
        // Another computer each time: one that was told that nobody switched is there remembers it for a while.
        const socket = valueOf(party.computer().winsock.socket())
        await socket.blocking.connect(address)
        assert.equal(socket.provider, carrier)
        socket.closesocket()
        party.line.tell('closed')
      }
    },
  },

  {
    title: 'D26 WSD-ADDR-7 RACE-36 after a change of addresses the providers are asked again',
    server: async (party) => {
      const listener = listen(party)
      for (const carrier of ['tcpip', party.carrier, 'tcpip']) {
        const server = await listener.blocking.accept()
        assert.equal(server.provider, carrier)
        await readToEnd(server)
        party.line.tell('read')
      }
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      const everything: readonly ServedSubnet[] = [{ family: 'IPv4', address: '127.0.0.0', prefixLength: 8 }]
      let served: readonly ServedSubnet[] = []
      const computer = party.computer({ serves: () => served })
      for (const [i, carrier] of ['tcpip', party.carrier, 'tcpip'].entries()) {
        served = i === 1 ? everything : []
        computer.switch.refreshAddresses()
        assert.equal(computer.journal.count('san.addressList'), 2 + i)
        const socket = valueOf(computer.winsock.socket())
        await socket.blocking.connect(address)
        assert.equal(socket.provider, carrier)
        socket.closesocket()
        assert.equal(await hear(party), 'read')
      }
    },
  },

  {
    title:
      'D28 WSD-CLEAN-1 to -5 each start wants its clean-up; the last one ends every provider, and what is open',
    server: async (party) => {
      const listener = listen(party)
      const server = await listener.blocking.accept()
      await server.blocking.send(Buffer.from('open'))
      assert.equal((await readToEnd(server)).length, 0)
      assert.equal(await hear(party), 'over')
    },
    client: async (party) => {
      const { winsock, journal } = party.computer({ others: [elsewhere()] })
      valueOf(winsock.startup())
      const socket = await connect(party, await hear<SocketAddress>(party), winsock)
      const buffer = Buffer.alloc(4)
      assert.equal(await socket.blocking.recv(buffer), 4)
      const op = told()
      socket.recv(Buffer.alloc(1), 0, op.overlapped)
      assert.equal(winsock.cleanup(), 0)
      assert.deepEqual([journal.count('san.cleanup'), journal.count('san2.cleanup')], [0, 0])
      assert.equal(socket.state, 'connected')
      assert.equal(winsock.cleanup(), 0)
      assert.deepEqual([journal.count('san.cleanup'), journal.count('san2.cleanup')], [1, 1])
      assert.equal(socket.state, 'closed')
      assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
      assert.equal(nameOf(winsock.cleanup()), 'WSANOTINITIALISED')
      assert.equal(nameOf(winsock.socket()), 'WSANOTINITIALISED')
      await freed(party, journal)
      party.line.tell('over')
    },
  },

  {
    title: 'D28 WSD-CLEAN-2 WSD-CLEAN-4 an open connection ends with its provider, as a reset at both ends',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      assert.equal(String(await wire.read(4)), 'said')
      await wire.write(Buffer.from('unread'))
      party.line.tell('written')
      assert.equal(await wire.end(), 'reset')
      wire.session.close()
    },
    client: async (party) => {
      const computer = party.computer()
      const wire = await connectBare(computer, await hear<SocketAddress>(party))
      await wire.write(Buffer.from('said'))
      assert.equal(await hear(party), 'written')
      computer.switch.close()
      // Until it is told, what is there can be looked at.
      assert.equal(wire.session.available, 6)
      assert.equal(await wire.until(() => (wire.session.readEnd() === 'more' ? undefined : 'told')), 'told')
      assert.equal(wire.session.readEnd(), 'reset')
      assert.ok(wire.session.write([Buffer.from('x')]) < 0)
      wire.session.close()
    },
  },

  {
    title: 'D29 WSD-ROUTE-2, -3 raw and datagram sockets never touch a provider',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      await readToEnd(server)
      for (const { args } of party.own.journal.all('san.socket')) assert.deepEqual(args, [{ family: 'IPv4' }])
    },
    client: async (party) => {
      const { winsock, journal } = party.own
      const before = journal.entries.length
      assert.equal(nameOf(winsock.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)), 'WSAEPROTONOSUPPORT')
      assert.equal(nameOf(winsock.socket(AF_INET, SOCK_RAW, 0)), 'WSAEPROTONOSUPPORT')
      assert.equal(nameOf(winsock.socket(AF_INET, SOCK_RAW, 1)), 'WSAEPROTONOSUPPORT')
      assert.equal(journal.entries.length, before, 'a provider was asked')
      // A stream to the same peer is.
      const socket = await connect(party, await hear<SocketAddress>(party))
      assert.equal(journal.count('san.socket'), 1)
      socket.closesocket()
    },
  },
]
