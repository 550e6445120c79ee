import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { Liveness } from '../../src/base/liveness.ts'
import { WSA } from '../../src/spi/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import {
  AF_INET,
  FD_ACCEPT,
  FD_OOB,
  MSG_OOB,
  MSG_WAITALL,
  Winsock,
  WsaEvent,
} from '../../src/faces/winsock/index.ts'
import { LOCAL, cleanUp, connected, listening, nameOf, program, told, valueOf } from './pair.ts'
import { settle } from '../switch/fake-clock.ts'
import { Journal, spy } from '../switch/spy.ts'
import { within } from '../support/waiting.ts'

after(cleanUp)

describe('start-up and clean-up', () => {
  test('WSD-CLEAN-1 WSD-CLEAN-3 WSD-START-15 each startup wants its cleanup; the last one ends sockets and providers', async () => {
    const journal = new Journal()
    const one = program(spy(loopback(), 'san', journal))
    const { winsock } = one
    valueOf(winsock.startup())
    assert.equal(winsock.cleanup(), 0)
    const { client, server, listener } = await connected(one)
    const op = told()
    client.recv(Buffer.alloc(1), 0, op.overlapped)
    assert.equal(journal.count('san.cleanup'), 0)
    assert.equal(winsock.cleanup(), 0)
    assert.equal(journal.count('san.cleanup'), 1)
    assert.deepEqual([client.state, server.state, listener.state], ['closed', 'closed', 'closed'])
    assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
    assert.equal(winsock.cleanup(), WSA.WSANOTINITIALISED)
    assert.equal(nameOf(winsock.socket()), 'WSANOTINITIALISED')
  })

  test('WSD-START-8 the version is what was asked for, or 2.2; before 1.0 there is none', () => {
    const winsock = new Winsock({ switch: createSwitch({ san: [] }), tcpip: tcpip() })
    const versions = [
      [{ major: 1, minor: 1 }, '1.1'],
      [{ major: 2, minor: 2 }, '2.2'],
      [{ major: 3, minor: 0 }, '2.2'],
    ] as const
    for (const [wanted, expected] of versions) {
      const { version, highVersion } = valueOf(winsock.startup(wanted))
      assert.equal(`${version.major}.${version.minor}`, expected)
      assert.deepEqual(highVersion, { major: 2, minor: 2 })
    }
    assert.equal(nameOf(winsock.startup({ major: 0, minor: 9 })), 'WSAVERNOTSUPPORTED')
  })

  test('WSD-ROUTE-1 WSD-ROUTE-2 WSD-ROUTE-3 only streams: raw and datagram sockets never get near a provider', () => {
    const journal = new Journal()
    const { winsock } = program(spy(loopback(), 'san', journal))
    journal.clear()
    const [SOCK_DGRAM, SOCK_RAW, IPPROTO_UDP] = [2, 3, 17]
    assert.equal(nameOf(winsock.socket(AF_INET, SOCK_DGRAM, IPPROTO_UDP)), 'WSAEPROTONOSUPPORT')
    assert.equal(nameOf(winsock.socket(AF_INET, SOCK_RAW, 0)), 'WSAEPROTONOSUPPORT')
    assert.equal(nameOf(winsock.socket(17)), 'WSAEAFNOSUPPORT')
    assert.equal(nameOf(winsock.socket()), 'success')
    // WSD-SOCK-4: not for a stream either, before it listens or connects.
    assert.deepEqual(journal.labels(), [])
    winsock.cleanup()
  })

  test('WSD-COMP-11 WSD-COMP-12 options set before are replayed to the companion, as far as they can reach it', () => {
    const journal = new Journal()
    const { winsock } = program(spy(loopback(), 'san', journal))
    const listener = valueOf(winsock.socket())
    for (const option of ['SO_DEBUG', 'SO_GROUP_PRIORITY', 'SO_KEEPALIVE', 'SO_SNDBUF'] as const) {
      assert.equal(listener.setsockopt(option, 3), 0)
    }
    listener.bind(LOCAL)
    listener.listen(1)
    assert.deepEqual(
      journal.all('san.setSockOpt').map(({ args }) => args),
      [
        ['SO_DEBUG', 3],
        ['SO_GROUP_PRIORITY', 3],
      ],
    )
  })

  test('the process is kept alive while connections are open', async () => {
    const seen: boolean[] = []
    const winsock = new Winsock({
      switch: createSwitch({ san: [loopback()] }),
      tcpip: tcpip(),
      liveness: new Liveness((on) => seen.push(on)),
    })
    valueOf(winsock.startup())
    const pair = await connected({ winsock, switch: createSwitch({ san: [] }) })
    assert.deepEqual(seen, [true])
    pair.client.closesocket()
    assert.deepEqual(seen, [true])
    pair.server.closesocket()
    assert.deepEqual(seen, [true, false])
    winsock.cleanup()
  })
})

describe('over a SAN', () => {
  test('SO_CONDITIONAL_ACCEPT: the peer waits until the application has accepted, deferred or rejected it', async () => {
    const one = program(loopback())
    const { listener, address } = listening(one, { conditional: true })
    const event = new WsaEvent()
    listener.eventSelect(event, FD_ACCEPT)
    const clients = [1, 2].map(() => valueOf(one.winsock.socket()))
    const ends = clients.map(async (client) =>
      client.blocking.connect(address).then(() => 'connected', codeOf),
    )
    await event.wait()
    listener.enumNetworkEvents(event)
    assert.equal(nameOf(listener.accept(() => 'CF_DEFER')), 'WSATRY_AGAIN')
    assert.equal(nameOf(listener.accept(() => 'CF_REJECT')), 'WSAECONNREFUSED')
    assert.equal(await ends[0], 'WSAECONNREFUSED')
    assert.equal(clients[1]!.state, 'connecting')
    const server = listener.blocking.accept({ condition: () => 'CF_ACCEPT' })
    assert.equal(await ends[1], 'connected')
    assert.deepEqual(valueOf((await server).getpeername()), valueOf(clients[1]!.getsockname()))
    assert.equal(valueOf((await server).getsockopt('SO_CONDITIONAL_ACCEPT')), 0, 'the listener’s own')
  })

  test('a nonblocking accept of a request answers WSAEWOULDBLOCK, and the connection comes first', async () => {
    const one = program(loopback())
    const { listener, address } = listening(one, { conditional: true })
    const event = new WsaEvent()
    listener.eventSelect(event, FD_ACCEPT)
    const client = valueOf(one.winsock.socket())
    const connect = client.blocking.connect(address)
    let asked = 0
    const condition = (): 'CF_ACCEPT' => {
      asked += 1
      return 'CF_ACCEPT'
    }
    await event.wait()
    listener.enumNetworkEvents(event)
    assert.equal(nameOf(listener.accept(condition)), 'WSAEWOULDBLOCK')
    await connect
    await event.wait()
    const server = valueOf(listener.accept())
    assert.deepEqual(valueOf(server.getpeername()), valueOf(client.getsockname()))
    assert.equal(asked, 1)
  })

  test('WSD-BLOCK-2 WSD-ACCEPT-21 a peer that gives up while it waits is not accepted; who waited gets the next', async () => {
    const one = program(loopback())
    const { listener, address } = listening(one, { conditional: true })
    const gone = valueOf(one.winsock.socket())
    const controller = new AbortController()
    const given = gone.blocking.connect(address, { signal: controller.signal })
    const event = new WsaEvent()
    listener.eventSelect(event, FD_ACCEPT)
    await event.wait()
    controller.abort(new Error('no patience'))
    await assert.rejects(given, /no patience/)
    const accept = listener.blocking.accept()
    const client = valueOf(one.winsock.socket())
    await client.blocking.connect(address)
    assert.deepEqual(valueOf((await accept).getpeername()), valueOf(client.getsockname()))
  })

  test('WSD-LISTEN-12 connections are made ahead up to the backlog; beyond it peers wait, and beyond that are refused', async () => {
    const one = program(loopback())
    const { listener, address } = listening(one, { backlog: 2 })
    const connect = async (): Promise<string> =>
      valueOf(one.winsock.socket())
        .blocking.connect(address)
        .then(() => 'connected', codeOf)
    assert.deepEqual([await connect(), await connect()], ['connected', 'connected'])
    const waiting = [connect(), connect()]
    await settle()
    assert.equal(await connect(), 'WSAECONNREFUSED')
    for (let i = 0; i < 4; i++) await listener.blocking.accept()
    assert.deepEqual(await Promise.all(waiting), ['connected', 'connected'])
  })

  test('WSD-URG-1 WSD-URG-3 MSG_OOB raises FD_OOB, and the byte is read out of line', async () => {
    const one = program(loopback())
    const { client, server } = await connected(one)
    const event = new WsaEvent()
    server.eventSelect(event, FD_OOB)
    await client.blocking.send(Buffer.from('plain'))
    await client.blocking.send(Buffer.from('!'), { flags: MSG_OOB })
    await event.wait()
    assert.equal(valueOf(server.enumNetworkEvents(event)).mask, FD_OOB)
    const urgent = Buffer.alloc(1)
    assert.equal(valueOf(server.recv(urgent, MSG_OOB)), 1)
    assert.equal(String(urgent), '!')
    const rest = Buffer.alloc(10)
    assert.equal(valueOf(server.recv(rest)), 5)
    assert.equal(valueOf(server.ioctl('SIOCATMARK')), true)
  })

  for (const [inline, all] of [
    [0, 'before after'],
    [1, 'before! after'],
  ] as const) {
    test(`WSD-URG-3 a receive for all goes on past the urgent byte, whichever way that is read (SO_OOBINLINE ${inline})`, async () => {
      const { client, server } = await connected(program(loopback()))
      server.setsockopt('SO_OOBINLINE', inline)
      await client.blocking.send(Buffer.from('before'))
      await client.blocking.send(Buffer.from('!'), { flags: MSG_OOB })
      await client.blocking.send(Buffer.from(' after'))
      const [target, { overlapped, ended }] = [Buffer.alloc(all.length), told()]
      server.recv(target, MSG_WAITALL, overlapped)
      assert.deepEqual(await within(ended, 10_000, 'the receive'), ['success', all.length])
      assert.equal(String(target), all)
    })
  }

  test('urgent data over TCP/IP are refused, never sent as if they were not urgent', async () => {
    const one = program()
    const { client } = await connected(one)
    assert.equal(nameOf(client.send(Buffer.from('!'), MSG_OOB)), 'WSAEOPNOTSUPP')
    assert.equal(nameOf(client.recv(Buffer.alloc(1), MSG_OOB)), 'WSAEOPNOTSUPP')
  })
})

function codeOf(error: unknown): string {
  return (error as { readonly code: string }).code
}
