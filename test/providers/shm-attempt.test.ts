/** Connects over a link whose other side is the test, and what each of them gives back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Quota } from '../../src/base/quota.ts'
import { Connect, TakeOver } from '../../src/providers/shm/attempt.ts'
import type { AttemptHost } from '../../src/providers/shm/attempt.ts'
import * as layout from '../../src/providers/shm/layout.ts'
import type { Link } from '../../src/providers/shm/link.ts'
import { drawTicket } from '../../src/providers/shm/moving.ts'
import type { Later } from '../../src/providers/shm/routes.ts'
import type { ConnectionOwner } from '../../src/san/index.ts'
import { WSA, success } from '../../src/spi/index.ts'
import type { Result, WsaCode } from '../../src/spi/index.ts'
import { slotOf } from './fake-link.ts'

const ADDRESS = { family: 'IPv4', address: '127.0.0.1', port: 40_000 } as const
const REQUEST = { remote: ADDRESS, local: ADDRESS, callerData: new Uint8Array() }

/** A host with one link, and an owner. `others`: another listener at the address may be asked. */
function hosted({ others = false, later = false } = {}) {
  const side = slotOf('opener')
  const link = side.link as unknown as Link
  const connections = new Quota(1)
  const told: (string | number)[] = []
  const forgotten: Link[] = []
  const waiting: Later[] = []
  const knocks: { tried: ReadonlySet<Link>; opened: (link: Result<Link>) => void }[] = []
  const host = {
    connections,
    routes: {
      linkTo: (_: unknown, tell: Later) => {
        waiting.push(tell)
        return later ? 'later' : success(link)
      },
      forget: (_: unknown, gone: Link) => forgotten.push(gone),
      hasOthers: () => others,
    },
    passages: {
      knock: (_: unknown, tried: ReadonlySet<Link>, opened: (link: Result<Link>) => void) => {
        knocks.push({ tried: new Set(tried), opened })
        return () => told.push('stopped knocking')
      },
    },
  } as unknown as AttemptHost
  const owner = {
    accepted: () => told.push('accepted'),
    judging: () => told.push('judging'),
    refused: (code: WsaCode) => told.push(code),
  } as unknown as ConnectionOwner
  /** Refuses the request that is in the slot. */
  const refuse = (code: WsaCode): void => {
    side.peer[layout.SLOT_DETAIL] = code
    side.peerSays(layout.PHASE_REFUSED, layout.generationOf(side.own[layout.SLOT_STATE] ?? 0))
    side.link.holder?.notified()
  }
  const begin = (): Connect => {
    const begun = Connect.begin(host, owner, REQUEST)
    assert.ok(begun.ok)
    return begun.value
  }
  return { ...side, host, owner, connections, told, forgotten, waiting, knocks, refuse, begin, theLink: link }
}

test('a connect that is refused gives its slot and its place back, and its owner is told once', () => {
  const { link, connections, told, forgotten, refuse, begin } = hosted()
  begin()
  assert.deepEqual([connections.taken, link.unanswered], [1, 1])
  refuse(WSA.WSAECONNREFUSED)
  assert.deepEqual([connections.taken, link.unanswered, link.given], [0, 0, ['slot']])
  assert.deepEqual([told, forgotten], [[WSA.WSAECONNREFUSED], []])
})

test('where nobody listens any more the next connect looks for the listener afresh', () => {
  const { theLink, forgotten, refuse, begin } = hosted()
  begin()
  refuse(WSA.WSAETIMEDOUT)
  assert.deepEqual(forgotten, [theLink])
})

test('of several listeners one connect asks three, and has one place all the while', () => {
  const { connections, told, waiting, refuse, begin } = hosted({ others: true })
  begin()
  for (const asked of [1, 2, 3]) {
    assert.deepEqual([waiting.length, connections.taken, told], [asked, 1, []])
    refuse(WSA.WSAEPROCLIM)
  }
  assert.deepEqual([waiting.length, connections.taken, told], [3, 0, [WSA.WSAEPROCLIM]])
})

test('a link that goes down answers the request: nobody listens there', () => {
  const { link, connections, told, begin } = hosted()
  begin()
  link.state = 'down'
  link.holder?.linkDown(WSA.WSAECONNRESET)
  assert.deepEqual([told, connections.taken, link.unanswered], [[WSA.WSAETIMEDOUT], 0, 0])
})

test('a way that is found after the connect was given up is not gone', () => {
  const { theLink, link, connections, told, waiting, begin } = hosted({ later: true })
  begin().close()
  waiting[0]?.(success(theLink))
  assert.deepEqual([link.holder, connections.taken, told], [undefined, 0, []])
})

test('a connect that is given up keeps its slot until the acceptor is through with it, but not its place', () => {
  const { link, connections, peerSays, begin } = hosted()
  begin().close()
  assert.deepEqual([connections.taken, link.given], [0, []])
  peerSays(layout.PHASE_CLOSED)
  link.holder?.ended()
  assert.deepEqual(link.given, ['slot'])
})

test('WSD-DUP-19 who takes over asks each event loop of the peer once', () => {
  const { host, owner, theLink, connections, told, knocks, refuse } = hosted()
  new TakeOver(host, owner, { processId: 1, peerPid: 2, ticket: drawTicket() }, 'IPv4')
  knocks[0]?.opened(success(theLink))
  refuse(WSA.WSAETIMEDOUT)
  assert.deepEqual([connections.taken, told], [0, []])
  assert.deepEqual([...(knocks[1]?.tried ?? [])], [theLink])
})

test('who takes over knocks again where the peer was slow to let it in, and not where it is gone', () => {
  for (const [code, asked, heard] of [
    [WSA.WSAETIMEDOUT, 2, []],
    [WSA.WSAECONNRESET, 1, [WSA.WSAECONNRESET]],
  ] as const) {
    const { host, owner, link, theLink, connections, told, knocks } = hosted()
    new TakeOver(host, owner, { processId: 1, peerPid: 2, ticket: drawTicket() }, 'IPv4')
    knocks[0]?.opened(success(theLink))
    link.state = 'down'
    link.holder?.linkDown(code)
    assert.deepEqual([knocks.length, told, connections.taken], [asked, heard, 0])
  }
})

test('a take-over that is given up stops knocking, before the peer has let it in and when it knocks again', () => {
  const { host, owner, theLink, connections, told, knocks, refuse } = hosted()
  const takeOver = (): TakeOver =>
    new TakeOver(host, owner, { processId: 1, peerPid: 2, ticket: drawTicket() }, 'IPv4')
  takeOver().close()
  assert.deepEqual([told, connections.taken], [['stopped knocking'], 0])
  const again = takeOver()
  knocks[1]?.opened(success(theLink))
  refuse(WSA.WSAETIMEDOUT)
  again.close()
  assert.deepEqual([told, connections.taken], [['stopped knocking', 'stopped knocking'], 0])
})
