import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { WSA, SockswitchError } from '../../src/spi/index.ts'
import {
  AF_INET,
  AF_INET6,
  FD_ACCEPT,
  FD_CLOSE,
  FD_CONNECT,
  FD_READ,
  FD_WRITE,
  SD_BOTH,
  SD_RECEIVE,
  SD_SEND,
  WsaEvent,
  waitForMultipleEvents,
} from '../../src/faces/winsock/index.ts'
import type { CallerId, WinsockSocket } from '../../src/faces/winsock/index.ts'
import {
  CARRIERS,
  LOCAL,
  cleanUp,
  connected,
  listening,
  nameOf,
  program,
  readToEnd,
  told,
  valueOf,
} from './pair.ts'
import type { Program } from './pair.ts'
import { shmProvider } from '../support/shm-provider.ts'

after(cleanUp)

for (const [carrier, make] of CARRIERS) {
  describe(`Winsock over ${carrier}`, () => {
    test('WSD-SOCK-3 WSD-COMP-16 a connection has the names that TCP/IP would give it, whoever carries it', async () => {
      const { client, server, address } = await connected(program(make()))
      assert.deepEqual([client.provider, server.provider], [carrier, carrier])
      assert.deepEqual(valueOf(client.getpeername()), address)
      assert.deepEqual(valueOf(server.getsockname()), address)
      assert.deepEqual(valueOf(server.getpeername()), valueOf(client.getsockname()))
      assert.equal(valueOf(client.getsockname()).address, '127.0.0.1')
      assert.deepEqual(valueOf(server.getAcceptExSockaddrs()), {
        local: address,
        remote: valueOf(client.getsockname()),
      })
    })

    test('WSD-BLOCK-1 WSD-BLOCK-3 WSD-SHUT-4 bytes, then the end, each way', async () => {
      const { client, server } = await connected(program(make()))
      const sent = Buffer.alloc(3 << 20, 'abcdefg')
      const there = readToEnd(server)
      assert.equal(await client.blocking.send(sent), sent.length)
      assert.equal(client.shutdown(SD_SEND), 0)
      assert.ok((await there).equals(sent))
      assert.equal(nameOf(client.send(sent)), 'WSAESHUTDOWN')
      assert.equal(await server.blocking.send(Buffer.from('back')), 4)
      server.shutdown(SD_SEND)
      assert.equal(String(await readToEnd(client)), 'back')
      assert.deepEqual([client.closesocket(), server.closesocket()], [0, 0])
    })

    test('WSD-XFER-18 several buffers, small and large, nonblocking between overlapped: one stream', async () => {
      const { client, server } = await connected(program(make()))
      const there = readToEnd(server)
      const expected: Buffer[] = []
      const sends: Promise<unknown>[] = []
      for (let i = 0; i < 40; i++) {
        const buffers = [Buffer.alloc(1 + i, i), Buffer.alloc(i % 5 === 0 ? 300_000 : 3, 255 - i)]
        if (i % 3 === 1) {
          // What does not fit is not sent: the caller tries again.
          const result = client.send(buffers)
          if (result.ok) expected.push(Buffer.concat(buffers).subarray(0, result.value))
          else assert.equal(nameOf(result), 'WSAEWOULDBLOCK')
        } else {
          const op = told()
          assert.equal(nameOf(client.send(buffers, 0, op.overlapped)), 'WSA_IO_PENDING')
          expected.push(Buffer.concat(buffers))
          sends.push(op.ended)
        }
      }
      await Promise.all(sends)
      client.shutdown(SD_SEND)
      assert.ok((await there).equals(Buffer.concat(expected)))
    })

    test('WSD-CPL-1 a silent operation tells nobody, and its owner asks', async () => {
      const { client, server } = await connected(program(make()))
      const { overlapped, times } = told()
      const silent = new (overlapped.constructor as new (o: object) => typeof overlapped)({ silent: true })
      const target = Buffer.alloc(5)
      assert.equal(nameOf(server.recv(target, 0, silent)), 'WSA_IO_PENDING')
      assert.equal(nameOf(server.getOverlappedResult(silent)), 'WSA_IO_INCOMPLETE')
      await client.blocking.send(Buffer.from('hello'))
      while (silent.pending) await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(
        [valueOf(server.getOverlappedResult(silent)), String(target), times()],
        [5, 'hello', 0],
      )
    })

    test('WSD-CPL-2 WSD-CPL-11 RACE-21 a notified operation is told once, and never from inside a call', async () => {
      const { client, server } = await connected(program(make()))
      await client.blocking.send(Buffer.from('there already'))
      const event = new WsaEvent()
      server.eventSelect(event, FD_READ)
      await event.wait()
      const op = told()
      assert.equal(nameOf(server.recv(Buffer.alloc(20), 0, op.overlapped)), 'WSA_IO_PENDING')
      assert.deepEqual([op.times(), op.overlapped.pending], [0, true])
      assert.deepEqual(await op.ended, ['success', 13])
      server.closesocket()
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(op.times(), 1)
    })

    test('WSD-SYNC-1 WSD-SYNC-3 events are told once, and again after the call that answers to them', async () => {
      const { client, server } = await connected(program(make()))
      const event = new WsaEvent()
      assert.equal(server.eventSelect(event, FD_READ | FD_WRITE | FD_CLOSE), 0)
      await event.wait()
      assert.equal(valueOf(server.enumNetworkEvents(event)).mask, FD_WRITE)
      assert.equal(event.isSet, false)
      await client.blocking.send(Buffer.from('one two'))
      await event.wait()
      assert.equal(valueOf(server.enumNetworkEvents(event)).mask, FD_READ)
      const three = Buffer.alloc(3)
      assert.equal(valueOf(server.recv(three)), 3)
      assert.equal(valueOf(server.enumNetworkEvents(event)).mask, FD_READ, 'bytes are left')
      assert.equal(valueOf(server.recv(Buffer.alloc(10))), 4)
      assert.equal(valueOf(server.enumNetworkEvents(event)).mask, 0)
      assert.equal(nameOf(server.recv(three)), 'WSAEWOULDBLOCK')
      client.closesocket()
      await event.wait()
      const { mask, errors } = valueOf(server.enumNetworkEvents(event))
      assert.deepEqual([mask, errors[FD_CLOSE]], [FD_CLOSE, 0])
      assert.equal(valueOf(server.recv(three)), 0)
    })

    test('a nonblocking send takes no more than SO_SNDBUF says, whatever its buffers', async () => {
      const { client, server } = await connected(program(make()))
      client.setsockopt('SO_SNDBUF', 10)
      const buffers = ['12345678', 'abcdefgh', 'nothing of this'].map((text) => Buffer.from(text))
      assert.equal(valueOf(client.send(buffers)), 10)
      client.shutdown(SD_SEND)
      assert.equal(String(await readToEnd(server)), '12345678ab')
    })

    test('a send that would block is told when there is room', async () => {
      const { client, server } = await connected(program(make()))
      const event = new WsaEvent()
      client.eventSelect(event, FD_WRITE)
      const piece = Buffer.alloc(1 << 16, 'x')
      let sent = 0
      for (let result = client.send(piece); ; result = client.send(piece)) {
        if (!result.ok) {
          assert.equal(nameOf(result), 'WSAEWOULDBLOCK')
          break
        }
        sent += result.value
      }
      client.enumNetworkEvents(event)
      const there = readToEnd(server)
      await event.wait()
      assert.equal(valueOf(client.enumNetworkEvents(event)).mask, FD_WRITE)
      client.shutdown(SD_SEND)
      assert.equal((await there).length, sent)
    })

    test('WSD-ACCEPT-1 WSD-CONN-3 WSD-CONN-10 nonblocking accept and connect, with events', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const [accepts, connects] = [new WsaEvent(), new WsaEvent()]
      listener.eventSelect(accepts, FD_ACCEPT)
      assert.equal(nameOf(listener.accept()), 'WSAEWOULDBLOCK')
      const client = valueOf(one.winsock.socket())
      client.eventSelect(connects, FD_CONNECT)
      assert.equal(nameOf(client.connect(address)), 'WSAEWOULDBLOCK')
      assert.equal(nameOf(client.connect(address)), 'WSAEALREADY')
      assert.equal(nameOf(client.send(Buffer.from('early'))), 'WSAENOTCONN')
      await waitForMultipleEvents([accepts, connects], { all: true })
      assert.deepEqual(valueOf(client.enumNetworkEvents(connects)).errors, { [FD_CONNECT]: 0 })
      assert.equal(nameOf(client.connect(address)), 'WSAEISCONN')
      assert.equal(valueOf(listener.enumNetworkEvents(accepts)).mask, FD_ACCEPT)
      const server = valueOf(listener.accept())
      assert.deepEqual(valueOf(server.getpeername()), valueOf(client.getsockname()))
      assert.equal(nameOf(listener.accept()), 'WSAEWOULDBLOCK')
    })

    test('RACE-5 WSD-ACCEPT-16 a burst of connects is accepted whole, in a loop until it would block', async () => {
      const one = program(make())
      const { listener, address } = listening(one, { backlog: 64 })
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const clients = Array.from({ length: 40 }, () => valueOf(one.winsock.socket()))
      await Promise.all(clients.map((client) => client.blocking.connect(address)))
      const ports = new Set<number>()
      while (ports.size < clients.length) {
        await event.wait()
        listener.enumNetworkEvents(event)
        for (let next = listener.accept(); next.ok; next = listener.accept()) {
          ports.add(valueOf(next.value.getpeername()).port)
        }
      }
      assert.deepEqual(ports, new Set(clients.map((client) => valueOf(client.getsockname()).port)))
    })

    test('WSD-ACCEPT-23 WSD-EXT-1 WSD-EXT-4 AcceptEx with a buffer ends with the first data; ConnectEx sends some', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const first = told()
      const [server, client] = [valueOf(one.winsock.socket()), valueOf(one.winsock.socket())]
      const buffer = Buffer.alloc(16)
      assert.equal(nameOf(listener.acceptEx(server, buffer, first.overlapped)), 'WSA_IO_PENDING')
      assert.equal(nameOf(listener.acceptEx(server, buffer, told().overlapped)), 'WSAEINVAL')
      const silentClient = valueOf(one.winsock.socket())
      await silentClient.blocking.connect(address)
      while (server.state !== 'connected') await new Promise((resolve) => setImmediate(resolve))
      assert.equal(first.times(), 0, 'AcceptEx ended without data')
      await silentClient.blocking.send(Buffer.from('first'))
      assert.deepEqual(await first.ended, ['success', 5])
      assert.equal(String(buffer.subarray(0, 5)), 'first')
      assert.equal(server.setsockopt('SO_UPDATE_ACCEPT_CONTEXT', 1), 0)

      const [second, sent] = [told(), told()]
      const other = valueOf(one.winsock.socket())
      listener.acceptEx(other, buffer, second.overlapped)
      assert.equal(nameOf(client.connectEx(address, Buffer.from('along'), sent.overlapped)), 'WSA_IO_PENDING')
      assert.deepEqual(await sent.ended, ['success', 5])
      assert.deepEqual(await second.ended, ['success', 5])
    })

    test('WSD-ACCEPT-24 a cancelled accept takes no connection; the next one gets it', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const cancelled = told()
      const unused = valueOf(one.winsock.socket())
      listener.acceptEx(unused, undefined, cancelled.overlapped)
      assert.equal(listener.cancel(cancelled.overlapped), 0)
      assert.deepEqual(await cancelled.ended, ['WSA_OPERATION_ABORTED', 0])
      assert.equal(nameOf(listener.cancel(cancelled.overlapped)), 'WSAEINVAL')
      const closed = told()
      const reserved = valueOf(one.winsock.socket())
      listener.acceptEx(reserved, undefined, closed.overlapped)
      reserved.closesocket()
      assert.deepEqual(await closed.ended, ['WSA_OPERATION_ABORTED', 0])
      const controller = new AbortController()
      const waiting = listener.blocking.accept({ signal: controller.signal })
      controller.abort(new Error('no more'))
      await assert.rejects(waiting, /no more/)
      const client = valueOf(one.winsock.socket())
      const [server] = await Promise.all([listener.blocking.accept(), client.blocking.connect(address)])
      assert.equal(server.state, 'connected')
      assert.equal(unused.bind(LOCAL), 0, 'it is a new one again')
    })

    test('WSD-ACCEPT-24 a listener that closes ends its accepts, and resets what nobody took', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const client = valueOf(one.winsock.socket())
      await client.blocking.connect(address)
      await event.wait()
      listener.closesocket()
      await assert.rejects(client.blocking.recv(Buffer.alloc(1)), { code: 'WSAECONNRESET' })
      const { listener: other } = listening(one)
      const accept = other.blocking.accept()
      other.closesocket()
      await assert.rejects(accept, { code: 'WSA_OPERATION_ABORTED' })
      assert.equal(nameOf(other.accept()), 'WSAENOTSOCK')
    })

    test('WSD-ACCEPT-24 an accept that waits for its first data goes back with its connection: cancelled, or with its listener', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const server = valueOf(one.winsock.socket())
      for (const takeBack of ['cancel', 'close'] as const) {
        const op = told()
        listener.acceptEx(server, Buffer.alloc(8), op.overlapped)
        const client = valueOf(one.winsock.socket())
        await client.blocking.connect(address)
        while (server.state !== 'connected') await new Promise((resolve) => setImmediate(resolve))
        const lost = assert.rejects(client.blocking.recv(Buffer.alloc(1)), { code: 'WSAECONNRESET' })
        if (takeBack === 'cancel') {
          assert.equal(server.cancel(op.overlapped), WSA.WSAEINVAL, 'the operation is the listener’s')
          assert.equal(listener.cancel(op.overlapped), 0)
          assert.equal(nameOf(listener.cancel(op.overlapped)), 'WSAEINVAL')
        } else {
          listener.closesocket()
        }
        assert.deepEqual([server.state, nameOf(server.getpeername())], ['created', 'WSAENOTCONN'])
        assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
        await lost
        assert.equal(op.times(), 1)
      }
      assert.equal(server.bind(LOCAL), 0, 'it is a new one again')
    })

    test('an accept whose condition function takes it back is no accept, and one that throws rejects', async () => {
      const thrown: unknown[] = []
      const schedule = (job: () => void): void => {
        setImmediate(() => {
          try {
            job()
          } catch (error) {
            thrown.push(error)
          }
        })
      }
      const one = program(make(), { schedule })
      const { listener, address } = listening(one, { conditional: true })
      const [first, second, third] = [told(), told(), told()]
      const sockets = [0, 1, 2].map(() => valueOf(one.winsock.socket()))
      listener.acceptEx(sockets[0]!, undefined, first.overlapped, () => {
        listener.cancel(first.overlapped)
        return 'CF_ACCEPT'
      })
      listener.acceptEx(sockets[1]!, undefined, second.overlapped)
      listener.acceptEx(sockets[2]!, undefined, third.overlapped, () => {
        throw new Error('not today')
      })
      const [kept, turnedAway] = [0, 1].map(() => valueOf(one.winsock.socket()))
      await kept!.blocking.connect(address)
      assert.deepEqual(await first.ended, ['WSA_OPERATION_ABORTED', 0])
      assert.deepEqual(await second.ended, ['success', 0])
      assert.deepEqual([sockets[0]!.state, sockets[1]!.state], ['created', 'connected'])
      await assert.rejects(
        turnedAway!.blocking.connect(address).then(async () => turnedAway!.blocking.recv(Buffer.alloc(1))),
      )
      assert.deepEqual(thrown, [new Error('not today')])
      assert.equal(third.times(), 0, 'it waits for the next one')
    })

    test('the condition function accepts, defers and rejects what waits first', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      const event = new WsaEvent()
      listener.eventSelect(event, FD_ACCEPT)
      const client = valueOf(one.winsock.socket())
      await client.blocking.connect(address)
      await event.wait()
      const seen: CallerId[] = []
      const verdicts = ['CF_DEFER', 'CF_DEFER', 'CF_ACCEPT'] as const
      const answers = verdicts.map((verdict) => {
        const taken = listener.accept((caller) => {
          seen.push(caller)
          return verdict
        })
        return nameOf(taken)
      })
      assert.deepEqual(answers, ['WSATRY_AGAIN', 'WSATRY_AGAIN', 'success'])
      const caller = { remote: valueOf(client.getsockname()), local: address }
      assert.deepEqual(seen, [caller, caller, caller])

      const refused = valueOf(one.winsock.socket())
      await refused.blocking.connect(address)
      listener.enumNetworkEvents(event)
      while (nameOf(listener.accept(() => 'CF_REJECT')) === 'WSAEWOULDBLOCK') {
        await event.wait()
        listener.enumNetworkEvents(event)
      }
      await assert.rejects(refused.blocking.recv(Buffer.alloc(1)), { code: 'WSAECONNRESET' })
    })

    test('WSD-CLOSE-4 closing with everything pending ends each operation once, aborted', async () => {
      const { client, server } = await connected(program(make()))
      const ops = [told(), told(), told()]
      client.recv(Buffer.alloc(4), 0, ops[0]!.overlapped)
      client.recv([Buffer.alloc(4), Buffer.alloc(4)], 0, ops[1]!.overlapped)
      // More than any buffer on the way takes.
      client.send(Buffer.alloc(16 << 20), 0, ops[2]!.overlapped)
      assert.equal(client.closesocket(), 0)
      assert.equal(client.closesocket(), WSA.WSAENOTSOCK)
      for (const op of ops) assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(
        ops.map(({ times }) => times()),
        [1, 1, 1],
      )
      for (const call of [
        () => client.recv(Buffer.alloc(1)),
        () => client.send(Buffer.alloc(1)),
        () => client.bind(LOCAL),
        () => client.getsockname(),
        () => client.shutdown(SD_BOTH),
        () => client.listen(1),
        () => client.eventSelect(new WsaEvent(), FD_READ),
        () => client.getsockopt('SO_TYPE'),
        () => client.ioctl('FIONREAD'),
      ]) {
        assert.equal(nameOf(call()), 'WSAENOTSOCK')
      }
      server.closesocket()
    })

    test('SO_LINGER 0 resets; off, what was sent arrives; SD_RECEIVE ends receives', async () => {
      const one = program(make())
      const { client, server } = await connected(one)
      const hard = server.blocking.recv(Buffer.alloc(1))
      assert.equal(client.setsockopt('SO_LINGER', 0), 0)
      client.closesocket()
      await assert.rejects(hard, { code: 'WSAECONNRESET' })
      const soft = await connected(one)
      await soft.client.blocking.send(Buffer.from('last words'))
      soft.client.closesocket()
      assert.equal(String(await readToEnd(soft.server)), 'last words')
      const deaf = await connected(one)
      const pending = deaf.client.blocking.recv(Buffer.alloc(1))
      deaf.client.shutdown(SD_RECEIVE)
      await assert.rejects(pending, { code: 'WSAESHUTDOWN' })
      assert.equal(nameOf(deaf.client.recv(Buffer.alloc(1))), 'WSAESHUTDOWN')
    })

    test('a longer SO_LINGER waits for what was sent', async () => {
      const { client, server } = await connected(program(make()))
      client.setsockopt('SO_LINGER', 30)
      const sent = Buffer.alloc(8 << 20, 'linger')
      const op = told()
      client.send(sent, 0, op.overlapped)
      assert.equal(nameOf(client.closesocket()), 'WSAEWOULDBLOCK')
      const there = readToEnd(server)
      await client.blocking.close()
      assert.deepEqual(await op.ended, ['success', sent.length])
      assert.ok((await there).equals(sent))
    })

    test('looking does not take, waiting for all takes all, and nothing waits for something', async () => {
      const { client, server } = await connected(program(make()))
      const ready = told()
      server.recv([], 0, ready.overlapped)
      await client.blocking.send(Buffer.from('abc'))
      assert.deepEqual(await ready.ended, ['success', 0])
      const look = Buffer.alloc(2)
      assert.deepEqual([valueOf(server.recv(look, 2)), String(look)], [2, 'ab'])
      assert.equal(valueOf(server.ioctl('FIONREAD')), 3)
      const all = told()
      const six = [Buffer.alloc(2), Buffer.alloc(4)]
      server.recv(six, 8, all.overlapped)
      await client.blocking.send(Buffer.from('def'))
      assert.deepEqual(await all.ended, ['success', 6])
      assert.equal(String(Buffer.concat(six)), 'abcdef')
      const short = told()
      server.recv(Buffer.alloc(9), 8, short.overlapped)
      await client.blocking.send(Buffer.from('gh'))
      client.shutdown(SD_SEND)
      assert.deepEqual(await short.ended, ['success', 2])
      assert.equal(nameOf(server.recv(look, 0x8000)), 'WSAEOPNOTSUPP')
    })

    test('TransmitFile sends a stretch of a file', async () => {
      const { client, server } = await connected(program(make()))
      const content = Buffer.alloc(200_000, 'file ')
      const file = {
        read: (into: Uint8Array, at: number, length: number, position: number) => {
          const piece = content.subarray(position, position + length)
          into.set(piece, at)
          return Promise.resolve({ bytesRead: piece.length })
        },
      }
      const op = told()
      assert.equal(nameOf(client.transmitFile(file, 7, 150_000, op.overlapped)), 'WSA_IO_PENDING')
      const there = readToEnd(server)
      assert.deepEqual(await op.ended, ['success', 150_000])
      client.shutdown(SD_SEND)
      assert.ok((await there).equals(content.subarray(7, 150_007)))
    })

    test('WSD-BLOCK-2 WSD-BLOCK-7 a blocking call ends with its signal or its time', async () => {
      const { client, server } = await connected(program(make()))
      const controller = new AbortController()
      const receiving = client.blocking.recv(Buffer.alloc(1), { signal: controller.signal })
      controller.abort(new Error('enough'))
      await assert.rejects(receiving, /enough/)
      await assert.rejects(client.blocking.recv(Buffer.alloc(1), { signal: controller.signal }), /enough/)
      client.setsockopt('SO_RCVTIMEO', 5)
      await assert.rejects(client.blocking.recv(Buffer.alloc(1)), { code: 'WSAETIMEDOUT' })
      await server.blocking.send(Buffer.from('still'))
      client.setsockopt('SO_RCVTIMEO', 0)
      assert.equal(await client.blocking.recv(Buffer.alloc(9)), 5)
    })

    test('calls that the state does not allow answer what Winsock answers', async () => {
      const one = program(make())
      const make1 = (): WinsockSocket => valueOf(one.winsock.socket())
      const socket = make1()
      assert.equal(nameOf(socket.listen(1)), 'WSAEINVAL')
      assert.equal(nameOf(socket.accept()), 'WSAEINVAL')
      assert.equal(nameOf(socket.getsockname()), 'WSAEINVAL')
      assert.equal(nameOf(socket.getpeername()), 'WSAENOTCONN')
      assert.equal(nameOf(socket.shutdown(SD_SEND)), 'WSAENOTCONN')
      assert.equal(nameOf(socket.bind({ ...LOCAL, family: 'IPv6', address: '::1' })), 'WSAEFAULT')
      assert.equal(nameOf(socket.connect({ ...LOCAL, port: 0 })), 'WSAEADDRNOTAVAIL')
      assert.equal(nameOf(socket.connect({ family: 'IPv6', address: '::1', port: 1 })), 'WSAEAFNOSUPPORT')
      assert.equal(socket.bind(LOCAL), 0)
      assert.equal(nameOf(socket.bind(LOCAL)), 'WSAEINVAL')
      assert.equal(nameOf(socket.eventSelect(new WsaEvent(), 0x400)), 'WSAEINVAL')
      const { client, address, listener } = await connected(one)
      assert.equal(nameOf(client.listen(1)), 'WSAEISCONN')
      assert.equal(nameOf(client.bind(LOCAL)), 'WSAEINVAL')
      assert.equal(nameOf(listener.connect(address)), 'WSAEINVAL')
      assert.equal(nameOf(make1().bind({ ...LOCAL, address: '203.0.113.7' })), 'WSAEADDRNOTAVAIL')
    })

    test('a connect that is refused tells why, and its socket can only be closed', async () => {
      const one = program(make())
      const { listener, address } = listening(one)
      listener.closesocket()
      const client = valueOf(one.winsock.socket())
      const event = new WsaEvent()
      client.eventSelect(event, FD_CONNECT)
      client.connect(address)
      await event.wait()
      assert.equal(valueOf(client.enumNetworkEvents(event)).errors[FD_CONNECT], WSA.WSAECONNREFUSED)
      assert.deepEqual(
        [1, 2].map(() => valueOf(client.getsockopt('SO_ERROR'))),
        [WSA.WSAECONNREFUSED, 0],
      )
      const late = new WsaEvent()
      client.eventSelect(late, FD_CONNECT)
      assert.equal(valueOf(client.enumNetworkEvents(late)).errors[FD_CONNECT], WSA.WSAECONNREFUSED)
      assert.equal(nameOf(client.connect(address)), 'WSAEINVAL')
      assert.equal(client.closesocket(), 0)
      const again = valueOf(one.winsock.socket()).blocking.connect(address)
      await assert.rejects(
        again,
        (error) => error instanceof SockswitchError && error.code === 'WSAECONNREFUSED',
      )
    })

    test('a connect that fails inside the call is told in a turn of its own', async () => {
      const client = valueOf(program(make()).winsock.socket())
      const event = new WsaEvent()
      client.eventSelect(event, FD_CONNECT)
      // No stream goes to everybody.
      assert.equal(
        nameOf(client.connect({ ...LOCAL, address: '255.255.255.255', port: 9 })),
        'WSAEWOULDBLOCK',
      )
      assert.deepEqual([client.state, event.isSet], ['connecting', false])
      await event.wait()
      assert.notEqual(valueOf(client.enumNetworkEvents(event)).errors[FD_CONNECT], 0)
      assert.equal(client.state, 'failed')
    })

    test('WSD-LISTEN-16 listening again changes the backlog; beyond it nobody is connected', () => {
      const one = program(make())
      const { listener } = listening(one, { backlog: 1 })
      assert.deepEqual([listener.listen(4), listener.listen(2)], [0, 0])
      assert.equal(valueOf(listener.getsockopt('SO_ACCEPTCONN')), 1)
    })
  })
}

for (const [name, make] of [
  ['tcpip', () => program()],
  ['shm', overShm],
] as const) {
  test(`IPv6, and IPv4 peers of an IPv6 socket, over ${name}`, async (t) => {
    const one = make()
    // Its provider does not keep the process.
    const held = setInterval(() => undefined, 1000)
    t.after(() => {
      clearInterval(held)
    })
    const listener = valueOf(one.winsock.socket(AF_INET6))
    assert.equal(listener.bind({ family: 'IPv6', address: '::', port: 0 }), 0)
    assert.equal(listener.listen(4), 0)
    const { port } = valueOf(listener.getsockname())
    const addresses = [
      [AF_INET6, { family: 'IPv6', address: '::1', port }, '::1'],
      [AF_INET6, { family: 'IPv6', address: '::ffff:127.0.0.1', port }, '::ffff:127.0.0.1'],
      [AF_INET, { ...LOCAL, port }, '::ffff:127.0.0.1'],
    ] as const
    for (const [family, address, shown] of addresses) {
      const client = valueOf(one.winsock.socket(family))
      const [server] = await Promise.all([listener.blocking.accept(), client.blocking.connect(address)])
      assert.deepEqual([client.provider, server.provider], [name, name])
      assert.equal(valueOf(server.getpeername()).address, shown)
      assert.equal(valueOf(server.getsockname()).address, shown)
      assert.equal(valueOf(client.getpeername()).address, address.address)
      assert.equal(valueOf(client.getsockname()).address, address.address)
    }
  })
}

/** The loopback provider serves one family at a time; this one both. */
function overShm(): Program {
  const shm = shmProvider()
  // A peer in this very process, on a busy machine, is late and not gone.
  return program(shm, { schedule: shm.turns.schedule, connectTimeoutMs: 10_000 })
}
