/** What waits at a listener, whatever carries it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { IncomingRequest } from '../../src/san/index.ts'
import { EventRecord, Listener } from '../../src/san/index.ts'
import { Overlapped, SOMAXCONN, WSA, failure } from '../../src/spi/index.ts'
import type { ConditionFunction } from '../../src/spi/index.ts'

const ADDRESS = { family: 'IPv4', address: '127.0.0.1', port: 80 } as const
const ACCEPT: ConditionFunction = () => ({ decision: 'CF_ACCEPT', calleeData: new Uint8Array() })
const DEFER: ConditionFunction = () => ({ decision: 'CF_DEFER' })

class Asked implements IncomingRequest {
  readonly remote = ADDRESS
  readonly local = ADDRESS
  readonly callerData = new Uint8Array()
  open = true
  readonly refusals: number[] = []
  withdrawn: (() => void) | undefined

  isOpen() {
    return this.open
  }
  accept() {
    return failure(WSA.WSAENOBUFS)
  }
  refuse(code: number) {
    this.refusals.push(code)
  }
  pend(withdrawn: () => void) {
    this.withdrawn = withdrawn
    return true
  }
  unpend() {
    this.withdrawn = undefined
  }
}

function listening(backlog: number) {
  const announced: Overlapped[] = []
  const listener = new Listener(ADDRESS, backlog, new EventRecord(), (pended) => announced.push(pended))
  const ask = () => {
    const asked = new Asked()
    return { asked, taken: listener.offer(asked) }
  }
  return { listener, announced, ask }
}

function pendOn(listener: Listener) {
  const pended = new Overlapped()
  assert.deepEqual(
    listener.judge(() => ({ decision: 'CF_PEND', pended }), undefined),
    failure(WSA.WSA_IO_PENDING),
  )
  return pended
}

test('LISTEN-2 ACCEPT-8 who waits for judgement counts against the backlog like who waits in the queue', () => {
  const { listener, ask } = listening(2)
  ask()
  pendOn(listener)
  assert.equal(ask().taken, true)
  assert.equal(ask().taken, false)
})

test('LISTEN-3 a smaller backlog refuses the newest, and counts who waits for judgement', () => {
  const { listener, ask } = listening(SOMAXCONN)
  ask()
  pendOn(listener)
  const [one, two, three] = [ask().asked, ask().asked, ask().asked]
  listener.setBacklog(2)
  assert.deepEqual(
    [one, two, three].map(({ refusals }) => refusals),
    [[], [WSA.WSAECONNREFUSED], [WSA.WSAECONNREFUSED]],
  )
})

test('CLOSE-4 ACCEPT-10 a listener that closes refuses everybody, ends what is pended, and takes nobody any more', () => {
  const { listener, announced, ask } = listening(9)
  const first = ask().asked
  const pended = pendOn(listener)
  const second = ask().asked
  listener.close()
  assert.deepEqual([first.refusals, second.refusals], [[WSA.WSAETIMEDOUT], [WSA.WSAETIMEDOUT]])
  assert.equal(pended.status, WSA.WSA_OPERATION_ABORTED)
  assert.deepEqual(announced, [pended])
  assert.equal(ask().taken, false)
})

test('a condition function that closes its listener decides nothing: the request was refused with the others', () => {
  for (const verdict of [ACCEPT, DEFER]) {
    const { listener, ask } = listening(9)
    const { asked } = ask()
    const judged = listener.judge((request) => {
      listener.close()
      return verdict(request)
    }, undefined)
    assert.deepEqual(judged, failure(WSA.WSAENOTSOCK))
    assert.deepEqual(asked.refusals, [WSA.WSAETIMEDOUT])
  }
})

test('a condition function that closes its listener decides nothing about a pended request either', () => {
  const { listener, announced, ask } = listening(9)
  const { asked } = ask()
  const pended = pendOn(listener)
  const judged = listener.judge((request) => {
    listener.close()
    return ACCEPT(request)
  }, pended)
  assert.deepEqual(judged, failure(WSA.WSAENOTSOCK))
  assert.deepEqual(asked.refusals, [WSA.WSAETIMEDOUT])
  assert.deepEqual(announced, [pended])
})

test('ACCEPT-6 requests that were withdrawn are passed over, and their openers told that it is known', () => {
  const { listener, ask } = listening(9)
  const gone = ask().asked
  const { asked } = ask()
  gone.open = false
  const judged = listener.judge(ACCEPT, undefined)
  assert.equal(judged.ok && judged.value.request, asked)
  assert.deepEqual(gone.refusals, [WSA.WSAECONNABORTED])
})

test('ACCEPT-9 ACCEPT-10 a pended request that was withdrawn is asked about no more, and ends once', () => {
  const { listener, announced, ask } = listening(9)
  const { asked } = ask()
  const pended = pendOn(listener)
  asked.open = false
  let asks = 0
  const condition: ConditionFunction = (request) => {
    asks += 1
    return ACCEPT(request)
  }
  assert.deepEqual(listener.judge(condition, pended), failure(WSA.WSAEINVAL))
  assert.equal(asks, 0)
  assert.equal(pended.status, WSA.WSAECONNRESET)
  assert.deepEqual(announced, [pended])
  assert.equal(asked.withdrawn, undefined)
})

test('ACCEPT-10 one that is given up while the condition function pends it ends at once', () => {
  const { listener, announced, ask } = listening(9)
  const { asked } = ask()
  const pended = new Overlapped()
  const judged = listener.judge(() => {
    asked.open = false
    return { decision: 'CF_PEND', pended }
  }, undefined)
  assert.deepEqual(judged, failure(WSA.WSA_IO_PENDING))
  assert.equal(pended.status, WSA.WSAECONNRESET)
  assert.deepEqual(announced, [pended])
})
