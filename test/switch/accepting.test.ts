import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { FD_ACCEPT, WSA, failure } from '../../src/spi/index.ts'
import type { Accepted, ConnectionRequest, SanSocket, Verdict } from '../../src/spi/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import type { Arrival } from '../../src/switch/listen.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { settle } from './fake-clock.ts'
import { End } from './session-end.ts'
import {
  CLIENT,
  NEGOTIATION_TIMEOUT_MS,
  HELLO,
  Host,
  RawPeer,
  SERVER,
  WILDCARD,
  failing,
  sanOver,
} from './host.ts'

describe('accept', () => {
  test('WSD-ACCEPT-3 WSD-ACCEPT-4 what comes over several SANs reaches the application in one queue, oldest first', async () => {
    const [one, other] = [new LoopbackNetwork(), new LoopbackNetwork()]
    const host = new Host({ providers: [sanOver(one), sanOver(other)] })
    const listening = host.listen(WILDCARD)
    const ports = [5, 3, 9, 1]
    for (const port of ports) {
      await openRaw(new RawPeer(port === 3 ? other : one), port)
    }
    assert.deepEqual(
      listening.arrivals.map(({ remote, provider }) => `${remote.port} ${provider}`),
      ['5 san', '3 san2', '9 san', '1 san'],
    )
    assert.equal(host.switch.stats.accepts, 4)
  })

  test('WSD-ACCEPT-5 a request signals the event, and nothing else happens in that turn', () => {
    const host = new Host()
    host.listen(SERVER)
    host.journal.clear()
    new RawPeer(host.network).connect(SERVER, HELLO)
    assert.deepEqual(host.journal.labels(), ['san^set'])
  })

  test('WSD-ACCEPT-6 WSD-ACCEPT-7 WSD-ACCEPT-12 the switch asks what happened, then accepts with a condition function', async () => {
    const host = new Host()
    host.listen(SERVER)
    host.journal.clear()
    new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    const order = [
      'set',
      'enumNetworkEvents',
      'accept',
      'condition',
      'createSocketHandle',
      'memory',
      'receive',
    ]
    const first = order.map((name) => host.journal.entries.findIndex((entry) => entry.name === name))
    assert.deepEqual(
      first,
      [...first].sort((a, b) => a - b),
    )
    assert.ok(!first.includes(-1))
    assert.deepEqual((host.journal.one('san.enumNetworkEvents').result as { value: unknown }).value, {
      mask: 0x08,
      connectStatus: 0,
    })
  })

  test('RACE-3 what happened is told once, and what happens next is told again', async () => {
    const peer = new RawPeer(new LoopbackNetwork())
    const listener = peer.bound(SERVER)
    let signals = 0
    const event = {
      isSet: false,
      set: () => {
        event.isSet = true
        signals += 1
      },
      reset: () => {
        event.isSet = false
      },
    }
    listener.listen(8)
    listener.eventSelect(event, FD_ACCEPT)
    for (const expected of [1, 2]) {
      peer.connect(SERVER, HELLO, { ...CLIENT, port: expected })
      assert.deepEqual([event.isSet, signals], [true, expected])
      const masks = [1, 2].map(() => {
        const events = listener.enumNetworkEvents(event)
        return events.ok ? events.value.mask : undefined
      })
      assert.deepEqual(masks, [FD_ACCEPT, 0])
      assert.equal(event.isSet, false)
    }
    await settle()
  })

  test('WSD-ACCEPT-8 RACE-6 the condition function answers inside accept, before the peer knows anything', async () => {
    const host = new Host()
    host.listen(SERVER)
    const client = new RawPeer(host.network).connect(SERVER, HELLO)
    let statusInside: unknown = 'not asked'
    let insideAccept = false
    host.journal.after('san^condition', () => {
      statusInside = client.status
      insideAccept = host.journal.all('san.accept')[0]?.returned === false
    })
    await settle()
    assert.equal(insideAccept, true)
    assert.equal(statusInside, undefined)
    assert.equal(client.status, 0)
    assert.equal(host.journal.count('san^condition'), 1)
  })

  test('WSD-ACCEPT-9 the condition function accepts whoever speaks the language of our sessions, and nobody else', async () => {
    for (const [callerData, decision] of [
      [HELLO, 'CF_ACCEPT'],
      [new Uint8Array(), 'CF_REJECT'],
      [HELLO.subarray(0, 19), 'CF_REJECT'],
    ] as const) {
      const host = new Host()
      host.listen(SERVER)
      new RawPeer(host.network).connect(SERVER, callerData)
      await settle()
      assert.equal((host.journal.one('san^condition').result as Verdict).decision, decision)
    }
  })

  test('WSD-ACCEPT-11 WSD-ADDR-5 WSD-ADDR-1 the request names caller and callee by IP address', async () => {
    const host = new Host()
    host.listen(WILDCARD)
    new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    const [request] = host.journal.one('san^condition').args as [ConnectionRequest]
    assert.deepEqual(request, { remote: CLIENT, local: SERVER, callerData: HELLO })
  })

  test('WSD-ACCEPT-13 WSD-ACCEPT-14 the peer is told, and the application learns who it is', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    await openRaw(new RawPeer(host.network), 7)
    const [arrival] = listening.arrivals
    assert.deepEqual([arrival?.remote, arrival?.local], [{ ...CLIENT, port: 7 }, SERVER])
  })

  test('WSD-ACCEPT-16 RACE-4 RACE-5 a burst of requests is accepted whole, whatever signals were merged', async () => {
    const count = 150
    const host = new Host()
    host.listen(SERVER, { backlog: 200 })
    const peer = new RawPeer(host.network)
    const attempts = Array.from({ length: count }, (_, i) =>
      peer.connect(SERVER, HELLO, { ...CLIENT, port: 1 + i }),
    )
    await settle()
    assert.ok(attempts.every(({ status }) => status === 0))
    assert.equal(host.journal.count('san^condition'), count)
    // Room for others between: no turn accepts them all.
    assert.ok(host.journal.count('san.enumNetworkEvents') >= 3)
  })

  test('WSD-ACCEPT-18 WSD-ACCEPT-19 whom the switch rejects is refused, and the loop goes on', async () => {
    const host = new Host()
    host.listen(SERVER)
    const peer = new RawPeer(host.network)
    const bad = peer.connect(SERVER, Buffer.from('nonsense'), { ...CLIENT, port: 1 })
    const good = peer.connect(SERVER, HELLO, { ...CLIENT, port: 2 })
    await settle()
    const results = host.journal.all('san.accept').map(({ result }) => result)
    assert.deepEqual(results[0], failure(WSA.WSAECONNREFUSED))
    assert.deepEqual([bad.status, good.status], [WSA.WSAEFAULT, 0])
    const labels = host.journal.labels()
    const first = labels.indexOf('san.accept')
    const between = labels.slice(first, labels.indexOf('san.accept', first + 1))
    assert.equal(between.includes('san.enumNetworkEvents'), false, 'it went on in another turn')
  })

  test('WSD-ACCEPT-21 a request its peer has withdrawn never reaches the application', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const peer = new RawPeer(host.network)
    peer.connect(SERVER, HELLO).socket.close()
    await openRaw(peer, 2)
    assert.deepEqual(
      listening.arrivals.map(({ remote }) => remote.port),
      [2],
    )
  })

  test('WSD-ACCEPT-22 WSD-NEG-12 the application gets a connection only after the session is agreed', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const client = new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    assert.equal(client.status, 0)
    assert.equal(listening.arrivals.length, 0)
    open(client.socket)
    await settle()
    assert.equal(listening.arrivals.length, 1)
    assert.equal(listening.arrivals[0]?.session.state, 'open')
  })

  test('WSD-ACCEPT-24 a listener that closes takes with it what it has not given to the application', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const peer = new RawPeer(host.network)
    const client = peer.connect(SERVER, HELLO)
    await settle()
    const accepted = host.journal.all('san.accept')[0]?.result as { value: Accepted }
    listening.socket.close()
    await settle()
    assert.equal(accepted.value.socket.close(), WSA.WSAENOTSOCK)
    open(client.socket)
    await settle()
    assert.equal(listening.arrivals.length, 0)
    host.clock.advance(10 * NEGOTIATION_TIMEOUT_MS)
    assert.equal(host.journal.count('san^closeSocketHandle'), 2)
  })

  test('WSD-ACCEPT-24 what the application was given outlives the listener', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    listening.socket.close()
    attempt.end.say('after')
    await settle()
    assert.deepEqual(listening.ends[0]?.hear(), { text: 'after', then: 'more' })
  })

  test('WSD-ACCEPT-14 what comes before the application takes the connection waits for it', async () => {
    const host = new Host()
    const { socket } = host.socket(SERVER)
    const arrivals: Arrival[] = []
    socket.listen(8, (arrival) => arrivals.push(arrival))
    const attempt = host.connect(SERVER)
    await settle()
    attempt.end.say('early')
    await settle()
    const [arrival] = arrivals
    assert.ok(arrival !== undefined)
    assert.deepEqual(new End(arrival.session).hear(), { text: 'early', then: 'more' })
  })

  test('an accepted socket without memory is closed, and the next one is accepted', async () => {
    const host = new Host({ faults: [failing('memory', 'WSAENOBUFS', 1)] })
    const listening = host.listen(SERVER)
    const peer = new RawPeer(host.network)
    const lost = peer.connect(SERVER, HELLO)
    await settle()
    assert.equal(host.journal.count('san.close'), 1)
    await openRaw(peer, 2)
    assert.equal(listening.arrivals.length, 1)
    assert.equal(lost.status, 0)
  })

  test('an accept that fails for good is not asked for ever', async (context) => {
    const host = new Host({ faults: [failing('accept', 'WSAENETDOWN')] })
    const { socket } = host.listen(SERVER)
    context.after(() => {
      socket.close()
    })
    new RawPeer(host.network).connect(SERVER, HELLO)
    await settle(50)
    const asked = host.journal.count('san.accept')
    await settle(50)
    assert.equal(host.journal.count('san.accept'), asked, 'accept is asked again and again')
  })
})

/** Connects from `port` and goes through with it. */
async function openRaw(peer: RawPeer, port: number): Promise<void> {
  const client = peer.connect(SERVER, HELLO, { ...CLIENT, port })
  await settle()
  assert.equal(client.status, 0)
  open(client.socket)
  await settle()
}

/** Says what an initiator says once the connection stands. */
function open(socket: SanSocket): void {
  const memory = socket.memory()
  assert.ok(memory.ok)
  const { words, offset } = memory.value.send
  words[offset / 4 + layout.FLAGS] = layout.FLAG_OPEN
  socket.signal()
}
