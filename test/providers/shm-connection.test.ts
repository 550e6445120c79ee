/** One end of a connection whose other end is the test: what it gives back, and how it waits for the peer's next process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Quota } from '../../src/base/quota.ts'
import { ShmConnection } from '../../src/providers/shm/connection.ts'
import type { ConnectionHost, Expecting } from '../../src/providers/shm/connection.ts'
import type { Incoming } from '../../src/providers/shm/incoming.ts'
import * as layout from '../../src/providers/shm/layout.ts'
import { drawTicket } from '../../src/providers/shm/moving.ts'
import type { Ticket } from '../../src/providers/shm/moving.ts'
import { Slot } from '../../src/providers/shm/slot.ts'
import type { ConnectionOwner } from '../../src/san/index.ts'
import { WSA, failure } from '../../src/spi/index.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { GENERATION, slotOf } from './fake-link.ts'

const ADDRESS = { family: 'IPv4', address: '127.0.0.1', port: 40_000 } as const

function slotIn(side: ReturnType<typeof slotOf>): Slot {
  side.peerSays(layout.PHASE_OPEN)
  const slot = Slot.of(side.place)
  assert.ok(slot !== undefined)
  return slot
}

function connected() {
  const side = slotOf('acceptor')
  const expected: { ticket: Ticket; whom: Expecting; stopped: boolean }[] = []
  const told: (string | number)[] = []
  const connections = new Quota(1)
  connections.take()
  const host: ConnectionHost = {
    connections,
    passages: {
      expect: (ticket, whom) => {
        const entry = { ticket, whom, stopped: false }
        expected.push(entry)
        return () => (entry.stopped = true)
      },
    },
  }
  const owner = {
    signalled: () => told.push('signalled'),
    ended: (code: number) => told.push(code),
  } as unknown as ConnectionOwner
  const connection = new ShmConnection(host, owner, slotIn(side))
  side.link.holder = connection
  /** The peer has moved to another process. */
  const leave = (): Ticket => {
    const ticket = drawTicket()
    side.peerSegment.bytes.set(ticket.bytes, layout.SLOT_TICKET_BYTE)
    side.peerSays(layout.PHASE_MOVED)
    return ticket
  }
  const phase = (): number => layout.phaseOf(side.own[layout.SLOT_STATE] ?? 0)
  return { ...side, connection, connections, expected, told, leave, phase }
}

test('WSD-DUP-26 a connection whose peer has ended is not duplicated: no byte is packed for a process that would find nobody', () => {
  const { connection, peerSays, phase } = connected()
  peerSays(layout.PHASE_CLOSED)
  assert.deepEqual(connection.duplicate(1), failure(WSA.WSAECONNRESET))
  assert.notEqual(phase(), layout.PHASE_MOVED)
})

test('a connection whose peer has moved goes on in the new slot, and gives back what belongs to the old one', () => {
  const { connection, link, leave, expected, told, phase } = connected()
  assert.ok(connection.register(4096).ok)
  const ticket = leave()
  connection.ended()
  assert.deepEqual([expected[0]?.ticket.name, connection.isParked], [ticket.name, true])
  const next = slotOf('acceptor')
  connection.rejoin(slotIn(next))
  assert.deepEqual(link.given, [4096, 'slot'])
  assert.equal(phase(), layout.PHASE_CLOSED)
  assert.deepEqual([expected[0]?.stopped, connection.isParked, told], [true, false, []])
  assert.equal(next.link.holder, connection)
  assert.equal(next.own[layout.SLOT_STATE], layout.slotState(GENERATION, layout.PHASE_ACCEPTED))
  connection.notified()
  assert.deepEqual(told, ['signalled'])
})

test('WSD-DUP-28 a connection whose peer has moved, and nobody comes, has ended', () => {
  const { connection, leave, expected, told } = connected()
  leave()
  connection.linkDown()
  expected[0]?.whom.abandoned()
  assert.deepEqual(told, [WSA.WSAECONNRESET])
})

for (const when of ['before it has noticed', 'after it has noticed'] as const) {
  test(`a connection that closes when its peer has moved, ${when}, stays to say so to whoever comes`, () => {
    const { connection, connections, leave, expected } = connected()
    leave()
    if (when === 'after it has noticed') connection.ended()
    connection.close()
    assert.equal(expected.length, 1)
    assert.deepEqual([expected[0]?.stopped, expected[0]?.whom.isParked, connections.taken], [false, false, 0])
  })
}

test('what was registered is given back once the peer is through with the slot', () => {
  const { connection, link, peerSays } = connected()
  assert.ok(connection.register(4096).ok)
  connection.close()
  assert.deepEqual(link.given, [])
  peerSays(layout.PHASE_CLOSED)
  link.holder?.ended()
  assert.deepEqual(link.given, [4096, 'slot'])
})

test('who comes for a connection that moves must show the secret, and hears at once when it is over', () => {
  const { passages } = shmProvider()
  const ticket = drawTicket()
  const rejoined: Slot[] = []
  let isParked = true
  const whom = {
    get isParked() {
      return isParked
    },
    rejoin: (slot: Slot) => rejoined.push(slot),
    abandoned: () => undefined,
  }
  const stop = passages.expect(ticket, whom)
  assert.ok(stop !== undefined)
  const come = (secret: Uint8Array): number[] => {
    const { place } = slotOf('acceptor')
    const refusals: number[] = []
    const incoming = { ...place, refuse: (code: number) => refusals.push(code) } as unknown as Incoming
    const request = { listener: ticket.name, remote: ADDRESS, local: ADDRESS, callerData: secret }
    assert.equal(passages.take(incoming, request), true)
    return refusals
  }
  const other = Uint8Array.from(ticket.secret)
  other[other.length - 1]! ^= 1
  for (const secret of [other, ticket.secret.subarray(1), new Uint8Array()]) {
    assert.deepEqual([come(secret), rejoined], [[WSA.WSAEACCES], []])
  }
  assert.deepEqual([come(ticket.secret), rejoined.length], [[], 1])
  isParked = false
  assert.deepEqual([come(ticket.secret), rejoined.length], [[WSA.WSAECONNRESET], 1])
  stop()
})
