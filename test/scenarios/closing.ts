import assert from 'node:assert/strict'

import type { SocketAddress } from '../../src/spi/index.ts'
import { FD_ACCEPT, WsaEvent } from '../../src/faces/winsock/index.ts'
import { nameOf, readToEnd, told, valueOf } from '../winsock/pair.ts'
import { codeOf, connect, freed, hear, listen, turn } from './party.ts'
import type { Scenarios } from './party.ts'

export const CLOSING: Scenarios = [
  {
    title:
      'D21 WSD-CLOSE-3 to -6 WSD-CLOSE-10 a close with a receive pending: aborted here, the end there; the descriptor goes last, once',
    server: async (party) => {
      const listener = listen(party)
      const [gone, hard] = [told(), told()]
      const soft = await listener.blocking.accept()
      soft.recv(Buffer.alloc(4), 0, gone.overlapped)
      assert.deepEqual(await gone.ended, ['success', 0])
      const server = await listener.blocking.accept()
      server.recv(Buffer.alloc(4), 0, hard.overlapped)
      party.line.tell('posted')
      assert.deepEqual(await hard.ended, ['WSAECONNRESET', 0])
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      const { journal } = party.own
      for (const linger of [-1, 0]) {
        const socket = await connect(party, address)
        if (linger === 0) assert.equal(await hear(party), 'posted')
        socket.setsockopt('SO_LINGER', linger)
        const op = told()
        socket.recv(Buffer.alloc(4), 0, op.overlapped)
        socket.closesocket()
        assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
        assert.equal(op.times(), 1)
        assert.equal(nameOf(socket.recv(Buffer.alloc(1))), 'WSAENOTSOCK')
      }
      await freed(party, journal, 2)
      await turn(party)
      for (const number of [1, 2]) {
        const up = journal.entries.filter(({ direction, socket }) => direction === 'up' && socket === number)
        const labels = up.map(({ label }) => label)
        assert.equal(labels.at(-1), 'san^closeSocketHandle')
        assert.equal(labels.filter((label) => label === 'san^closeSocketHandle').length, 1)
        // The receive of the switch itself ended before, aborted, and nothing of it is left.
        const aborted = up.find(
          ({ label, args }) => label === 'san^completeOverlappedRequest' && args[1] === 995,
        )
        assert.ok(aborted !== undefined, labels.join())
        const after = journal.entries.filter(
          ({ direction, socket }) => direction === 'down' && socket === number,
        )
        assert.equal(after.at(-1)?.label, 'san.close')
      }
    },
  },

  {
    title: 'D22 RACE-26 both ends close at the same moment',
    server: async (party) => {
      const listener = listen(party, { backlog: 64 })
      for (let i = 0; i < 30; i++) {
        const server = await listener.blocking.accept()
        await server.blocking.send(Buffer.from('x'))
        await hear(party)
        assert.equal(server.closesocket(), 0)
      }
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      for (let i = 0; i < 30; i++) {
        const socket = await connect(party, address)
        await socket.blocking.recv(Buffer.alloc(1))
        party.line.tell('now')
        assert.equal(socket.closesocket(), 0)
      }
    },
  },

  {
    title:
      'D22 WSD-CLOSE-9 RACE-25 a peer that vanishes leaves everything alive here until the socket is closed here',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      await server.blocking.send(Buffer.from('last words'))
      await server.blocking.recv(Buffer.alloc(1))
      await party.vanish()
    },
    client: async (party) => {
      const { journal } = party.own
      const address = await hear<SocketAddress>(party)
      const socket = await connect(party, address)
      const local = valueOf(socket.getsockname())
      // What it said is unread when it goes, and is read after that.
      await socket.blocking.send(Buffer.from('x'))
      while (journal.all('san^completeOverlappedRequest').every(({ args }) => args[1] === 0))
        await turn(party)
      assert.equal(journal.count('san^closeSocketHandle'), 0)
      assert.equal(String(await readToEnd(socket)), 'last words')
      assert.deepEqual([valueOf(socket.getsockname()), valueOf(socket.getpeername())], [local, address])
      assert.equal(journal.count('san^closeSocketHandle'), 0)
      assert.equal(socket.closesocket(), 0)
      await freed(party, journal)
    },
  },

  {
    title: 'D23 WSD-BLOCK-2 RACE-29 a connect that is cancelled while it is judged is never accepted',
    server: async (party) => {
      const listener = listen(party, { conditional: true })
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      await event.wait()
      party.line.tell('judging')
      assert.equal(await hear(party), 'given up')
      // Accepted too late, or withdrawn already; either way only the next one comes of it.
      const second = await listener.blocking.accept({ condition: () => 'CF_ACCEPT' })
      assert.equal(String(await readToEnd(second)), 'kept')
    },
    client: async (party) => {
      const { winsock } = party.own
      const address = await hear<SocketAddress>(party)
      const given = valueOf(winsock.socket())
      const controller = new AbortController()
      const connecting = given.blocking.connect(address, { signal: controller.signal })
      assert.equal(await hear(party), 'judging')
      controller.abort(Object.assign(new Error('given up'), { code: 'given up' }))
      party.line.tell(await codeOf(connecting))
      assert.equal(given.state, 'failed')
      // Withdrawn at once, not only forgotten.
      assert.equal(party.own.journal.count('san.close'), 1)
      const socket = await connect(party, address)
      await socket.blocking.send(Buffer.from('kept'))
      assert.equal(given.state, 'failed')
      socket.closesocket()
    },
  },

  {
    title: 'D23 WSD-BLOCK-6 a send that is stuck is ended by the close, and the peer is told',
    server: async (party) => {
      const server = await listen(party).blocking.accept()
      assert.equal(await hear(party), 'closed')
      // What was on its way can be read; then nobody is told that this was all.
      server.setsockopt('SO_RCVTIMEO', 0)
      assert.equal(await codeOf(readToEnd(server)), 'WSAECONNRESET')
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      const op = told()
      socket.send(Buffer.alloc(32 << 20), 0, op.overlapped)
      for (let i = 0; i < 20; i++) await turn(party)
      assert.equal(op.times(), 0)
      socket.setsockopt('SO_LINGER', 0)
      socket.closesocket()
      assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
      party.line.tell('closed')
    },
  },
]
