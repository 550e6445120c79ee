import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import {
  FD_ACCEPT,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  SD_SEND,
  Winsock,
  WsaEvent,
} from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { settle } from '../switch/fake-clock.ts'
import { Journal, spy } from '../switch/spy.ts'
import { CARRIERS, cleanUp, connected, listening, nameOf, program, readToEnd, told, valueOf } from './pair.ts'
import type { Pair, Program, Told } from './pair.ts'

after(cleanUp)

/** More than any buffer on the way takes. */
const HUGE = 32 << 20

/** Starts an operation that stays pending, of `pair.client`'s unless it says whose. */
type Start = (pair: Pair, one: Program, op: Told) => WinsockSocket

const OPERATIONS: Readonly<Record<string, Start>> = {
  'a receive': ({ client }, _, { overlapped }) => {
    client.recv(Buffer.alloc(4), 0, overlapped)
    return client
  },
  'a receive into several buffers, all of them': ({ client, server }, _, { overlapped }) => {
    server.send(Buffer.from('some'))
    client.recv([Buffer.alloc(4), Buffer.alloc(4)], MSG_WAITALL, overlapped)
    return client
  },
  'a receive of nothing': ({ client }, _, { overlapped }) => {
    client.recv([], 0, overlapped)
    return client
  },
  'a receive behind another': ({ client }, _, { overlapped }) => {
    client.recv(Buffer.alloc(4), 0, told().overlapped)
    client.recv(Buffer.alloc(4), 0, overlapped)
    return client
  },
  'a send': ({ client }, _, { overlapped }) => {
    client.send(Buffer.alloc(HUGE), 0, overlapped)
    return client
  },
  'a send behind another': ({ client }, _, { overlapped }) => {
    client.send(Buffer.alloc(HUGE), 0, told().overlapped)
    client.send(Buffer.from('x'), 0, overlapped)
    return client
  },
  'an accept': ({ listener }, { winsock }, { overlapped }) => {
    listener.acceptEx(valueOf(winsock.socket()), undefined, overlapped)
    return listener
  },
  'an accept, whose new socket closes': ({ listener }, { winsock }, { overlapped }) => {
    const socket = valueOf(winsock.socket())
    listener.acceptEx(socket, undefined, overlapped)
    return socket
  },
  'a TransmitFile': ({ client }, _, { overlapped }) => {
    const file = {
      read: (_into: Uint8Array, _at: number, length: number) => Promise.resolve({ bytesRead: length }),
    }
    client.transmitFile(file, 0, HUGE, overlapped)
    return client
  },
}

const OVER_A_SAN: Readonly<Record<string, Start>> = {
  'an urgent send behind another': ({ client }, _, { overlapped }) => {
    client.send(Buffer.alloc(HUGE), 0, told().overlapped)
    client.send(Buffer.from('!'), MSG_OOB, overlapped)
    return client
  },
  'a connect that is judged': ({ listener }, { winsock }, { overlapped }) => {
    const judge = valueOf(winsock.socket())
    judge.setsockopt('SO_CONDITIONAL_ACCEPT', 1)
    judge.bind({ ...valueOf(listener.getsockname()), port: 0 })
    judge.listen(4)
    const socket = valueOf(winsock.socket())
    socket.connectEx(valueOf(judge.getsockname()), undefined, overlapped)
    return socket
  },
}

for (const [carrier, make] of CARRIERS) {
  describe(`endings of Winsock over ${carrier}`, { timeout: 60_000 }, () => {
    const operations = { ...OPERATIONS, ...(carrier === 'tcpip' ? {} : OVER_A_SAN) }
    for (const [name, start] of Object.entries(operations)) {
      for (const how of ['closesocket', 'SO_LINGER 0', 'cleanup'] as const) {
        test(`WSD-CLOSE-4 WSD-CPL-2 ${name} that is pending ends aborted, once, at ${how}`, async () => {
          const one = program(make())
          const pair = await connected(one)
          const op = told()
          const socket = start(pair, one, op)
          await settle(4)
          assert.deepEqual([op.overlapped.pending, op.times()], [true, 0])
          if (how === 'cleanup') {
            assert.equal(one.winsock.cleanup(), 0)
          } else {
            if (how === 'SO_LINGER 0') socket.setsockopt('SO_LINGER', 0)
            assert.equal(socket.closesocket(), 0)
          }
          assert.equal(op.times(), 0, 'told from inside the call')
          assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
          assert.equal(socket.state, 'closed')
          await settle(4)
          assert.equal(op.times(), 1)
        })
      }
    }

    for (const order of ['client', 'server', 'both'] as const) {
      test(`WSD-SHUT-4 half-close, ${order} first: each direction ends after its data, the other goes on`, async () => {
        const { client, server } = await connected(program(make()))
        const [first, second] = order === 'server' ? [server, client] : [client, server]
        await first.blocking.send(Buffer.from('first '))
        first.shutdown(SD_SEND)
        assert.equal(nameOf(first.send(Buffer.from('x'))), 'WSAESHUTDOWN')
        if (order === 'both') second.shutdown(SD_SEND)
        assert.equal(String(await readToEnd(second)), 'first ')
        const back = readToEnd(first)
        if (order !== 'both') {
          // The end has come; the way back is open until it is closed there.
          await second.blocking.send(Buffer.alloc(500_000, 'back'))
          second.shutdown(SD_SEND)
        }
        assert.equal((await back).length, order === 'both' ? 0 : 500_000)
        assert.deepEqual([first.closesocket(), second.closesocket()], [0, 0])
      })
    }

    test('RACE-26 both ends close in the same turn, with operations pending on both: each ends once', async () => {
      for (const linger of [-1, 0]) {
        const { client, server } = await connected(program(make()))
        const ops = [client, server].flatMap((socket) => {
          socket.setsockopt('SO_LINGER', linger)
          const [receive, send] = [told(), told()]
          socket.recv(Buffer.alloc(1), MSG_WAITALL, receive.overlapped)
          socket.send(Buffer.alloc(HUGE), 0, send.overlapped)
          return [receive, send]
        })
        // What was sent before may have come: then the receive is over.
        await settle(1)
        assert.deepEqual([client.closesocket(), server.closesocket()], [0, 0])
        for (const [i, op] of ops.entries()) {
          const [status] = await op.ended
          assert.ok(status === 'WSA_OPERATION_ABORTED' || (i % 2 === 0 && status === 'success'), status)
        }
        await settle(4)
        assert.deepEqual(
          ops.map(({ times }) => times()),
          [1, 1, 1, 1],
        )
      }
    })

    for (const reset of ['before', 'after'] as const) {
      test(`RACE-3 RACE-4 RACE-5 a burst, one accept for each wake-up, the event reset ${reset} it: nobody is forgotten`, async () => {
        const one = program(make())
        const { listener, address } = listening(one, { backlog: 64 })
        const event = new WsaEvent()
        listener.eventSelect(event, FD_ACCEPT)
        const clients = Array.from({ length: 60 }, () => valueOf(one.winsock.socket()))
        // All of them wait before the first is taken: nothing new comes that could wake anybody.
        await Promise.all(clients.map((client) => client.blocking.connect(address)))
        const ports = new Set<number>()
        while (ports.size < clients.length) {
          await event.wait()
          if (reset === 'before') listener.enumNetworkEvents(event)
          const taken = listener.accept()
          if (taken.ok) ports.add(valueOf(taken.value.getpeername()).port)
          else assert.equal(nameOf(taken), 'WSAEWOULDBLOCK')
          // What the accept has told anew is enumerated with it: its bit says that more are there.
          if (reset === 'after' && (valueOf(listener.enumNetworkEvents(event)).mask & FD_ACCEPT) !== 0) {
            event.set()
          }
        }
        assert.deepEqual(ports, new Set(clients.map((client) => valueOf(client.getsockname()).port)))
      })
    }
  })
}

test('a provider that is removed carries its open sockets to their end; new ones go over TCP/IP, listeners stand', async () => {
  const journal = new Journal()
  const san = spy(loopback(), 'san', journal)
  const one = program(san)
  const { listener, address, client, server } = await connected(one)
  const pending = told()
  const target = Buffer.alloc(300_000)
  server.recv(target, MSG_WAITALL, pending.overlapped)
  assert.equal(one.switch.remove(san), 0)
  await client.blocking.send(Buffer.alloc(300_000, 'still'))
  assert.deepEqual(await pending.ended, ['success', 300_000])
  assert.ok(target.equals(Buffer.alloc(300_000, 'still')))
  const later = valueOf(one.winsock.socket())
  const [accepted] = await Promise.all([listener.blocking.accept(), later.blocking.connect(address)])
  assert.deepEqual([client.provider, later.provider, accepted.provider], ['san', 'tcpip', 'tcpip'])
  await settle()
  assert.equal(journal.count('san.cleanup'), 0, 'it carries something')
  client.closesocket()
  server.closesocket()
  await settle()
  assert.equal(journal.count('san.cleanup'), 1)
})

describe('a process that ends', { timeout: 20_000 }, () => {
  test('takes leave of the peers of its SAN connections: with their end, or a reset where bytes were unread or only looked at, or SO_LINGER is 0', async () => {
    const staying = program(loopback())
    const leaving = new Winsock({ switch: staying.switch, tcpip: tcpip() })
    valueOf(leaving.startup())
    const { listener, address } = listening(staying)
    const join = async (): Promise<readonly [WinsockSocket, WinsockSocket]> => {
      const near = valueOf(leaving.socket())
      const [far] = await Promise.all([listener.blocking.accept(), near.blocking.connect(address)])
      await near.blocking.send(Buffer.from('last words'))
      return [near, far]
    }
    const [, ended] = await join()
    const [, reset] = await join()
    const [looking, looked] = await join()
    const [abrupt, cut] = await join()
    abrupt.setsockopt('SO_LINGER', 0)
    for (const far of [reset, looked]) await far.blocking.send(Buffer.from('unread'))
    while (!looking.recv(Buffer.alloc(6), MSG_PEEK).ok) await settle()
    assert.deepEqual(
      [leaving.connections().length, leaving.listeners().length, staying.winsock.listeners().length],
      [4, 0, 1],
    )
    leaving.farewell()
    assert.equal((await readToEnd(ended)).toString(), 'last words')
    for (const far of [reset, looked, cut]) await assert.rejects(readToEnd(far), { code: 'WSAECONNRESET' })
    leaving.cleanup()
  })

  test('leaves those over TCP/IP to the kernel', async () => {
    const { client, server } = await connected(program())
    client.farewell()
    await client.blocking.send(Buffer.from('still here'))
    assert.equal(await server.blocking.recv(Buffer.alloc(20)), 10)
  })
})
