/** Who holds which slot of a link, and when one that has ended goes back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { linger } from '../../src/providers/shm/lingering.ts'
import { SlotTable } from '../../src/providers/shm/slot-table.ts'
import type { SlotHolder } from '../../src/providers/shm/slot-table.ts'
import type { FurtherPiece } from '../../src/providers/shm/link-memory.ts'
import type { Slot } from '../../src/providers/shm/slot.ts'

const HOLDER: SlotHolder = { notified: () => undefined, ended: () => undefined, linkDown: () => undefined }

test('an opener uses as many slots as there are, and those that came back first', () => {
  const slots = new SlotTable(2)
  const take = (): number | undefined => {
    const id = slots.unused()
    if (id !== undefined) slots.hold(id, HOLDER)
    return id
  }
  assert.deepEqual([take(), take(), take()], [0, 1, undefined])
  assert.deepEqual([slots.held, slots.heldIds], [2, [0, 1]])
  slots.free(0, true)
  assert.deepEqual([slots.held, slots.heldIds, slots.holder(0)], [1, [1], undefined])
  assert.deepEqual([take(), take()], [0, undefined])
})

test('a slot that is passed on is held by the next, and as much as before', () => {
  const slots = new SlotTable(1)
  const next = { ...HOLDER }
  slots.hold(0, HOLDER)
  assert.equal(slots.holder(0), HOLDER)
  slots.pass(0, next)
  assert.equal(slots.holder(0), next)
  assert.equal(slots.held, 1)
})

test('a slot of a link that is over is not used again', () => {
  const slots = new SlotTable(1)
  slots.hold(0, HOLDER)
  slots.free(0, false)
  assert.equal(slots.unused(), undefined)
})

test('a request is seen once, however often it is announced; the next one in its slot is another', () => {
  const slots = new SlotTable(4)
  const seen = [
    [3, 1],
    [3, 1],
    [3, 2],
    [2, 2],
    [3, 2],
    // Generations begin again some day.
    [3, 0],
  ].map(([id = 0, generation = 0]) => slots.noteRequest(id, generation))
  assert.deepEqual(seen, [true, false, true, true, false, true])
})

/** A slot that has ended on our side, with two pieces of memory. */
function ended(peerIsThrough: boolean) {
  const said: string[] = []
  let holder: SlotHolder | undefined
  const link = {
    memory: { give: (piece: number) => said.push(`give ${piece}`) },
    free: (id: number) => said.push(`free ${id}`),
    pass: (_: number, next: SlotHolder) => (holder = next),
  }
  const slot = { id: 7, link, peerIsThrough, settle: () => said.push('settle') }
  const further = [{ piece: 1 }, { piece: 2 }] as unknown as readonly FurtherPiece[]
  linger(slot as unknown as Slot, further)
  return { slot, said, holder: () => holder }
}

const GONE = ['settle', 'give 1', 'give 2', 'free 7']

test('a slot goes back at once where the peer is through with it, with its memory', () => {
  const { said, holder } = ended(true)
  assert.deepEqual(said, GONE)
  assert.equal(holder(), undefined)
})

for (const how of ['notified', 'ended', 'linkDown'] as const) {
  test(`a slot lingers until the peer is through with it, and goes back once: ${how}`, () => {
    const { slot, said, holder } = ended(false)
    const tell = (): void => holder()?.[how](0 as never)
    tell()
    assert.deepEqual(said, [])
    slot.peerIsThrough = true
    tell()
    assert.deepEqual(said, GONE)
  })
}
