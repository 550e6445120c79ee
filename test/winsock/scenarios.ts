import assert from 'node:assert/strict'

import type { SocketAddress } from '../../src/spi/index.ts'
import { FD_ACCEPT, FD_OOB, MSG_OOB, SD_SEND, WsaEvent } from '../../src/faces/winsock/index.ts'
import type { Winsock, WinsockSocket } from '../../src/faces/winsock/index.ts'
import { MAX_PIECE_BYTES, Pattern } from '../support/pattern.ts'
import { LOCAL, nameOf, readToEnd, told, valueOf } from './pair.ts'

/** What a side works with. */
export interface Side {
  readonly winsock: Winsock
  /** Who carries what is switched. */
  readonly carrier: string
}

/**
 * One scenario of appendix D as two programs, in one process or two. The server says where it listens; both return what they
 * saw, which must be what the scenario expects.
 */
export interface Scenario {
  readonly server: (side: Side, ready: (address: SocketAddress) => void) => Promise<unknown>
  readonly client: (side: Side, address: SocketAddress) => Promise<unknown>
  readonly expected: readonly [server: unknown, client: unknown]
}

const PATTERN = new Pattern(7)

function listen(
  { winsock }: Side,
  ready: (address: SocketAddress) => void,
  conditional = false,
  backlog = 16,
): WinsockSocket {
  const listener = valueOf(winsock.socket())
  if (conditional) listener.setsockopt('SO_CONDITIONAL_ACCEPT', 1)
  assert.equal(listener.bind(LOCAL), 0)
  assert.equal(listener.listen(backlog), 0)
  ready(valueOf(listener.getsockname()))
  return listener
}

async function connect({ winsock, carrier }: Side, address: SocketAddress): Promise<WinsockSocket> {
  const socket = valueOf(winsock.socket())
  await socket.blocking.connect(address)
  assert.equal(socket.provider, carrier)
  return socket
}

async function codeOf(wait: Promise<unknown>): Promise<string> {
  return await wait.then(
    () => 'success',
    (error: unknown) => (error as { readonly code: string }).code,
  )
}

/** The bytes that belong at `position`. */
function patternOf(position: number, length: number): Buffer {
  const pieces: Buffer[] = []
  for (let done = 0; done < length; done += MAX_PIECE_BYTES) {
    pieces.push(PATTERN.slice(position + done, Math.min(MAX_PIECE_BYTES, length - done)))
  }
  return Buffer.concat(pieces)
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

/** Payload sizes of scenario 15 beyond zero: around the first ring, the pieces, the largest ring, and many megabytes. */
const SIZES = [
  1,
  1023,
  1024,
  1025,
  4095,
  4096,
  4097,
  65_535,
  65_536,
  65_537,
  (1 << 20) - 1,
  1 << 20,
  (1 << 20) + 1,
  9 << 20,
]

export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'D4 WSD-LISTEN-12 WSD-LISTEN-14 a full backlog refuses one more at once, for good': {
    server: async (side, ready) => {
      const listener = listen(side, ready, true, 2)
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const last = await listener.blocking.accept({ condition: () => 'CF_ACCEPT' })
      const said = await readToEnd(last)
      const other = await listener.blocking.accept()
      await readToEnd(other)
      return String(said)
    },
    client: async (side, address) => {
      const sockets = [1, 2, 3].map(() => valueOf(side.winsock.socket()))
      const [first, second] = sockets.map((socket) => codeOf(socket.blocking.connect(address)))
      // The first was accepted at once; the second waits, and with a third the queue is full.
      assert.equal(await first, 'success')
      assert.equal(sockets[0]!.provider, side.carrier)
      sockets[0]!.send(Buffer.from('one'))
      sockets[0]!.closesocket()
      const answer = await second
      sockets[1]!.closesocket()
      sockets[2]!.closesocket()
      return answer
    },
    expected: ['one', 'success'],
  },

  'D6 WSD-ACCEPT-18 WSD-ACCEPT-19 WSD-CONN-13 CF_REJECT refuses the peer, and nothing is tried over TCP/IP': {
    server: async (side, ready) => {
      const listener = listen(side, ready, true)
      const verdicts: string[] = []
      const server = await listener.blocking.accept({
        condition: ({ remote }) => {
          const verdict = verdicts.length < 2 ? 'CF_REJECT' : 'CF_ACCEPT'
          verdicts.push(`${verdict} ${remote.address}`)
          return verdict
        },
      })
      server.closesocket()
      return verdicts
    },
    client: async (side, address) => {
      const codes: string[] = []
      for (let i = 0; i < 3; i++) {
        const socket = valueOf(side.winsock.socket())
        codes.push(await codeOf(socket.blocking.connect(address)))
        socket.closesocket()
      }
      return codes
    },
    expected: [
      ['CF_REJECT 127.0.0.1', 'CF_REJECT 127.0.0.1', 'CF_ACCEPT 127.0.0.1'],
      ['WSAECONNREFUSED', 'WSAECONNREFUSED', 'success'],
    ],
  },

  'D7 RACE-5 WSD-ACCEPT-16 a burst of requests is accepted whole': {
    server: async (side, ready) => {
      const listener = listen(side, ready, false, 64)
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const servers: WinsockSocket[] = []
      while (servers.length < 50) {
        await event.wait()
        listener.enumNetworkEvents(event)
        for (let next = listener.accept(); next.ok; next = listener.accept()) servers.push(next.value)
      }
      const said = await Promise.all(servers.map(async (server) => Number(await readToEnd(server))))
      return said.sort((one, other) => one - other)
    },
    client: async (side, address) => {
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const socket = await connect(side, address)
          await socket.blocking.send(Buffer.from(String(i)))
          socket.closesocket()
        }),
      )
    },
    expected: [[...Array(50).keys()], undefined],
  },

  'D14 WSD-ACCEPT-23 AcceptEx with a buffer ends only with the first data': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = valueOf(side.winsock.socket())
      const [op, buffer] = [told(), Buffer.alloc(32)]
      listener.acceptEx(server, buffer, op.overlapped)
      while (server.state !== 'connected') await turn()
      for (let i = 0; i < 5; i++) await turn()
      const early = op.times()
      await server.blocking.send(Buffer.from('go'))
      const [status, bytes] = await op.ended
      server.closesocket()
      return [early, status, String(buffer.subarray(0, bytes))]
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      // The server's accept has not ended, and its socket works.
      const buffer = Buffer.alloc(2)
      await socket.blocking.recv(buffer)
      await socket.blocking.send(Buffer.from('first data'))
      return [String(buffer), (await readToEnd(socket)).length]
    },
    expected: [
      [0, 'success', 'first data'],
      ['go', 0],
    ],
  },

  'D15 WSD-XFER-13 WSD-XFER-15 every size arrives, byte for byte': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      let at = 0
      for (const size of SIZES) {
        const target = Buffer.alloc(size)
        const op = told()
        server.recv(target, 8, op.overlapped)
        assert.deepEqual(await op.ended, ['success', size])
        assert.ok(patternOf(at, size).equals(target), `${size} bytes differ`)
        at += size
        assert.equal(await server.blocking.send(Buffer.from([1])), 1)
      }
      const rest = (await readToEnd(server)).length
      server.closesocket()
      return rest
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      let at = 0
      const credit = Buffer.alloc(1)
      assert.equal(valueOf(socket.send(Buffer.alloc(0))), 0)
      for (const size of SIZES) {
        assert.equal(await socket.blocking.send(patternOf(at, size)), size)
        at += size
        await socket.blocking.recv(credit)
      }
      socket.shutdown(SD_SEND)
      return (await readToEnd(socket)).length
    },
    expected: [0, 0],
  },

  'D16 WSD-XFER-18 small, large, small, several buffers, nonblocking among overlapped: one stream': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      const all = await readToEnd(server)
      server.closesocket()
      return patternOf(0, all.length).equals(all)
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      let at = 0
      const ops: ReturnType<typeof told>[] = []
      for (const size of [10, 300_000, 7, 70_000, 0, 1, 2 << 20, 3]) {
        const bytes = patternOf(at, size)
        const buffers = [bytes.subarray(0, size >> 1), bytes.subarray(size >> 1)]
        const op = told()
        ops.push(op)
        socket.send(buffers, 0, op.overlapped)
        at += size
        const now = socket.send(patternOf(at, 11))
        if (now.ok) at += now.value
        else assert.equal(nameOf(now), 'WSAEWOULDBLOCK')
      }
      for (const op of ops) assert.equal((await op.ended)[0], 'success')
      socket.shutdown(SD_SEND)
      return await readToEnd(socket).then((rest) => rest.length)
    },
    expected: [true, 0],
  },

  'D19 WSD-SMALL-6 WSD-XFER-5 a receiver that does not read stalls its sender at a bound, and goes on': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      // Reads only once it was told that the sender is stuck.
      const signal = await listener.blocking.accept()
      const stalled = Number(await readToEnd(signal))
      const all = await readToEnd(server)
      server.closesocket()
      return [stalled < 8 << 20, all.length >= stalled]
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      const piece = Buffer.alloc(60_000, 'x')
      let sent = 0
      for (let quiet = 0; quiet < 50;) {
        const result = socket.send(piece)
        if (result.ok) sent += result.value
        quiet = result.ok ? 0 : quiet + 1
        await turn()
        assert.ok(sent < 32 << 20, 'nothing stops the sender')
      }
      const signal = await connect(side, address)
      await signal.blocking.send(Buffer.from(String(sent)))
      signal.closesocket()
      await socket.blocking.send(Buffer.from('the rest'))
      socket.shutdown(SD_SEND)
      return (await readToEnd(socket)).length
    },
    expected: [[true, true], 0],
  },

  'D20 WSD-URG-1 WSD-URG-3 urgent data in the middle of a stream': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      const event = new WsaEvent()
      server.eventSelect(event, FD_OOB)
      await event.wait()
      const urgent = Buffer.alloc(1)
      assert.equal(valueOf(server.recv(urgent, MSG_OOB)), 1)
      const before = Buffer.alloc(20)
      const length = valueOf(server.recv(before))
      const mark = valueOf(server.ioctl('SIOCATMARK'))
      await server.blocking.send(Buffer.from('ok'))
      return [String(urgent), String(before.subarray(0, length)), mark, String(await readToEnd(server))]
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      await socket.blocking.send(Buffer.from('before'))
      await socket.blocking.send(Buffer.from('!'), { flags: MSG_OOB })
      await socket.blocking.recv(Buffer.alloc(2))
      await socket.blocking.send(Buffer.from('after'))
      socket.closesocket()
    },
    expected: [['!', 'before', true, 'after'], undefined],
  },

  'D21 WSD-CLOSE-3 WSD-CLOSE-4 a close with a receive pending: aborted here, the end there': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      const [gone, hard] = [told(), told()]
      server.recv(Buffer.alloc(4), 0, gone.overlapped)
      const first = await gone.ended
      const next = await listener.blocking.accept()
      next.recv(Buffer.alloc(4), 0, hard.overlapped)
      return [first, await hard.ended]
    },
    client: async (side, address) => {
      const ended = []
      for (const linger of [-1, 0]) {
        const socket = await connect(side, address)
        socket.setsockopt('SO_LINGER', linger)
        const op = told()
        socket.recv(Buffer.alloc(4), 0, op.overlapped)
        socket.closesocket()
        ended.push(await op.ended, op.times())
      }
      return ended
    },
    expected: [
      [
        ['success', 0],
        ['WSAECONNRESET', 0],
      ],
      [['WSA_OPERATION_ABORTED', 0], 1, ['WSA_OPERATION_ABORTED', 0], 1],
    ],
  },

  'D22 RACE-26 both ends close at the same moment': {
    server: async (side, ready) => {
      const listener = listen(side, ready, false, 64)
      const codes: number[] = []
      for (let i = 0; i < 30; i++) {
        const server = await listener.blocking.accept()
        await server.blocking.send(Buffer.from('x'))
        codes.push(server.closesocket())
      }
      return codes.every((code) => code === 0)
    },
    client: async (side, address) => {
      const codes: number[] = []
      for (let i = 0; i < 30; i++) {
        const socket = await connect(side, address)
        await socket.blocking.recv(Buffer.alloc(1))
        codes.push(socket.closesocket())
      }
      return codes.every((code) => code === 0)
    },
    expected: [true, true],
  },

  'D23 WSD-BLOCK-2 RACE-29 a connect that is cancelled while it is judged is never accepted': {
    server: async (side, ready) => {
      const listener = listen(side, ready, true)
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      await event.wait()
      // Held until its peer has given up; then only the next one is there.
      const second = await listener.blocking.accept({
        condition: () => 'CF_ACCEPT',
      })
      return String(await readToEnd(second))
    },
    client: async (side, address) => {
      const given = valueOf(side.winsock.socket())
      assert.equal(nameOf(given.connect(address)), 'WSAEWOULDBLOCK')
      given.closesocket()
      const socket = await connect(side, address)
      await socket.blocking.send(Buffer.from('kept'))
      socket.closesocket()
    },
    expected: ['kept', undefined],
  },

  'D30 WSD-COMP-16 names come from the cache, equal to what TCP would show': {
    server: async (side, ready) => {
      const listener = listen(side, ready)
      const server = await listener.blocking.accept()
      const peer = valueOf(server.getpeername())
      assert.deepEqual(valueOf(server.getsockname()), valueOf(listener.getsockname()))
      await server.blocking.send(Buffer.from(`${peer.address} ${peer.port}`))
      server.shutdown(SD_SEND)
      await readToEnd(server)
      return [server.provider === side.carrier, peer.address]
    },
    client: async (side, address) => {
      const socket = await connect(side, address)
      const local = valueOf(socket.getsockname())
      assert.deepEqual(valueOf(socket.getpeername()), address)
      const seen = String(await readToEnd(socket))
      socket.closesocket()
      return seen === `${local.address} ${local.port}`
    },
    expected: [[true, '127.0.0.1'], true],
  },
}
