import assert from 'node:assert/strict'

import { FD_CONNECT, MAX_CONNECT_DATA_BYTES, Overlapped, WSA, isFinalConnectError } from '../src/spi/index.ts'
import {
  assertFailure,
  assertRefused,
  assertStatus,
  clause,
  odd,
  resultName,
  statusName,
  valueOf,
} from './check.ts'
import type { Check } from './check.ts'
import { ACCEPT, NO_DATA } from './fixture.ts'
import { startConnect } from './station.ts'

/** Connecting, and giving up. */
export const connectingChecks: readonly Check[] = [
  clause('CONNECT-1 answers later with one event, or at once without (WSD-CONN-6 to -8)', async (fixture) => {
    const { listener, address } = await fixture.farListen()
    const near = await fixture.client()
    const attempt = startConnect(near, address, NO_DATA)
    assertStatus(attempt.status, 'WSAEWOULDBLOCK', 'connect')
    assertFailure(near.memory(), 'WSAENOTCONN', 'memory while connecting')
    await fixture.farAccept(listener)
    const events = await fixture.events('the connect', near, attempt.event)
    assert.deepEqual(events, { mask: FD_CONNECT, connectStatus: 0 })
    assert.equal(attempt.event.isSet, false)
    assert.equal(valueOf(near.enumNetworkEvents(attempt.event), 'enumNetworkEvents').mask, 0)
    valueOf(near.memory(), 'memory once connected')

    const failed = startConnect(await fixture.client(), await fixture.peer.address('nobody'), NO_DATA)
    const { status } = await fixture.outcome(failed)
    assert.ok(
      status !== 0 && status !== WSA.WSAEWOULDBLOCK,
      `the connect to nobody ended with ${statusName(status)}`,
    )
    await fixture.roundTrip()
    assert.equal(failed.event.isSet, false, 'the event was set without need')
  }),

  clause(
    'CONNECT-2 where nobody switched listens the answer is WSAETIMEDOUT (WSD-CONN-14, -15)',
    async (fixture) => {
      const nobody = startConnect(await fixture.client(), await fixture.peer.address('nobody'), NO_DATA)
      assertStatus((await fixture.outcome(nobody)).status, 'WSAETIMEDOUT', 'connect to nobody')

      const { listener, address } = await fixture.farListen()
      assertStatus(await fixture.peer.close(listener), 'success', "the peer's close")
      const closed = startConnect(await fixture.client(), address, NO_DATA)
      assertStatus((await fixture.outcome(closed)).status, 'WSAETIMEDOUT', 'connect to a former listener')

      const elsewhere = startConnect(await fixture.client(), fixture.unserved(address), NO_DATA)
      const { status } = await fixture.outcome(elsewhere)
      assert.ok(
        status !== 0 && !isFinalConnectError(status),
        `connect elsewhere answers ${statusName(status)}`,
      )
    },
  ),

  clause(
    'CONNECT-3 close before the result gives the attempt up (WSD-CONN-20, WSD-CLOSE-12)',
    async (fixture) => {
      const { listener, address } = await fixture.farListen()
      const given = await fixture.client()
      const attempt = startConnect(given, address, Uint8Array.of(1))
      assertStatus(attempt.status, 'WSAEWOULDBLOCK', 'connect')
      assertStatus(given.close(), 'success', 'close')
      const kept = startConnect(await fixture.client(), address, Uint8Array.of(2))

      for (;;) {
        const accepted = await fixture.farAccept(listener)
        if (accepted.request.callerData[0] === 2) break
        if (accepted.status === 0) await fixture.farEnds(accepted.socket)
      }
      assertStatus((await fixture.outcome(kept)).status, 'success', 'the connect that was kept')
      await fixture.closed(fixture.near.handleOf(given))
      assert.equal(attempt.event.isSet, false, 'the connect was reported after close')
    },
  ),

  clause('CONNECT-4 tells that the request is pended, and later how it ended', async (fixture) => {
    const listener = await fixture.listen()
    for (const end of ['accept', 'reject'] as const) {
      const far = await fixture.farRequest(listener)
      const pended = new Overlapped()
      const condition = () => ({ decision: 'CF_PEND', pended }) as const
      assertFailure(listener.socket.accept(condition), 'WSA_IO_PENDING', 'accept')
      assertStatus((await fixture.farOutcome(far)).status, 'WSA_IO_PENDING', 'what the peer hears first')
      const answer = listener.socket.accept(
        () => (end === 'accept' ? ACCEPT : { decision: 'CF_REJECT' }),
        pended,
      )
      assert.equal(resultName(answer), end === 'accept' ? 'success' : 'WSAECONNREFUSED')
      const expected = end === 'accept' ? 'success' : 'WSAECONNREFUSED'
      assertStatus((await fixture.farOutcome(far)).status, expected, 'how it ended')
    }
  }),

  odd(
    'CONNECT: the largest caller data arrives as it was at the call, more is refused (WSD-NEG-4)',
    async (fixture) => {
      const { listener, address } = await fixture.farListen()
      const callerData = new Uint8Array(MAX_CONNECT_DATA_BYTES).map((_, i) => 255 - i)
      const socket = await fixture.client()
      const tooMuch = new Uint8Array(MAX_CONNECT_DATA_BYTES + 1)
      assertStatus(socket.connect(address, tooMuch), 'WSAEMSGSIZE', 'connect with oversize caller data')
      const attempt = startConnect(socket, address, callerData)
      const expected = callerData.slice()
      callerData.fill(0)
      const { request } = await fixture.farAccept(listener, { decision: 'CF_ACCEPT', calleeData: expected })
      assert.deepEqual(request.callerData, expected)

      const { status, calleeData } = await fixture.outcome(attempt)
      assertStatus(status, 'success', 'connect')
      assert.deepEqual(calleeData, expected)
      calleeData.fill(0)
      assert.deepEqual(socket.calleeData(), expected, 'calleeData is not a copy')
    },
  ),

  odd('CONNECT: a connect while connecting answers WSAEALREADY', async (fixture) => {
    const { listener, address } = await fixture.farListen()
    const attempt = startConnect(await fixture.client(), address, NO_DATA)
    assertStatus(attempt.status, 'WSAEWOULDBLOCK', 'connect')
    const socket = fixture.near.bound(await fixture.address('client'))
    assertStatus(socket.connect(address, NO_DATA), 'WSAEWOULDBLOCK', 'connect')
    assertStatus(socket.connect(address, NO_DATA), 'WSAEALREADY', 'a second connect')
    await fixture.farAccept(listener)
    assertStatus((await fixture.outcome(attempt)).status, 'success', 'the first connect')
  }),

  odd('CONNECT: refuses a socket that is connected, listening or unbound', async (fixture) => {
    const { address } = await fixture.farListen()
    const connected = await fixture.connectPair()
    assertStatus(connected.near.connect(address, NO_DATA), 'WSAEISCONN', 'connect on a connected socket')
    const accepted = await fixture.connectPair('acceptor')
    assertStatus(accepted.near.connect(address, NO_DATA), 'WSAEISCONN', 'connect on an accepted socket')
    const listening = await fixture.listen()
    assertStatus(listening.socket.connect(address, NO_DATA), 'WSAEINVAL', 'connect on a listening socket')
    assertRefused(
      fixture.near.socket(address.family).connect(address, NO_DATA),
      'connect on an unbound socket',
    )
  }),

  odd('CONNECT: refuses the wildcard, port 0 and another family, never as final', async (fixture) => {
    const { address } = await fixture.farListen()
    const isIPv4 = address.family === 'IPv4'
    const destinations = [
      { ...address, address: isIPv4 ? '0.0.0.0' : '::' },
      { ...address, port: 0 },
      { family: isIPv4 ? 'IPv6' : 'IPv4', address: isIPv4 ? '::1' : '127.0.0.1', port: address.port },
    ] as const
    for (const destination of destinations) {
      const attempt = startConnect(await fixture.client(), destination, NO_DATA)
      const { status } = await fixture.outcome(attempt)
      assert.ok(status !== 0 && !isFinalConnectError(status), `connect answers ${statusName(status)}`)
    }
  }),
]
