import assert from 'node:assert/strict'

import type { ProviderLimits, SocketAddress } from '../../src/spi/index.ts'
import { WSA } from '../../src/spi/index.ts'
import { FD_OOB, MSG_OOB, MSG_WAITALL, SD_SEND, WsaEvent } from '../../src/faces/winsock/index.ts'
import { nameOf, readToEnd, told, valueOf } from '../winsock/pair.ts'
import type { Computer } from './computer.ts'
import { connect, hear, listen, patternOf, turn } from './party.ts'
import type { Party, Scenarios } from './party.ts'
import { connectBare, listenBare } from './wire.ts'

const THRESHOLD = 64 << 10
const MAX_RDMA = 1 << 20
/** Around the first ring, the pieces, the largest ring, the threshold, the most of one RDMA read, and many megabytes. */
const SIZES = [
  1,
  1023,
  1024,
  1025,
  4095,
  4096,
  4097,
  THRESHOLD - 1,
  THRESHOLD,
  THRESHOLD + 1,
  MAX_RDMA - 1,
  MAX_RDMA,
  MAX_RDMA + 1,
  9 << 20,
]

/** Who can read the other's memory. Shared memory has nobody who can: there is nothing to read that is not in a ring. */
const PAIRINGS = [
  [true, true],
  [true, false],
  [false, true],
  [false, false],
] as const

function readingComputer({ computer }: Party, reads: boolean): Computer {
  const rdma: ProviderLimits['rdma'] = reads ? { maxBytes: MAX_RDMA, thresholdBytes: THRESHOLD } : undefined
  return computer({ limits: { rdma } })
}

export const DATA: Scenarios = [
  {
    title: 'D15 WSD-XFER-13 WSD-XFER-15 every size arrives, byte for byte',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      let at = 0
      for (const size of SIZES) {
        const target = Buffer.alloc(size)
        const op = told()
        server.recv(target, MSG_WAITALL, op.overlapped)
        assert.deepEqual(await op.ended, ['success', size])
        assert.ok(patternOf(at, size).equals(target), `${size} bytes differ`)
        at += size
        assert.equal(await server.blocking.send(Buffer.from([1])), 1)
      }
      assert.equal((await readToEnd(server)).length, 0)
      server.closesocket()
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      let at = 0
      const credit = Buffer.alloc(1)
      assert.equal(valueOf(socket.send(Buffer.alloc(0))), 0)
      for (const size of SIZES) {
        assert.equal(await socket.blocking.send(patternOf(at, size)), size)
        at += size
        await socket.blocking.recv(credit)
      }
      socket.shutdown(SD_SEND)
      assert.equal((await readToEnd(socket)).length, 0)
    },
  },

  {
    title: 'D15 WSD-LARGE-2, -3 WSD-LARGE-3E with and without RDMA reads, in all four pairings',
    server: async (party) => {
      for (const [reads] of PAIRINGS) {
        const wire = await listenBare(party, readingComputer(party, reads)).next()
        let at = 0
        for (const size of SIZES) {
          assert.ok((await wire.read(size)).equals(patternOf(at, size)), `${size} bytes differ`)
          at += size
          await wire.write(Buffer.from([1]))
        }
        assert.equal(await wire.end(), 'end')
        wire.session.close()
      }
    },
    client: async (party) => {
      for (const [theirs, ours] of PAIRINGS) {
        const wire = await connectBare(readingComputer(party, ours), await hear<SocketAddress>(party))
        let at = 0
        for (const size of SIZES) {
          const bytes = patternOf(at, size)
          const can = party.carrier === 'loopback' && theirs && ours && size > THRESHOLD
          const status = await wire.sendLarge(bytes)
          const refusal = can && size > MAX_RDMA ? WSA.WSAENOBUFS : WSA.WSAEOPNOTSUPP
          assert.equal(status, can && size <= MAX_RDMA ? 0 : refusal, `${size} bytes`)
          if (status !== 0) await wire.write(bytes)
          at += size
          assert.equal((await wire.read(1)).length, 1)
        }
        wire.session.shutdown()
        assert.equal(await wire.end(), 'end')
        wire.session.close()
      }
    },
  },

  {
    title: 'D16 WSD-XFER-18 small, large, small, several buffers, nonblocking among overlapped: one stream',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      const all = await readToEnd(server)
      assert.ok(all.length > 2 << 20)
      assert.ok(patternOf(0, all.length).equals(all))
      server.closesocket()
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
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
      assert.equal((await readToEnd(socket)).length, 0)
    },
  },

  {
    title:
      'D17 WSD-LARGE-1E memory that cannot be registered: WSAENOBUFS for the send without a copy, and nothing is lost',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      for (const at of [0, 300_000]) assert.ok((await wire.read(300_000)).equals(patternOf(at, 300_000)))
      await wire.write(Buffer.from('all'))
      assert.equal(await wire.end(), 'end')
      wire.session.close()
    },
    client: async (party) => {
      const computer = party.computer({
        faults: [
          { call: 'registerRdmaMemory', error: 'WSAENOBUFS' },
          { call: 'registerMemory', error: 'WSAENOBUFS' },
        ],
      })
      const wire = await connectBare(computer, await hear<SocketAddress>(party))
      const bytes = patternOf(0, 300_000)
      // Over shared memory there is no such send; there it is the larger ring that cannot be had.
      const refusal = party.carrier === 'loopback' ? WSA.WSAENOBUFS : WSA.WSAEOPNOTSUPP
      assert.equal(await wire.sendLarge(bytes), refusal)
      await wire.write(bytes)
      await wire.write(patternOf(300_000, 300_000))
      assert.ok(computer.journal.count('san.registerMemory') > 0)
      assert.equal(String(await wire.read(3)), 'all')
      wire.session.shutdown()
      assert.equal(await wire.end(), 'end')
      wire.session.close()
    },
  },

  {
    title:
      'D18 WSD-CPL-1 WSD-CPL-2 WSD-CPL-8 WSD-CPL-9 a silent operation is not announced; any other one is, once',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      const silent = told({ silent: true })
      const loud = told()
      server.recv(Buffer.alloc(5), 0, silent.overlapped)
      server.recv(Buffer.alloc(4), 0, loud.overlapped)
      assert.equal(nameOf(server.getOverlappedResult(silent.overlapped)), 'WSA_IO_INCOMPLETE')
      party.line.tell('posted')
      assert.deepEqual(await loud.ended, ['success', 4])
      assert.equal(valueOf(server.getOverlappedResult(silent.overlapped)), 5)
      await readToEnd(server)
      assert.deepEqual([silent.times(), loud.times()], [0, 1])
      // Below, too: each receive of the switch was announced once, and none is silent.
      const { journal } = party.own
      const announced = journal.all('san^completeOverlappedRequest')
      assert.ok(announced.length > 0)
      assert.ok(announced.length <= journal.count('san.receive'))
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      assert.equal(await hear(party), 'posted')
      await socket.blocking.send(Buffer.from('quietloud'))
      socket.closesocket()
    },
  },

  {
    title:
      'D19 WSD-SMALL-6 WSD-XFER-5 a receiver that does not read stalls its sender at a bound, and goes on',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      // Reads only once it was told that the sender is stuck.
      const stalled = await hear<number>(party)
      assert.ok(stalled < 8 << 20, `${stalled} bytes before it stalls`)
      const all = await readToEnd(server)
      assert.equal(all.length, stalled + 'the rest'.length)
      server.closesocket()
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      const piece = Buffer.alloc(60_000, 'x')
      let sent = 0
      for (let quiet = 0; quiet < 50;) {
        const result = socket.send(piece)
        if (result.ok) sent += result.value
        quiet = result.ok ? 0 : quiet + 1
        await turn(party)
        assert.ok(sent < 32 << 20, 'nothing stops the sender')
      }
      party.line.tell(sent)
      await socket.blocking.send(Buffer.from('the rest'))
      socket.shutdown(SD_SEND)
      assert.equal((await readToEnd(socket)).length, 0)
    },
  },

  {
    title: 'D20 WSD-URG-1 to -5 urgent data in the middle of a stream',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      const event = new WsaEvent()
      server.eventSelect(event, FD_OOB)
      await event.wait()
      const urgent = Buffer.alloc(1)
      assert.equal(valueOf(server.recv(urgent, MSG_OOB)), 1)
      assert.equal(String(urgent), '!')
      const before = Buffer.alloc(20)
      const length = valueOf(server.recv(before))
      assert.equal(String(before.subarray(0, length)), 'before')
      assert.equal(valueOf(server.ioctl('SIOCATMARK')), true)
      await server.blocking.send(Buffer.from('ok'))
      assert.equal(String(await readToEnd(server)), 'after')
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      await socket.blocking.send(Buffer.from('before'))
      await socket.blocking.send(Buffer.from('!'), { flags: MSG_OOB })
      await socket.blocking.recv(Buffer.alloc(2))
      await socket.blocking.send(Buffer.from('after'))
      socket.closesocket()
    },
  },
]
