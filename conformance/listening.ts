import assert from 'node:assert/strict'

import { FD_ACCEPT, FD_CONNECT } from '../src/spi/index.ts'
import type { Status } from '../src/spi/index.ts'
import { assertFailure, assertRefused, assertStatus, clause, odd, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ACCEPT, NO_DATA } from './fixture.ts'
import type { Fixture, Listener } from './fixture.ts'
import type { PeerSocket } from './peer.ts'
import { RecordedEvent } from './recorder.ts'
import { startListening } from './station.ts'

const FD_READ = 0x01

/** Lets the peer connect to `listener` and says how that ended. */
async function farStatus(fixture: Fixture, listener: Listener): Promise<Status> {
  const socket = await fixture.farClient()
  await fixture.peer.connect(socket, listener.address, NO_DATA)
  return (await fixture.farOutcome(socket)).status
}

/** Accepts at `listener` what is queued; returns the caller data of each request, in order. */
function drain(listener: Listener): string[] {
  const callers: string[] = []
  for (;;) {
    const accepted = listener.socket.accept(({ callerData }) => {
      callers.push(new TextDecoder().decode(callerData))
      return ACCEPT
    })
    if (!accepted.ok) {
      assertFailure(accepted, 'WSAEWOULDBLOCK', 'accept with nothing left')
      return callers
    }
  }
}

function name(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** The queue of incoming requests and the event that tells of them. */
export const listeningChecks: readonly Check[] = [
  clause('LISTEN-1 needs a bound socket that is not connected', async (fixture) => {
    const { family } = await fixture.address('client')
    assertStatus(fixture.near.socket(family).listen(1), 'WSAEINVAL', 'listen unbound')
    const connected = await fixture.connectPair()
    assertStatus(connected.near.listen(1), 'WSAEISCONN', 'listen on a connected socket')
    const accepted = await fixture.connectPair('acceptor')
    assertStatus(accepted.near.listen(1), 'WSAEISCONN', 'listen on an accepted socket')
  }),

  clause(
    'LISTEN-2 a full backlog refuses at once and raises no event (WSD-LISTEN-12 to -14)',
    async (fixture) => {
      const listener = await fixture.listen(2)
      const queued = [
        await fixture.farRequest(listener, name('one')),
        await fixture.farRequest(listener, name('two')),
      ]
      assertStatus(await farStatus(fixture, listener), 'WSAECONNREFUSED', 'the third connect')
      assert.equal(listener.event.isSet, false, 'the refused request raised the event')
      assert.deepEqual(drain(listener), ['one', 'two'])
      for (const socket of queued) {
        assertStatus((await fixture.farOutcome(socket)).status, 'success', 'a queued connect')
      }
    },
  ),

  clause('LISTEN-3 a smaller backlog refuses the newest requests (WSD-LISTEN-16)', async (fixture) => {
    const listener = await fixture.listen(3)
    const queued: PeerSocket[] = []
    for (const caller of ['one', 'two', 'three'])
      queued.push(await fixture.farRequest(listener, name(caller)))
    assertStatus(listener.socket.listen(1), 'success', 'listen(1)')
    for (const socket of queued.slice(1)) {
      assertStatus(
        (await fixture.farOutcome(socket)).status,
        'WSAECONNREFUSED',
        'a connect beyond the backlog',
      )
    }
    assertStatus(listener.socket.listen(2), 'success', 'listen(2)')
    await fixture.farRequest(listener, name('four'))
    assert.deepEqual(drain(listener), ['one', 'four'])
  }),

  clause('EVENT-1 only FD_ACCEPT and FD_CONNECT; mask 0 cancels (WSD-SYNC-2)', async (fixture) => {
    const address = await fixture.address('listener')
    const socket = fixture.near.bound(address)
    const refused = new RecordedEvent()
    for (const mask of [FD_READ, FD_ACCEPT | FD_READ, 1 << 30]) {
      assertStatus(socket.eventSelect(refused, mask), 'WSAEINVAL', `eventSelect(${mask})`)
    }
    const cancelled = startListening(socket, 2)
    assertStatus(socket.eventSelect(cancelled, FD_ACCEPT | FD_CONNECT), 'success', 'eventSelect of both')
    assertStatus(socket.eventSelect(null, 0), 'success', 'eventSelect(0)')
    await fixture.farConnect(address)
    const event = new RecordedEvent()
    assertStatus(socket.eventSelect(event, FD_ACCEPT), 'success', 'eventSelect again')
    await fixture.events('the request', socket, event)
    assert.equal(cancelled.isSet, false, 'a cancelled event was set')
    assert.equal(refused.isSet, false, 'a refused event was set')
  }),

  clause('EVENT-2 a request already queued is signalled at once (WSD-LISTEN-9)', async (fixture) => {
    const address = await fixture.address('listener')
    const socket = fixture.near.bound(address)
    assertStatus(socket.listen(2), 'success', 'listen')
    await fixture.farConnect(address)
    const early = new RecordedEvent()
    assertStatus(socket.eventSelect(early, FD_ACCEPT), 'success', 'eventSelect')
    const { mask } = await fixture.events('a request made before eventSelect', socket, early)
    assert.equal(mask, FD_ACCEPT)

    const late = new RecordedEvent()
    assertStatus(socket.eventSelect(late, FD_ACCEPT), 'success', 'eventSelect again')
    assert.ok(late.isSet, 'eventSelect did not signal the queued request')
  }),

  odd('EVENT: enumNetworkEvents reports, clears and resets in one step', async (fixture) => {
    const listener = await fixture.listen()
    await fixture.farConnect(listener.address)
    const { mask } = await fixture.events('the request', listener.socket, listener.event)
    assert.equal(mask, FD_ACCEPT)
    assert.equal(listener.event.isSet, false, 'enumNetworkEvents left the event set')
    const again = valueOf(listener.socket.enumNetworkEvents(listener.event), 'enumNetworkEvents')
    assert.equal(again.mask, 0, 'the same event was reported twice')
    valueOf(listener.socket.enumNetworkEvents(null), 'enumNetworkEvents without an event')
    assert.deepEqual(drain(listener).length, 1)
  }),

  odd('EVENT: every request after an enumeration is signalled again', async (fixture) => {
    const listener = await fixture.listen()
    for (const caller of ['one', 'two', 'three']) await fixture.farRequest(listener, name(caller))
    assert.deepEqual(drain(listener), ['one', 'two', 'three'])
  }),

  odd('LISTEN: refuses a backlog below 1', async (fixture) => {
    const socket = fixture.near.bound(await fixture.address('listener'))
    for (const backlog of [0, -1, Number.NaN]) assertRefused(socket.listen(backlog), `listen(${backlog})`)
  }),

  odd('LISTEN: a connecting socket cannot listen', async (fixture) => {
    const { address } = await fixture.farListen()
    const socket = await fixture.client()
    assertStatus(socket.connect(address, NO_DATA), 'WSAEWOULDBLOCK', 'connect')
    assertRefused(socket.listen(1), 'listen while connecting')
  }),
]
