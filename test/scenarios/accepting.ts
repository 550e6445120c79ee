import assert from 'node:assert/strict'

import type { SocketAddress, Verdict } from '../../src/spi/index.ts'
import { FD_ACCEPT, SD_SEND, WsaEvent } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { nameOf, readToEnd, told, valueOf } from '../winsock/pair.ts'
import { codeOf, connect, hear, listen, turn } from './party.ts'
import type { Scenarios } from './party.ts'

export const ACCEPTING: Scenarios = [
  {
    title:
      'D4 WSD-LISTEN-12 to -15 of a backlog of two the third is refused at once: no event, no question, no TCP/IP',
    server: async (party) => {
      const listener = listen(party, { conditional: true, backlog: 2 })
      const { journal } = party.own
      // Both wait, and nobody was accepted: the condition function of the switch was asked for each.
      while (journal.count('san^condition') < 2) await turn(party)
      const events = journal.count('san^set')
      party.line.tell('both wait')
      assert.equal(await hear(party), 'WSAECONNREFUSED')
      assert.equal(journal.count('san^condition'), 2)
      assert.equal(journal.count('san^set'), events, 'the refused one has raised an event')
      const condition = (): 'CF_ACCEPT' => 'CF_ACCEPT'
      const servers = [1, 2].map(async () => listener.blocking.accept({ condition }))
      for (const server of await Promise.all(servers)) await readToEnd(server)
    },
    client: async (party) => {
      const { winsock, journal } = party.own
      const address = await hear<SocketAddress>(party)
      const sockets = [1, 2].map(() => valueOf(winsock.socket()))
      const ends = sockets.map(async (socket) => codeOf(socket.blocking.connect(address)))
      assert.equal(await hear(party), 'both wait')
      const third = await codeOf(valueOf(winsock.socket()).blocking.connect(address))
      party.line.tell(third)
      assert.deepEqual(await Promise.all(ends), ['success', 'success'])
      assert.equal(journal.count('tcp.connect'), 0, 'TCP/IP was tried')
      for (const socket of sockets) {
        assert.equal(socket.provider, party.carrier)
        socket.closesocket()
      }
    },
  },

  {
    title:
      'D5 WSD-ACCEPT-8 WSD-ACCEPT-10 the condition function runs once, inside accept, before the peer hears anything',
    server: async (party) => {
      const listener = listen(party, { conditional: true })
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      await event.wait()
      party.line.tell('what do you hear?')
      assert.equal(await hear(party), 'connecting')
      let asked = 0
      let inside = true
      const taken = listener.accept(({ remote }) => {
        asked += 1
        assert.ok(inside, 'asked outside accept')
        assert.equal(remote.address, '127.0.0.1')
        return 'CF_ACCEPT'
      })
      inside = false
      assert.equal(asked, 1)
      assert.equal(nameOf(taken), 'WSAEWOULDBLOCK', 'accepted before its peer has gone through with it')
      const server = await listener.blocking.accept()
      assert.equal(asked, 1)
      await readToEnd(server)
      // So it is below: each question is asked inside an accept, and one of them accepts.
      const { journal } = party.own
      const decisions = journal.all('san^condition').map(({ result }) => (result as Verdict).decision)
      assert.deepEqual(decisions, ['CF_PEND', 'CF_ACCEPT'])
      const labels = journal.labels()
      for (const [at, label] of labels.entries()) {
        if (label === 'san^condition') assert.equal(labels[at - 1], 'san.accept')
      }
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      const socket = valueOf(party.own.winsock.socket())
      const connected = codeOf(socket.blocking.connect(address))
      assert.equal(await hear(party), 'what do you hear?')
      party.line.tell(socket.state)
      assert.equal(await connected, 'success')
      assert.equal(socket.provider, party.carrier)
      socket.closesocket()
    },
  },

  {
    title:
      'D6 WSD-ACCEPT-18 WSD-ACCEPT-19 WSD-CONN-13 CF_REJECT refuses the peer, and nothing is tried over TCP/IP',
    server: async (party) => {
      const listener = listen(party, { conditional: true })
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      for (let i = 0; i < 2; i++) {
        await event.wait()
        listener.enumNetworkEvents(event)
        assert.equal(nameOf(listener.accept(() => 'CF_REJECT')), 'WSAECONNREFUSED')
      }
      const server = await listener.blocking.accept({ condition: () => 'CF_ACCEPT' })
      await readToEnd(server)
    },
    client: async (party) => {
      const { winsock, journal } = party.own
      const address = await hear<SocketAddress>(party)
      const codes: string[] = []
      for (let i = 0; i < 3; i++) {
        const socket = valueOf(winsock.socket())
        codes.push(await codeOf(socket.blocking.connect(address)))
        socket.closesocket()
      }
      assert.deepEqual(codes, ['WSAECONNREFUSED', 'WSAECONNREFUSED', 'success'])
      assert.equal(journal.count('tcp.connect'), 0, 'TCP/IP was tried')
    },
  },

  {
    title: 'D7 RACE-2 to -5 WSD-ACCEPT-16 a burst of requests is accepted whole, and no wake-up is lost',
    server: async (party) => {
      const listener = listen(party, { backlog: 64 })
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const servers: WinsockSocket[] = []
      while (servers.length < 50) {
        await event.wait()
        listener.enumNetworkEvents(event)
        for (let next = listener.accept(); next.ok; next = listener.accept()) servers.push(next.value)
      }
      const said = await Promise.all(servers.map(async (server) => Number(await readToEnd(server))))
      assert.deepEqual(
        said.sort((one, other) => one - other),
        [...Array(50).keys()],
      )
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const socket = await connect(party, address)
          await socket.blocking.send(Buffer.from(String(i)))
          socket.closesocket()
        }),
      )
    },
  },

  {
    title: 'D14 WSD-ACCEPT-23 AcceptEx with a buffer ends only with the first data',
    server: async (party) => {
      const listener = listen(party)
      const server = valueOf(party.own.winsock.socket())
      const [op, buffer] = [told(), Buffer.alloc(32)]
      listener.acceptEx(server, buffer, op.overlapped)
      // Its peer has heard that it is connected, and has answered: for the accept that is not the end.
      assert.equal(await hear(party), 'connected')
      while (server.state !== 'connected') await turn(party)
      await server.blocking.send(Buffer.from('go'))
      assert.equal(await hear(party), 'go')
      assert.equal(op.times(), 0)
      party.line.tell('now')
      assert.deepEqual(await op.ended, ['success', 10])
      assert.equal(String(buffer.subarray(0, 10)), 'first data')
      server.closesocket()
    },
    client: async (party) => {
      const socket = await connect(party, await hear<SocketAddress>(party))
      party.line.tell('connected')
      const buffer = Buffer.alloc(2)
      await socket.blocking.recv(buffer)
      party.line.tell(String(buffer))
      assert.equal(await hear(party), 'now')
      await socket.blocking.send(Buffer.from('first data'))
      socket.shutdown(SD_SEND)
      assert.equal((await readToEnd(socket)).length, 0)
    },
  },
]
