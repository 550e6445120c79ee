/** Whom a process that takes a connection over goes to: the peer that the kernel says it is, and nobody else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { Expecting } from '../../src/providers/shm/connection.ts'
import type { Link } from '../../src/providers/shm/link.ts'
import { DEFAULT_LIMITS } from '../../src/providers/shm/limits.ts'
import { MAX_EXPECTED, drawTicket } from '../../src/providers/shm/moving.ts'
import { Passages } from '../../src/providers/shm/passages.ts'
import type { PassageHost } from '../../src/providers/shm/passages.ts'
import { WSA, failure } from '../../src/spi/index.ts'
import type { Result } from '../../src/spi/index.ts'
import { FakeClock } from '../switch/fake-clock.ts'

/** Alive, and not this test's business. */
const PEER_PID = process.ppid
const CHANNEL = 5

/** Knocks where `answers` is at the door, with this link to the peer; answers what is opened. */
function knock({ answers, link }: { answers: number; link: Partial<Link> }): Result<Link> | undefined {
  const closed: number[] = []
  const host = {
    links: [{ role: 'opener', state: 'up', isReferred: false, peer: { pid: PEER_PID, uid: 0 }, ...link }],
    limits: DEFAULT_LIMITS,
    clock: { now: () => 0, after: () => () => undefined },
    turns: {
      schedule: (job: () => void) => {
        job()
      },
    },
    mayLink: () => true,
    native: {
      listen: () => -1,
      connect: () => CHANNEL,
      close: (fd: number) => closed.push(fd),
      peerCredentials: () => ({ pid: answers, uid: process.getuid?.() }),
    },
  } as unknown as PassageHost
  let opened: Result<Link> | undefined
  const passage = { processId: process.pid, peerPid: PEER_PID, ticket: drawTicket() }
  new Passages(host).knock(passage, new Set(), (link) => (opened = link))
  assert.deepEqual(closed, [CHANNEL])
  if (opened?.ok === true) assert.equal(opened.value, [...host.links][0])
  return opened
}

test('a link that stands to the peer carries the connection', () => {
  assert.equal(knock({ answers: PEER_PID, link: {} })?.ok, true)
})

for (const [which, link] of [
  ['to a process that only says it is the peer', { isReferred: true }],
  ['to another process', { peer: { pid: PEER_PID + 1, uid: 0 } }],
  ['that the peer has opened', { role: 'acceptor' }],
  ['that is down', { state: 'down' }],
] as const) {
  test(`a link ${which} does not see the secret, nor does another process at the door`, () => {
    assert.deepEqual(knock({ answers: PEER_PID + 1, link }), failure(WSA.WSAEINVALIDPROVIDER))
  })
}

test('whoever gives it up before the first look waits for nothing any more', () => {
  const jobs: (() => void)[] = []
  const clock = new FakeClock()
  const host = {
    links: [],
    limits: DEFAULT_LIMITS,
    clock,
    turns: { schedule: (job: () => void) => jobs.push(job) },
    native: { listen: () => -1 },
  } as unknown as PassageHost
  const passage = { processId: process.pid, peerPid: PEER_PID, ticket: drawTicket() }
  const giveUp = new Passages(host).knock(passage, new Set(), () => assert.fail('it was given up'))
  giveUp()
  for (const job of jobs) job()
  assert.equal(clock.pending, 0)
})

/** Where rendezvous can be had, and nobody comes. */
function waiting() {
  const clock = new FakeClock()
  const open = new Set<number>()
  let last = 10
  const host = {
    limits: DEFAULT_LIMITS,
    clock,
    turns: { watch: () => ({ close: () => undefined }) },
    native: {
      listen: () => {
        open.add(++last)
        return last
      },
      connect: () => -1,
      close: (fd: number) => open.delete(fd),
    },
  } as unknown as PassageHost
  return { clock, open, passages: new Passages(host) }
}

const NOBODY: Expecting = {
  isParked: true,
  rejoin: () => assert.fail('nobody comes'),
  abandoned: () => assert.fail('it is not waited for'),
}

test('of those who wait for the next process of their peer there are only so many, and who stops makes room', () => {
  const { clock, open, passages } = waiting()
  const stops = Array.from({ length: MAX_EXPECTED }, () => passages.expect(drawTicket(), NOBODY))
  assert.ok(stops.every((stop) => stop !== undefined))
  assert.equal(passages.expect(drawTicket(), NOBODY), undefined)
  assert.deepEqual([open.size, clock.pending], [MAX_EXPECTED, MAX_EXPECTED])
  stops[0]?.()
  assert.notEqual(passages.expect(drawTicket(), NOBODY), undefined)
  passages.close()
  assert.deepEqual([open.size, clock.pending], [0, 0])
})

test('who waits in vain is told so once, and makes room', () => {
  const { clock, open, passages } = waiting()
  let abandoned = 0
  const ticket = drawTicket()
  passages.expect(ticket, { ...NOBODY, abandoned: () => (abandoned += 1) })
  assert.equal(passages.expect(ticket, NOBODY), undefined, 'the name is taken')
  clock.advance(DEFAULT_LIMITS.moveMs)
  assert.deepEqual([abandoned, open.size, clock.pending], [1, 0, 0])
  assert.notEqual(passages.expect(ticket, NOBODY), undefined)
})
