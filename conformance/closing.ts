import assert from 'node:assert/strict'

import { FD_ACCEPT, Overlapped } from '../src/spi/index.ts'
import type { SanSocket, Status } from '../src/spi/index.ts'
import { assertFailure, assertStatus, clause, odd, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ACCEPT, NO_DATA, ROLES } from './fixture.ts'
import { received } from './peer.ts'
import { RecordedEvent } from './recorder.ts'
import { startConnect } from './station.ts'

/** Closing, and what is left for the peer. */
export const closingChecks: readonly Check[] = [
  clause(
    'CLOSE-1 pending operations end with WSA_OPERATION_ABORTED (WSD-CLOSE-4, -5, -16, -17)',
    async (fixture) => {
      const loud = await fixture.connectPair()
      const overlapped = fixture.post(loud.near)
      assertStatus(loud.near.close(), 'success', 'close')
      assertStatus(await fixture.completion(overlapped), 'WSA_OPERATION_ABORTED', 'the posted receive')
      assertStatus(overlapped.status, 'WSA_OPERATION_ABORTED', 'the status of the receive')
      assert.equal(overlapped.bytes, 0)

      const quiet = await fixture.connectPair('acceptor')
      const silent = fixture.post(quiet.near, { silent: true })
      assertStatus(quiet.near.close(), 'success', 'close')
      await fixture.closed(quiet.handle)
      assertStatus(silent.status, 'WSA_OPERATION_ABORTED', 'the status of the silent receive')
      assert.deepEqual(fixture.near.upcalls.completions(silent), [])
    },
  ),

  clause(
    'CLOSE-2 closeSocketHandle is the last upcall, and the only one of its kind (WSD-CLOSE-6)',
    async (fixture) => {
      const { upcalls } = fixture.near
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        await fixture.peer.signal(pair.far)
        assertStatus(await fixture.receive(pair.near), 'success', 'a receive')
        const overlapped = fixture.post(pair.near)
        assertStatus(pair.near.close(), 'success', 'close')
        await fixture.closed(pair.handle)
        assert.equal(upcalls.completions(overlapped).length, 1)
        await fixture.peer.signal(pair.far)
        await fixture.peer.close(pair.far)
        await fixture.roundTrip()
        assert.deepEqual(
          upcalls.of(pair.handle).map((record) => record.call),
          [
            'createSocketHandle',
            'completeOverlappedRequest',
            'completeOverlappedRequest',
            'closeSocketHandle',
          ],
        )
      }
      const unused = await fixture.client()
      assertStatus(unused.close(), 'success', 'close of a socket that was only bound')
      await fixture.closed(fixture.near.handleOf(unused))
    },
  ),

  clause(
    "CLOSE-3 the peer's receives fail, after what was published is readable (WSD-CLOSE-2, -3)",
    async (fixture) => {
      const content = Uint8Array.of(1, 1, 2, 3, 5, 8, 13, 21)
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        const pending = fixture.post(pair.near)
        assertStatus(await fixture.peer.write(pair.far, 16, content), 'success', "the peer's rdmaWrite")
        assertStatus(await fixture.peer.close(pair.far), 'success', "the peer's close")
        assertStatus(await fixture.completion(pending), 'WSAECONNRESET', 'the pending receive')
        assert.deepEqual(received(pair.near, 16, content.length), content)
        assertStatus(pair.near.receive(new Overlapped()), 'WSAECONNRESET', 'a later receive')
      }
      const late = await fixture.connectPair()
      await fixture.peer.close(late.far)
      await fixture.roundTrip()
      assertStatus(await fixture.receive(late.near), 'WSAECONNRESET', 'a receive posted after the end')
    },
  ),

  clause('CLOSE-4 a listening socket refuses the requests it has queued (WSD-CLOSE-14)', async (fixture) => {
    const listener = await fixture.listen()
    const queued = [await fixture.farRequest(listener), await fixture.farRequest(listener)]
    assertStatus(listener.socket.close(), 'success', 'close')
    for (const socket of queued) {
      const { status } = await fixture.farOutcome(socket)
      assert.notEqual(status, 0, 'a request of a closed listener was accepted')
    }
    await fixture.closed(fixture.near.handleOf(listener.socket))
  }),

  clause('CLOSE-5 nothing of a socket is freed before close (WSD-CLOSE-9, WSD-CLOSE-15)', async (fixture) => {
    const { upcalls } = fixture.near
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      const { send } = valueOf(pair.near.memory(), 'memory')
      await fixture.loseFar(pair)
      await fixture.roundTrip()
      assert.ok(!upcalls.of(pair.handle).some((record) => record.call === 'closeSocketHandle'))
      valueOf(pair.near.memory(), 'memory after the peer is gone')
      send.bytes.fill(7, send.offset, send.offset + send.length)
      assertStatus(pair.near.rdmaWrite(send, 0, 1, null), 'WSAECONNRESET', 'rdmaWrite')
      assertStatus(pair.near.receive(new Overlapped()), 'WSAECONNRESET', 'receive')
      assertStatus(pair.near.close(), 'success', 'close')
      await fixture.closed(pair.handle)
    }
  }),

  odd('CLOSE: after close every call answers WSAENOTSOCK (WSD-CLOSE-10)', async (fixture) => {
    const pair = await fixture.connectPair()
    const { address } = await fixture.farListen()
    const { send } = valueOf(pair.near.memory(), 'memory')
    const polled = fixture.post(pair.near, { silent: true })
    const listener = await fixture.listen()
    const connecting = startConnect(await fixture.client(), address, NO_DATA)
    assertStatus(connecting.status, 'WSAEWOULDBLOCK', 'connect')
    const bound = await fixture.client()

    for (const socket of [pair.near, listener.socket, bound]) {
      assertStatus(socket.close(), 'success', 'close')
      const statuses: Readonly<Record<string, Status>> = {
        close: socket.close(),
        bind: socket.bind(address),
        setSockOpt: socket.setSockOpt('SO_DEBUG', 1),
        listen: socket.listen(1),
        eventSelect: socket.eventSelect(new RecordedEvent(), FD_ACCEPT),
        connect: socket.connect(address, NO_DATA),
        deregisterMemory: socket.deregisterMemory(send),
        rdmaWrite: socket.rdmaWrite(send, 0, 1, null),
        signal: socket.signal(),
        receive: socket.receive(new Overlapped()),
      }
      for (const [call, status] of Object.entries(statuses))
        assertStatus(status, 'WSAENOTSOCK', `${call} after close`)
      assertFailure(socket.getSockOpt('SO_DEBUG'), 'WSAENOTSOCK', 'getSockOpt after close')
      assertFailure(socket.enumNetworkEvents(null), 'WSAENOTSOCK', 'enumNetworkEvents after close')
      assertFailure(
        socket.accept(() => ACCEPT),
        'WSAENOTSOCK',
        'accept after close',
      )
      assertFailure(socket.duplicate(process.pid), 'WSAENOTSOCK', 'duplicate after close')
      assertFailure(socket.memory(), 'WSAENOTSOCK', 'memory after close')
      assertFailure(socket.registerMemory(4096), 'WSAENOTSOCK', 'registerMemory after close')
      assertFailure(socket.peerMemory(0, 4096), 'WSAENOTSOCK', 'peerMemory after close')
      assertFailure(socket.getOverlappedResult(polled), 'WSAENOTSOCK', 'getOverlappedResult after close')
    }
    await fixture.closed(pair.handle)
    await fixture.roundTrip()
    for (const socket of [pair.near, listener.socket, bound])
      assertOneHandleClosed(fixture.near.handleOf(socket))

    function assertOneHandleClosed(handle: ReturnType<typeof fixture.near.handleOf>): void {
      const closes = fixture.near.upcalls.of(handle).filter((record) => record.call === 'closeSocketHandle')
      assert.equal(closes.length, 1)
    }
  }),

  odd('CLOSE: both sides may close at the same moment', async (fixture) => {
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      fixture.post(pair.near)
      const far = fixture.peer.close(pair.far)
      assertStatus(pair.near.close(), 'success', 'close')
      assertStatus(await far, 'success', "the peer's close")
      await fixture.closed(pair.handle)
      const calls = fixture.near.upcalls.of(pair.handle).map((record) => record.call)
      assert.deepEqual(calls, ['createSocketHandle', 'completeOverlappedRequest', 'closeSocketHandle'])
    }
    await fixture.roundTrip()
  }),

  odd('CLOSE: a connecting socket closes without ever being connected (WSD-CLOSE-12)', async (fixture) => {
    const { address } = await fixture.farListen()
    const socket: SanSocket = await fixture.client()
    const attempt = startConnect(socket, address, NO_DATA)
    assertStatus(socket.close(), 'success', 'close')
    await fixture.closed(fixture.near.handleOf(socket))
    await fixture.roundTrip()
    assert.equal(attempt.event.isSet, false)
  }),
]
