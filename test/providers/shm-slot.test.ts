/** What the peer of a slot can make of our reading of it: all its words are written by the test. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as layout from '../../src/providers/shm/layout.ts'
import { Slot, agreeEnded, isOpen, refuse } from '../../src/providers/shm/slot.ts'
import { MAX_CONNECT_DATA_BYTES, WSA } from '../../src/spi/index.ts'
import { GENERATION, slotOf } from './fake-link.ts'

const ADDRESS = { family: 'IPv4', address: '127.0.0.1', port: 40_000 } as const
const REQUEST = { listener: 'x', remote: ADDRESS, local: ADDRESS, callerData: new Uint8Array() }

function asking() {
  const slot = slotOf('opener')
  const { link } = slot.place
  return { ...slot, slot: Slot.request(link, 0, slot.ownSide, REQUEST) }
}

test('callee data are never longer than connect data, whatever length the acceptor writes', () => {
  for (const length of [MAX_CONNECT_DATA_BYTES + 1, 0x7fffffff, -1, -0x80000000]) {
    const { slot, peer, peerSays } = asking()
    peer[layout.SLOT_DATA_BYTES] = length
    peerSays(layout.PHASE_ACCEPTED)
    const answer = slot.answer()
    assert.ok(answer?.kind === 'accepted')
    assert.equal(answer.calleeData.length, MAX_CONNECT_DATA_BYTES)
  }
})

test('a refusal with a code that is none is not final', () => {
  for (const detail of [0, 1, -1, WSA.WSAENOTSOCK, 0x7fffffff]) {
    const { slot, peer, peerSays } = asking()
    peer[layout.SLOT_DETAIL] = detail
    peerSays(layout.PHASE_REFUSED)
    assert.deepEqual(slot.answer(), { kind: 'refused', code: WSA.WSAENETDOWN })
  }
})

test('an answer to another request in the slot is none', () => {
  const { slot, peerSays } = asking()
  peerSays(layout.PHASE_ACCEPTED, GENERATION + 1)
  assert.equal(slot.answer(), undefined)
  peerSays(layout.PHASE_ACCEPTED, GENERATION)
  assert.equal(slot.answer()?.kind, 'accepted')
})

test('only an acceptor takes a newer request in the slot for the end of its peer', () => {
  const opener = asking()
  opener.peerSays(layout.PHASE_CLOSED, GENERATION + 1)
  assert.equal(opener.slot.peerIsThrough, false)
  opener.peerSays(layout.PHASE_CLOSED)
  assert.equal(opener.slot.peerIsThrough, true)

  const { place, peerSays } = slotOf('acceptor')
  peerSays(layout.PHASE_OPEN)
  const slot = Slot.of(place)
  assert.equal(slot?.peerIsThrough, false)
  peerSays(layout.PHASE_OPEN, GENERATION + 1)
  assert.equal(slot.peerIsThrough, true)
})

test('a request that is over is agreed upon, but not in a slot that a connection holds', () => {
  const { link, place, own } = slotOf('acceptor')
  link.held = true
  agreeEnded(place)
  assert.equal(own[layout.SLOT_STATE], 0)
  link.held = false
  agreeEnded(place)
  assert.equal(own[layout.SLOT_STATE], layout.slotState(GENERATION, layout.PHASE_CLOSED))
})

test('a request is open in its own generation and phase only, and while its link is up', () => {
  const { link, place, peerSays } = slotOf('acceptor')
  peerSays(layout.PHASE_OPEN)
  assert.equal(isOpen(place), true)
  peerSays(layout.PHASE_OPEN, GENERATION + 1)
  assert.equal(isOpen(place), false)
  peerSays(layout.PHASE_CLOSED)
  assert.equal(isOpen(place), false)
  peerSays(layout.PHASE_OPEN)
  link.state = 'down'
  assert.equal(isOpen(place), false)
})

test('a refusal says the code and the request it is for', () => {
  const { place, own } = slotOf('acceptor')
  refuse(place, WSA.WSAEACCES)
  assert.equal(own[layout.SLOT_DETAIL], WSA.WSAEACCES)
  assert.equal(own[layout.SLOT_STATE], layout.slotState(GENERATION, layout.PHASE_REFUSED))
})
