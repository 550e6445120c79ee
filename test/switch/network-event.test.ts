import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { NetworkEvent } from '../../src/switch/network-event.ts'

/** An event whose jobs run when the test says so. */
function manual() {
  const jobs: (() => void)[] = []
  const seen: boolean[] = []
  const event = new NetworkEvent(
    (job) => jobs.push(job),
    () => seen.push(event.isSet),
  )
  const turn = (): void => {
    for (const job of jobs.splice(0)) job()
  }
  return { event, seen, turn }
}

describe('an event of the switch', () => {
  test('WSD-LISTEN-11 tells its waiter in a turn of its own, once for all signals before it', () => {
    const { event, seen, turn } = manual()
    event.set()
    event.set()
    assert.deepEqual([seen, event.isSet], [[], true])
    turn()
    turn()
    assert.deepEqual(seen, [true])
  })

  test('stays set until it is reset, and is told again when it is set again', () => {
    const { event, seen, turn } = manual()
    event.set()
    turn()
    assert.equal(event.isSet, true)
    event.set()
    turn()
    assert.equal(seen.length, 2)
  })

  test('RACE-3 reset before the turn comes, it has nothing to tell', () => {
    const { event, seen, turn } = manual()
    event.set()
    event.reset()
    turn()
    assert.deepEqual([seen, event.isSet], [[], false])
    event.set()
    turn()
    assert.equal(seen.length, 1)
  })
})
