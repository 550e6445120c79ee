import assert from 'node:assert/strict'

import { MAX_CONNECT_DATA_BYTES, Overlapped, WSA } from '../src/spi/index.ts'
import type { ConnectionRequest, Verdict } from '../src/spi/index.ts'
import { assertFailure, assertStatus, clause, odd, resultName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ACCEPT } from './fixture.ts'
import type { Fixture, Listener } from './fixture.ts'
import type { PeerSocket } from './peer.ts'

function bytes(...values: number[]): Uint8Array {
  return Uint8Array.from(values)
}

/** Accepts at `listener`, which must have a request; returns what the condition function saw. */
function acceptOne(
  listener: Listener,
  verdict: Verdict = ACCEPT,
): { request: ConnectionRequest; calls: number } {
  const seen: ConnectionRequest[] = []
  const accepted = listener.socket.accept((request) => {
    seen.push(request)
    return verdict
  })
  assert.notEqual(resultName(accepted), 'WSAEWOULDBLOCK', 'accept found no request')
  return { request: seen[0]!, calls: seen.length }
}

/** Asks about a request that waits as `pended`; returns what accept answered, and what the condition function saw. */
function judge(
  listener: Listener,
  pended: Overlapped,
  verdict: Verdict = ACCEPT,
): { answer: string; asked: readonly Uint8Array[] } {
  const asked: Uint8Array[] = []
  const accepted = listener.socket.accept(({ callerData }) => {
    asked.push(callerData)
    return verdict
  }, pended)
  return { answer: resultName(accepted), asked }
}

/** The peer requests with the caller data `caller`, and the request is pended. */
async function pendOne(
  fixture: Fixture,
  listener: Listener,
  caller: number,
): Promise<{ far: PeerSocket; pended: Overlapped }> {
  const far = await fixture.farRequest(listener, bytes(caller))
  const pended = new Overlapped()
  const accepted = listener.socket.accept(() => ({ decision: 'CF_PEND', pended }))
  assertFailure(accepted, 'WSA_IO_PENDING', 'accept')
  return { far, pended }
}

/** Taking requests and answering them. */
export const acceptingChecks: readonly Check[] = [
  clause(
    'ACCEPT-1 condition runs once, before the peer hears anything (WSD-ACCEPT-8, WSD-ACCEPT-10)',
    async (fixture) => {
      const listener = await fixture.listen()
      const local = await fixture.peer.address('client')
      const far = await fixture.peer.open(local)
      await fixture.peer.connect(far, listener.address, bytes(1, 2, 3))
      await fixture.events('the request', listener.socket, listener.event)

      const seen: ConnectionRequest[] = []
      let isInside = true
      let decidedAt = 0n
      const accepted = listener.socket.accept((request) => {
        assert.ok(isInside, 'condition ran after accept had returned')
        seen.push(request)
        decidedAt = process.hrtime.bigint()
        return { decision: 'CF_ACCEPT', calleeData: bytes(9, 8) }
      })
      isInside = false
      valueOf(accepted, 'accept')
      assert.deepEqual(seen, [{ remote: local, local: listener.address, callerData: bytes(1, 2, 3) }])
      const outcome = await fixture.farOutcome(far)
      assertStatus(outcome.status, 'success', "the peer's connect")
      assert.deepEqual(outcome.calleeData, bytes(9, 8))
      assert.ok(outcome.at >= decidedAt, 'the peer was told before the condition function had decided')
    },
  ),

  clause(
    'ACCEPT-2 CF_ACCEPT makes the accepting socket, then tells the peer (WSD-ACCEPT-12 to -14)',
    async (fixture) => {
      const listener = await fixture.listen()
      const local = await fixture.peer.address('client')
      const far = await fixture.peer.open(local)
      await fixture.peer.connect(far, listener.address, bytes())
      await fixture.events('the request', listener.socket, listener.event)

      const { upcalls } = fixture.near
      const before = upcalls.records.length
      let atDecision = -1
      const accepted = valueOf(
        listener.socket.accept(() => {
          atDecision = upcalls.records.length
          return ACCEPT
        }),
        'accept',
      )
      valueOf(accepted.socket.memory(), 'memory of the accepted socket')
      assert.equal(atDecision, before, 'an upcall was made before the condition function had decided')
      const handle = fixture.near.handleOf(accepted.socket)
      assert.notEqual(handle, fixture.near.handleOf(listener.socket))
      const [created, ...others] = upcalls.of(handle)
      assert.ok(created?.call === 'createSocketHandle' && others.length === 0)
      assert.deepEqual(accepted.remote, local)
      assert.deepEqual(accepted.local, listener.address)
      const outcome = await fixture.farOutcome(far)
      assertStatus(outcome.status, 'success', "the peer's connect")
      assert.ok(outcome.at >= created.at, 'the peer was told before createSocketHandle')
    },
  ),

  clause('ACCEPT-3 CF_REJECT refuses the peer (WSD-ACCEPT-18, WSD-ACCEPT-19)', async (fixture) => {
    const listener = await fixture.listen()
    for (const error of [undefined, WSA.WSAEACCES, WSA.WSAVERNOTSUPPORTED]) {
      const far = await fixture.farRequest(listener)
      const verdict: Verdict =
        error === undefined ? { decision: 'CF_REJECT' } : { decision: 'CF_REJECT', error }
      const created = fixture.near.upcalls.records.length
      assertFailure(
        listener.socket.accept(() => verdict),
        'WSAECONNREFUSED',
        'accept',
      )
      assert.equal(fixture.near.upcalls.records.length, created, 'an upcall was made for a rejected request')
      const { status } = await fixture.farOutcome(far)
      assert.equal(status, error ?? WSA.WSAECONNREFUSED)
    }
    assertFailure(
      listener.socket.accept(() => ACCEPT),
      'WSAEWOULDBLOCK',
      'accept after the rejections',
    )
  }),

  clause('ACCEPT-4 CF_DEFER keeps the request, and the next accept asks again', async (fixture) => {
    const listener = await fixture.listen()
    const first = await fixture.farRequest(listener, bytes(1))
    const deferred: Verdict = { decision: 'CF_DEFER' }
    const asked: Uint8Array[] = []
    for (const expected of [1, 2]) {
      const accepted = listener.socket.accept(({ callerData }) => {
        asked.push(callerData)
        return deferred
      })
      assertFailure(accepted, 'WSATRY_AGAIN', 'accept')
      assert.equal(asked.length, expected, 'the condition function was not asked again')
    }
    const second = await fixture.farConnect(listener.address, bytes(2))
    const decidedAt = process.hrtime.bigint()
    assert.deepEqual(acceptOne(listener).request.callerData, bytes(1))
    const outcome = await fixture.farOutcome(first)
    assertStatus(outcome.status, 'success', "the first peer's connect")
    assert.ok(outcome.at >= decidedAt, 'the peer was told of a deferred request')
    assert.deepEqual(asked, [bytes(1), bytes(1)])
    await fixture.peer.close(second)
  }),

  clause('ACCEPT-5 nothing queued, or not listening (WSD-ACCEPT-20)', async (fixture) => {
    let calls = 0
    const condition = (): Verdict => {
      calls += 1
      return ACCEPT
    }
    const listener = await fixture.listen()
    assertFailure(listener.socket.accept(condition), 'WSAEWOULDBLOCK', 'accept with nothing queued')
    const { family } = listener.address
    assertFailure(fixture.near.socket(family).accept(condition), 'WSAEINVAL', 'accept on a new socket')
    assertFailure((await fixture.client()).accept(condition), 'WSAEINVAL', 'accept on a bound socket')
    const pair = await fixture.connectPair()
    assertFailure(pair.near.accept(condition), 'WSAEINVAL', 'accept on a connected socket')
    assert.equal(calls, 0, 'the condition function was asked about nothing')
  }),

  clause('ACCEPT-6 a request its peer has withdrawn is skipped (WSD-ACCEPT-21)', async (fixture) => {
    const listener = await fixture.listen()
    const withdrawn = await fixture.farRequest(listener, bytes(1))
    assertStatus(await fixture.peer.close(withdrawn), 'success', "the peer's close")
    const second = await fixture.farRequest(listener, bytes(2))
    const { request, calls } = acceptOne(listener)
    assert.deepEqual(request.callerData, bytes(2))
    assert.equal(calls, 1)
    assertStatus((await fixture.farOutcome(second)).status, 'success', "the second peer's connect")
    assertFailure(
      listener.socket.accept(() => ACCEPT),
      'WSAEWOULDBLOCK',
      'accept with nothing left',
    )
  }),

  clause(
    'ACCEPT-7 accept resets the event, then signals again if requests are left (WSD-ACCEPT-15, -16)',
    async (fixture) => {
      const listener = await fixture.listen()
      await fixture.farRequest(listener, bytes(1))
      await fixture.farRequest(listener, bytes(2))
      assert.equal(listener.event.isSet, false)
      acceptOne(listener)
      assert.ok(listener.event.isSet, 'a request is left and the event is not set')
      acceptOne(listener, { decision: 'CF_REJECT' })
      assert.equal(listener.event.isSet, false, 'no request is left and the event is set')
    },
  ),

  clause('ACCEPT-8 CF_PEND makes room for the next request, within the backlog', async (fixture) => {
    const listener = await fixture.listen(2)
    const first = await pendOne(fixture, listener, 1)
    assert.equal(first.pended.status, WSA.WSA_IO_PENDING)
    assert.equal(listener.event.isSet, false, 'a pended request keeps the event set')
    assertFailure(
      listener.socket.accept(() => ACCEPT),
      'WSAEWOULDBLOCK',
      'accept with nothing but a pended request',
    )
    const second = await fixture.farRequest(listener, bytes(2))
    const third = await fixture.farClient()
    await fixture.peer.connect(third, listener.address, bytes(3))
    assertStatus(
      (await fixture.farOutcome(third)).status,
      'WSAECONNREFUSED',
      'the connect beyond the backlog',
    )
    assert.deepEqual(acceptOne(listener).request.callerData, bytes(2))
    assertStatus((await fixture.farOutcome(second)).status, 'success', "the second peer's connect")
    assert.equal(first.pended.status, WSA.WSA_IO_PENDING)
  }),

  clause('ACCEPT-9 accept with pended asks about that request again', async (fixture) => {
    const listener = await fixture.listen()
    const pairs = []
    for (const caller of [1, 2, 3]) pairs.push(await pendOne(fixture, listener, caller))
    const [one, two, three] = pairs as [(typeof pairs)[0], (typeof pairs)[0], (typeof pairs)[0]]
    for (const verdict of [{ decision: 'CF_DEFER' }, { decision: 'CF_PEND', pended: two.pended }] as const) {
      assert.deepEqual(judge(listener, two.pended, verdict), { answer: 'WSA_IO_PENDING', asked: [bytes(2)] })
    }
    assert.deepEqual(judge(listener, three.pended), { answer: 'success', asked: [bytes(3)] })
    assert.deepEqual(judge(listener, one.pended, { decision: 'CF_REJECT' }), {
      answer: 'WSAECONNREFUSED',
      asked: [bytes(1)],
    })
    assert.deepEqual(judge(listener, two.pended), { answer: 'success', asked: [bytes(2)] })
    const ends = [
      [one, WSA.WSAECONNREFUSED],
      [two, 0],
      [three, 0],
    ] as const
    for (const [{ far }, expected] of ends) {
      let { status } = await fixture.farOutcome(far)
      // What was said first may still be there to be heard.
      if (status === WSA.WSA_IO_PENDING) status = (await fixture.farOutcome(far)).status
      assert.equal(status, expected)
    }
    for (const pended of [one.pended, two.pended, new Overlapped()]) {
      assert.deepEqual(judge(listener, pended), { answer: 'WSAEINVAL', asked: [] })
    }
  }),

  clause('ACCEPT-10 pended completes once: decided, withdrawn or aborted', async (fixture) => {
    const listener = await fixture.listen()
    const decided = await pendOne(fixture, listener, 1)
    const withdrawn = await pendOne(fixture, listener, 2)
    const aborted = await pendOne(fixture, listener, 3)
    assert.equal(judge(listener, decided.pended).answer, 'success')
    assertStatus(await fixture.completion(decided.pended), 'success', 'the completion of a decided request')

    assertStatus(await fixture.peer.close(withdrawn.far), 'success', "the peer's close")
    assertStatus(
      await fixture.completion(withdrawn.pended),
      'WSAECONNRESET',
      'the completion of a withdrawn one',
    )
    assert.deepEqual(judge(listener, withdrawn.pended), { answer: 'WSAEINVAL', asked: [] })

    assertStatus(listener.socket.close(), 'success', 'close')
    assertStatus(await fixture.completion(aborted.pended), 'WSA_OPERATION_ABORTED', 'the completion at close')
    let { status } = await fixture.farOutcome(aborted.far)
    if (status === WSA.WSA_IO_PENDING) status = (await fixture.farOutcome(aborted.far)).status
    assert.notEqual(status, 0, 'the peer of an aborted request is connected')
    await fixture.closed(fixture.near.handleOf(listener.socket))
    for (const { pended } of [decided, withdrawn, aborted]) {
      assert.equal(fixture.near.upcalls.completions(pended).length, 1)
    }
  }),

  odd('ACCEPT: a burst of requests is accepted in order, none lost (WSD-ACCEPT-16)', async (fixture) => {
    const count = 16
    const listener = await fixture.listen(count)
    const far = []
    for (let i = 0; i < count; i++) far.push(await fixture.farConnect(listener.address, bytes(i)))
    const callers: number[] = []
    while (callers.length < count) {
      await fixture.events('the requests', listener.socket, listener.event)
      for (;;) {
        const accepted = listener.socket.accept(({ callerData }) => {
          callers.push(callerData[0]!)
          return { decision: 'CF_ACCEPT', calleeData: callerData }
        })
        if (!accepted.ok) break
      }
    }
    assert.deepEqual(callers, [...callers.keys()])
    for (const [i, socket] of far.entries()) {
      assert.deepEqual((await fixture.farOutcome(socket)).calleeData, bytes(i))
    }
  }),

  odd('ACCEPT: the largest callee data arrives, more is not accepted (WSD-NEG-4)', async (fixture) => {
    const listener = await fixture.listen()
    const calleeData = new Uint8Array(MAX_CONNECT_DATA_BYTES).map((_, i) => i)
    const first = await fixture.farRequest(listener)
    acceptOne(listener, { decision: 'CF_ACCEPT', calleeData })
    assert.deepEqual((await fixture.farOutcome(first)).calleeData, calleeData)

    const second = await fixture.farRequest(listener)
    const oversize = {
      decision: 'CF_ACCEPT',
      calleeData: new Uint8Array(MAX_CONNECT_DATA_BYTES + 1),
    } as const
    assertFailure(
      listener.socket.accept(() => oversize),
      'WSAEMSGSIZE',
      'accept with oversize callee data',
    )
    assert.notEqual((await fixture.farOutcome(second)).status, 0)
  }),

  odd('ACCEPT: without a switch descriptor the peer is refused', async (fixture) => {
    const { upcalls } = fixture.near
    const listener = await fixture.listen()
    const far = await fixture.farRequest(listener)
    upcalls.refuseHandles = WSA.WSAENOBUFS
    assertFailure(
      listener.socket.accept(() => ACCEPT),
      'WSAENOBUFS',
      'accept',
    )
    upcalls.refuseHandles = null
    assert.notEqual((await fixture.farOutcome(far)).status, 0)
    assertFailure(
      listener.socket.accept(() => ACCEPT),
      'WSAEWOULDBLOCK',
      'the next accept',
    )
  }),

  odd('ACCEPT: the condition function may close the listener (WSD-LISTEN-19)', async (fixture) => {
    const listener = await fixture.listen()
    const far = await fixture.farRequest(listener)
    const accepted = listener.socket.accept(() => {
      assertStatus(listener.socket.close(), 'success', 'close in the condition function')
      return ACCEPT
    })
    assert.notEqual(resultName(accepted), 'success')
    assert.notEqual((await fixture.farOutcome(far)).status, 0)
    await fixture.closed(fixture.near.handleOf(listener.socket))
  }),
]
