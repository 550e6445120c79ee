import assert from 'node:assert/strict'

import { MAX_CONNECT_DATA_BYTES, SOCKET_OPTIONS, WSA } from '../../src/spi/index.ts'
import type {
  ConnectionRequest,
  Overlapped,
  Result,
  SanProvider,
  SocketAddress,
  WsaName,
} from '../../src/spi/index.ts'
import type { Call, Interceptor } from '../../src/providers/wrap/intercept.ts'
import { intercept } from '../../src/providers/wrap/intercept.ts'
import type { Entry } from '../switch/spy.ts'
import { SD_SEND } from '../../src/faces/winsock/index.ts'
import { nameOf, readToEnd, valueOf } from '../winsock/pair.ts'
import { codeOf, connect, hear, listen, turn } from './party.ts'
import type { Party, Scenarios, Script } from './party.ts'

/** TCP/IP would fail, too: the application is told, and nobody else is tried. */
const FINAL: readonly WsaName[] = ['WSAECONNREFUSED', 'WSAECONNRESET', 'WSAEHOSTUNREACH']
/** Everything else a provider answers to a connect. */
const NOT_FINAL: readonly WsaName[] = [
  'WSAETIMEDOUT',
  'WSAENETUNREACH',
  'WSAEADDRNOTAVAIL',
  'WSAENETDOWN',
  'WSAENOBUFS',
  'WSAEACCES',
  'WSAEFAULT',
  'WSAEINVAL',
]

/** Answers whoever connects, over whatever, with the name of who carried it; until it hears the end. */
const answering: Script = async (party) => {
  const listener = listen(party, { backlog: 64 })
  const wanted = await hear<number>(party)
  for (let i = 0; i < wanted; i++) {
    const server = await listener.blocking.accept()
    await server.blocking.send(Buffer.from(server.provider ?? 'nobody'))
    server.closesocket()
  }
}

/** `provider`, whose connects end with `error`: told by event, not at once. */
function endingWith(provider: SanProvider, error: WsaName): SanProvider {
  return intercept(provider, {
    ...passing,
    result: <T>({ name }: Call, proceed: () => Result<T>): Result<T> => {
      const result = proceed()
      if (name !== 'enumNetworkEvents' || !result.ok) return result
      const events = result.value as { readonly mask: number; readonly connectStatus: number }
      const ended = (events.mask & 16) !== 0 && events.connectStatus === 0
      return ended ? { ok: true, value: { ...events, connectStatus: WSA[error] } as T } : result
    },
  })
}

const passing: Interceptor = {
  status: (_call, proceed) => proceed(),
  result: (_call, proceed) => proceed(),
  value: (_call, proceed) => proceed(),
  notify: (_call, proceed) => {
    proceed()
  },
}

export const CONNECTING: Scenarios = [
  {
    title: 'D8 WSD-CONN-13 to -16 each code with which a connect can end is final, or leads to TCP/IP',
    server: answering,
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      party.line.tell(2 * NOT_FINAL.length)
      for (const how of ['at once', 'by event'] as const) {
        for (const error of [...FINAL, ...NOT_FINAL]) {
          const computer = party.computer(
            how === 'at once'
              ? { faults: [{ call: 'connect', error }] }
              : { wrap: (provider) => endingWith(provider, error) },
          )
          const socket = valueOf(computer.winsock.socket())
          const code = await codeOf(socket.blocking.connect(address))
          const isFinal = FINAL.includes(error)
          assert.equal(code, isFinal ? error : 'success', `${error} ${how}`)
          assert.equal(computer.journal.count('tcp.connect'), isFinal ? 0 : 1, `${error} ${how}`)
          assert.equal(computer.journal.count('san.close'), 1, `${error} ${how}`)
          if (isFinal) continue
          assert.equal(socket.provider, 'tcpip')
          assert.equal(String(await readToEnd(socket)), 'tcpip')
          socket.closesocket()
        }
      }
    },
  },

  {
    title: 'D9 WSD-COMP-13 where the companion cannot be made it is closed, and TCP/IP connects and listens',
    server: async (party) => {
      for (const call of ['socket', 'bind', 'setSockOpt', 'listen', 'eventSelect'] as const) {
        const computer = party.computer({ faults: [{ call, error: 'WSAENOBUFS' }] })
        const listener = valueOf(computer.winsock.socket())
        listener.setsockopt('SO_DEBUG', 1)
        assert.equal(listener.bind({ family: 'IPv4', address: '127.0.0.1', port: 0 }), 0)
        assert.equal(listener.listen(8), 0)
        assert.equal(computer.journal.count('san.close'), call === 'socket' ? 0 : 1, call)
        party.line.tell(valueOf(listener.getsockname()))
        const server = await listener.blocking.accept()
        assert.equal(server.provider, 'tcpip', call)
        await readToEnd(server)
        listener.closesocket()
      }
      await answering(party)
    },
    client: async (party) => {
      for (let i = 0; i < 5; i++) {
        const socket = valueOf(party.own.winsock.socket())
        await socket.blocking.connect(await hear<SocketAddress>(party))
        assert.equal(socket.provider, 'tcpip')
        socket.closesocket()
      }
      const address = await hear<SocketAddress>(party)
      party.line.tell(4)
      for (const call of ['socket', 'bind', 'setSockOpt', 'eventSelect'] as const) {
        const computer = party.computer({ faults: [{ call, error: 'WSAENOBUFS' }] })
        const socket = valueOf(computer.winsock.socket())
        socket.setsockopt('SO_DEBUG', 1)
        await socket.blocking.connect(address)
        assert.equal(socket.provider, 'tcpip')
        assert.equal(String(await readToEnd(socket)), 'tcpip')
        socket.closesocket()
        const { journal } = computer
        assert.equal(journal.count('san.connect'), 0, call)
        assert.equal(journal.count('san.close'), call === 'socket' ? 0 : 1, call)
        if (call !== 'socket') assert.ok(journal.at('san.close') < journal.at('tcp.connect'), call)
      }
    },
  },

  {
    title:
      'D10 WSD-COMP-14 RACE-31 what fails once the connection stands goes to the application, never to TCP/IP',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      assert.equal(server.provider, party.carrier)
      // Its signal ends the receive of the other switch, which can post no other.
      await server.blocking.send(Buffer.from('x'))
      assert.equal(await codeOf(readToEnd(server)), 'WSAECONNRESET')
    },
    client: async (party) => {
      const computer = party.computer({ faults: [{ call: 'receive', nth: 2, error: 'WSAENETDOWN' }] })
      const socket = await connect(party, await hear<SocketAddress>(party), computer.winsock)
      assert.equal(await codeOf(readToEnd(socket)), 'WSAECONNRESET')
      assert.equal(computer.journal.count('tcp.connect'), 0)
      socket.setsockopt('SO_LINGER', 0)
      socket.closesocket()
    },
  },

  {
    title:
      'D11 WSD-COMP-11 WSD-COMP-12 options set before are replayed, each once; one that the provider does not know is skipped',
    server: async (party) => {
      const computer = party.computer()
      const listener = valueOf(computer.winsock.socket())
      for (const option of OPTIONS) assert.equal(listener.setsockopt(option, 3), 0)
      assert.equal(listener.bind({ family: 'IPv4', address: '127.0.0.1', port: 0 }), 0)
      assert.equal(computer.journal.count('san.setSockOpt'), 0)
      assert.equal(listener.listen(8), 0)
      assertReplayed(computer.journal.all('san.setSockOpt'))
      assert.ok(computer.journal.at('san.setSockOpt') < computer.journal.at('san.listen'))
      party.line.tell(valueOf(listener.getsockname()))
      const server = await listener.blocking.accept()
      assert.equal(server.provider, party.carrier)
      await readToEnd(server)
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      const computer = party.computer({ faults: [{ call: 'setSockOpt', error: 'WSAENOPROTOOPT' }] })
      const socket = valueOf(computer.winsock.socket())
      for (const option of OPTIONS) assert.equal(socket.setsockopt(option, 3), 0)
      await socket.blocking.connect(address)
      assert.equal(socket.provider, party.carrier)
      assertReplayed(computer.journal.all('san.setSockOpt'))
      assert.ok(computer.journal.at('san.setSockOpt') < computer.journal.at('san.connect'))
      socket.closesocket()
    },
  },

  {
    title:
      'D12 WSD-COMP-3 WSD-COMP-4 the descriptor of the provider is used down, that of the switch up; mixed they mean nothing',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      await server.blocking.send(Buffer.from('hello'))
      await readToEnd(server)
    },
    client: async (party) => {
      const { own } = party
      const address = await hear<SocketAddress>(party)
      const made: object[] = []
      const computer = party.computer({
        wrap: (provider) => ({
          ...provider,
          socket: (request) => {
            const socket = provider.socket(request)
            if (socket.ok) made.push(socket.value)
            return socket
          },
        }),
      })
      const socket = await connect(party, address, computer.winsock)
      const buffer = Buffer.alloc(5)
      assert.equal(await socket.blocking.recv(buffer), 5)
      assert.equal(String(buffer), 'hello')
      const handles = computer.journal
        .all('san^createSocketHandle')
        .map(({ result }) => valueOf(result as Result<object>))
      const [handle, companion] = [handles[0], made[0]]
      assert.ok(handle !== undefined && companion !== undefined && handle !== companion)
      const up = computer.journal.all('san^completeOverlappedRequest')
      assert.ok(up.length > 0)
      const table = computer.upcalls()
      assert.equal(nameOf(table.querySocketHandleContext(handle as never)), 'success')
      // Mixed up: the provider's own descriptor, and the handle of another switch.
      for (const wrong of [companion, {}]) {
        assert.equal(nameOf(table.querySocketHandleContext(wrong as never)), 'WSAENOTSOCK')
        assert.equal(nameOf(table.closeSocketHandle(wrong as never)), 'WSAENOTSOCK')
      }
      assert.equal(nameOf(own.upcalls().querySocketHandleContext(handle as never)), 'WSAENOTSOCK')
      assert.equal(socket.state, 'connected')
      socket.closesocket()
    },
  },

  {
    title:
      'D13 WSD-NEG-4 to -7 what the initiator says waits for an acceptor that is slow to post; each says it in 256 bytes',
    server: async (party) => {
      const held: { overlapped: Overlapped; post: (overlapped: Overlapped) => void }[] = []
      let slow = true
      const requests: ConnectionRequest[] = []
      const computer = party.computer({
        wrap: (provider) =>
          slowToPost(
            provider,
            () => slow,
            (overlapped, post) => held.push({ overlapped, post }),
            requests,
          ),
      })
      const listener = listen(party, {}, computer.winsock)
      while (held.length === 0) await turn(party)
      assert.equal(await hear(party), 'connected and said it')
      assert.equal(valueOf(await nothing(party, listener)), 'nobody')
      slow = false
      for (const { overlapped, post } of held) post(overlapped)
      const server = await listener.blocking.accept()
      const said = Buffer.alloc(12)
      assert.equal(await server.blocking.recv(said), 12)
      assert.equal(String(said), 'said at once')
      // Nothing but what was said at once has told of it.
      party.line.tell('read')
      await readToEnd(server)
      const [request] = requests
      assert.ok(request !== undefined)
      assert.ok(request.callerData.length > 0 && request.callerData.length <= MAX_CONNECT_DATA_BYTES)
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      await socket.blocking.send(Buffer.from('said at once'))
      party.line.tell('connected and said it')
      const answer = party.own.journal.one('san.calleeData').result as Uint8Array
      assert.ok(answer.length > 0 && answer.length <= MAX_CONNECT_DATA_BYTES)
      assert.equal(await hear(party), 'read')
      socket.closesocket()
    },
  },

  {
    title: 'D30 WSD-COMP-16 names come from the cache, equal to what TCP would show',
    server: async (party) => {
      const listener = listen(party)
      const server = await listener.blocking.accept()
      assert.equal(server.provider, party.carrier)
      const peer = valueOf(server.getpeername())
      assert.equal(peer.address, '127.0.0.1')
      assert.deepEqual(valueOf(server.getsockname()), valueOf(listener.getsockname()))
      await server.blocking.send(Buffer.from(`${peer.address} ${peer.port}`))
      server.shutdown(SD_SEND)
      await readToEnd(server)
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      const socket = await connect(party, address)
      const calls = party.own.journal.entries.length
      const local = valueOf(socket.getsockname())
      assert.deepEqual(valueOf(socket.getpeername()), address)
      assert.equal(party.own.journal.entries.length, calls, 'somebody was asked')
      assert.equal(String(await readToEnd(socket)), `${local.address} ${local.port}`)
      socket.closesocket()
    },
  },
]

const OPTIONS = ['SO_DEBUG', 'SO_GROUP_PRIORITY', 'SO_KEEPALIVE', 'SO_SNDBUF', 'TCP_NODELAY'] as const

function assertReplayed(calls: readonly Entry[]): void {
  const replayed = OPTIONS.filter(
    (option) => option in SOCKET_OPTIONS && SOCKET_OPTIONS[option as never] === 'provider',
  )
  assert.deepEqual(
    calls.map(({ args }) => args),
    replayed.map((option) => [option, 3]),
  )
}

/** Some turns in which nobody is to be accepted. */
async function nothing(party: Party, listener: { accept(): Result<unknown> }): Promise<Result<string>> {
  for (let i = 0; i < 20; i++) {
    await turn(party)
    if (listener.accept().ok) return { ok: true, value: 'somebody' }
  }
  return { ok: true, value: 'nobody' }
}

/** `provider`, to which receives are handed later while `slow`. */
function slowToPost(
  provider: SanProvider,
  slow: () => boolean,
  hold: (overlapped: Overlapped, post: (overlapped: Overlapped) => void) => void,
  requests: ConnectionRequest[],
): SanProvider {
  return intercept(provider, {
    ...passing,
    status: ({ name, args }, proceed) => {
      if (name !== 'receive' || !slow()) return proceed()
      const overlapped = args[0] as Overlapped
      overlapped.begin()
      hold(overlapped, () => {
        assert.equal(nameOf(proceed()), 'WSA_IO_PENDING')
      })
      return WSA.WSA_IO_PENDING
    },
    value: ({ name, args }, proceed) => {
      if (name === 'condition') requests.push(args[0] as ConnectionRequest)
      return proceed()
    },
  })
}
