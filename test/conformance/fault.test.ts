import assert from 'node:assert/strict'
import { setImmediate as immediately } from 'node:timers/promises'
import { test } from 'node:test'

import { Fixture, NO_DATA } from '../../conformance/fixture.ts'
import { providerConformance } from '../../conformance/index.ts'
import { startConnect } from '../../conformance/station.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import { WSA } from '../../src/spi/index.ts'
import { ManualClock } from './manual-clock.ts'

providerConformance('fault over loopback, nothing failing', { create: () => fault(loopback(), { plan: [] }) })

providerConformance('fault over loopback, upcalls late', {
  create: () =>
    fault(loopback(), {
      plan: [
        { call: 'completeOverlappedRequest', delayMs: 1 },
        { call: 'closeSocketHandle', delayMs: 0 },
      ],
    }),
})

/** A fixture whose two ends are one provider that `plan` breaks; ends with the test. */
async function faulty(plan: readonly Fault[]): Promise<{ fixture: Fixture; clock: ManualClock }> {
  const clock = new ManualClock()
  const fixture = await Fixture.open({ create: () => fault(loopback(), { plan, clock }) })
  return { fixture, clock }
}

test('the nth call fails with the code, and only that one', async () => {
  const { fixture } = await faulty([
    { call: 'bind', nth: 2, error: 'WSAENOBUFS' },
    { call: 'socket', nth: 4, error: 'WSAEMFILE' },
  ])
  const address = await fixture.address('client')
  const sockets = [1, 2, 3].map(() => fixture.near.socket(address.family))
  assert.deepEqual(
    sockets.map((socket) => socket.bind(address)),
    [0, WSA.WSAENOBUFS, 0],
  )
  assert.deepEqual(fixture.near.provider.socket(address), { ok: false, error: WSA.WSAEMFILE })
  assert.equal(fixture.near.provider.socket(address).ok, true)
  assert.equal(sockets[1]?.bind(address), 0, 'the failed bind reached the provider')
  fixture.near.stop()
})

test('without nth every call fails', async () => {
  const { fixture } = await faulty([{ call: 'connect', error: 'WSAETIMEDOUT' }])
  const { address } = await fixture.farListen()
  for (const socket of [await fixture.client(), await fixture.client()]) {
    assert.equal(socket.connect(address, NO_DATA), WSA.WSAETIMEDOUT)
  }
  fixture.near.stop()
})

test('an upcall can fail as well', async () => {
  const { fixture } = await faulty([{ call: 'createSocketHandle', nth: 1, error: 'WSAENOBUFS' }])
  const { family } = await fixture.address('client')
  assert.deepEqual(fixture.near.provider.socket({ family }), { ok: false, error: WSA.WSAENOBUFS })
  assert.equal(fixture.near.provider.socket({ family }).ok, true)
  fixture.near.stop()
})

test('a call that comes twice answers what it did the first time', async () => {
  const { fixture } = await faulty([
    { call: 'bind', repeat: true },
    { call: 'addressList', repeat: true },
  ])
  const address = await fixture.address('client')
  const socket = fixture.near.socket(address.family)
  assert.equal(socket.bind(address), 0)
  assert.equal(socket.bind(address), WSA.WSAEINVAL)
  assert.equal(fixture.near.provider.addressList().ok, true)
  fixture.near.stop()
})

test('a close that fails has closed', async () => {
  const { fixture } = await faulty([{ call: 'close', nth: 1, error: 'WSAENETDOWN' }])
  const { family } = await fixture.address('client')
  const socket = fixture.near.socket(family)
  assert.equal(socket.close(), WSA.WSAENETDOWN)
  await fixture.closed(fixture.near.handleOf(socket))
  fixture.near.stop()
})

test('a dropped connect never ends and can be closed', async () => {
  const { fixture } = await faulty([{ call: 'connect', nth: 1, drop: true }])
  const { address } = await fixture.farListen()
  const socket = await fixture.client()
  const attempt = startConnect(socket, address, NO_DATA)
  assert.equal(attempt.status, WSA.WSAEWOULDBLOCK)
  await fixture.roundTrip()
  assert.equal(attempt.event.isSet, false)
  assert.equal(socket.close(), 0)
  await fixture.closed(fixture.near.handleOf(socket))
})

test('a dropped signal is lost', async () => {
  const { fixture } = await faulty([{ call: 'signal', nth: 1, drop: true }])
  const pair = await fixture.connectPair()
  const overlapped = fixture.post(pair.near)
  assert.equal(await fixture.peer.signal(pair.far), 0)
  await immediately()
  assert.equal(overlapped.pending, true)
  assert.equal(await fixture.peer.signal(pair.far), 0)
  assert.equal(await fixture.completion(overlapped), 0)
  fixture.near.stop()
})

test('a delayed signal comes when its time has come, or before the close', async () => {
  const { fixture, clock } = await faulty([
    { call: 'signal', nth: 1, delayMs: 10 },
    { call: 'signal', nth: 2, delayMs: 10 },
  ])
  const pair = await fixture.connectPair()
  const first = fixture.post(pair.near)
  assert.equal(await fixture.peer.signal(pair.far), 0)
  clock.advance(9)
  await immediately()
  assert.equal(first.pending, true)
  clock.advance(1)
  assert.equal(await fixture.completion(first), 0)

  const second = fixture.post(pair.near)
  assert.equal(await fixture.peer.signal(pair.far), 0)
  assert.equal(await fixture.peer.close(pair.far), 0)
  assert.equal(await fixture.completion(second), 0)
  assert.equal(await fixture.receive(pair.near), WSA.WSAECONNRESET)
  fixture.near.stop()
})

test('upcalls behind a delayed one wait for it', async () => {
  const { fixture, clock } = await faulty([{ call: 'completeOverlappedRequest', nth: 1, delayMs: 10 }])
  const pair = await fixture.connectPair()
  const overlapped = fixture.post(pair.near)
  assert.equal(pair.near.close(), 0)
  await immediately()
  await immediately()
  const calls = (): string[] => fixture.near.upcalls.of(pair.handle).map(({ call }) => call)
  assert.equal(overlapped.status, WSA.WSA_OPERATION_ABORTED)
  assert.deepEqual(calls(), ['createSocketHandle'])
  clock.advance(10)
  assert.deepEqual(calls(), ['createSocketHandle', 'completeOverlappedRequest', 'closeSocketHandle'])
  fixture.near.stop()
})

test('a delayed event is set late, and not at all once it was reset', async () => {
  const { fixture, clock } = await faulty([
    { call: 'set', nth: 1, delayMs: 10 },
    { call: 'set', nth: 2, delayMs: 10 },
  ])
  const { socket, event, address } = await fixture.listen()
  await fixture.farConnect(address)
  assert.equal(event.isSet, false)
  clock.advance(10)
  assert.equal(event.isSet, true)
  socket.enumNetworkEvents(event)
  await fixture.farConnect(address)
  socket.enumNetworkEvents(event)
  clock.advance(10)
  assert.equal(event.isSet, false)
  fixture.near.stop()
})

test('a seed is printed and decides everything', async () => {
  const run = async (seed?: number): Promise<{ lines: string[]; statuses: number[] }> => {
    const lines: string[] = []
    const print = (line: string): void => {
      lines.push(line)
    }
    const options = seed === undefined ? { rate: 0.5, print } : { seed, rate: 0.5, print }
    const provider = fault(loopback(), options)
    const fixture = await Fixture.open({ create: () => provider })
    const address = await fixture.address('client')
    const statuses = Array.from({ length: 64 }, () => {
      const made = provider.socket(address)
      return made.ok ? made.value.bind(address) : made.error
    })
    fixture.near.provider.cleanup()
    return { lines, statuses }
  }
  const random = await run()
  const seed = Number(/^fault: loopback with seed (\d+)$/.exec(random.lines[0] ?? '')?.[1])
  const again = await run(seed)
  assert.deepEqual(again, random)
  assert.notDeepEqual((await run(seed + 1)).statuses, random.statuses)
  assert.ok(new Set(random.statuses).size >= 3, 'a rate of one half made hardly a fault')
})

test('a rate of 0 breaks nothing', async () => {
  const fixture = await Fixture.open({
    create: () => fault(loopback(), { seed: 1, rate: 0, print: () => undefined }),
  })
  await fixture.roundTrip()
  fixture.near.stop()
})
