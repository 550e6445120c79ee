import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, test } from 'node:test'

import { WsaEvent, waitForMultipleEvents } from '../../src/faces/winsock/index.ts'

/** What `waiting` has come to by now; nothing here takes longer than microtasks. */
async function now(waiting: Promise<unknown>): Promise<unknown> {
  const turn = new Promise((resolve) => setImmediate(resolve, 'waits'))
  return Promise.race([waiting.catch((error: unknown) => error), turn])
}

describe('events of Winsock', () => {
  test('an event stays set until it is reset, for everybody who waits', async () => {
    const event = new WsaEvent()
    const waiting = [event.wait(), event.wait()]
    assert.equal(await now(Promise.all(waiting)), 'waits')
    event.set()
    assert.equal(event.isSet, true)
    await Promise.all([...waiting, event.wait()])
    event.reset()
    assert.equal(event.isSet, false)
    assert.equal(await now(event.wait()), 'waits')
  })

  test('whoever waits for one of several hears which is the first that is set', async () => {
    const events = [new WsaEvent(), new WsaEvent(), new WsaEvent()] as const
    const waiting = waitForMultipleEvents(events)
    assert.equal(await now(waiting), 'waits')
    events[2].set()
    assert.equal(await now(waiting), 2)
    events[1].set()
    assert.equal(await now(waitForMultipleEvents(events)), 1)
  })

  test('whoever waits for all of them waits until they are set at once', async () => {
    const events = [new WsaEvent(), new WsaEvent()] as const
    const waiting = waitForMultipleEvents(events, { all: true })
    events[0].set()
    assert.equal(await now(waiting), 'waits')
    events[0].reset()
    events[1].set()
    assert.equal(await now(waiting), 'waits')
    events[0].set()
    assert.equal(await now(waiting), 0)
  })

  test('a signal ends the wait with its reason, before it begins or later; then nobody is told', async () => {
    const event = new WsaEvent()
    const reason = new Error('enough')
    assert.equal(await now(event.wait(AbortSignal.abort(reason))), reason)
    const stopper = new AbortController()
    const waiting = event.wait(stopper.signal)
    stopper.abort(reason)
    assert.equal(await now(waiting), reason)
    const other = new AbortController()
    const odd = event.wait(other.signal)
    other.abort('no error')
    const { message, cause } = (await now(odd)) as Error
    assert.deepEqual([message, cause], ['Cannot go on waiting: it was aborted', 'no error'])
    event.set()
    event.reset()
  })

  test('who has been told is not woken again: neither after the wait nor after the watch', async () => {
    const event = new WsaEvent()
    let woken = 0
    const stop = event.watch(() => (woken += 1))
    event.set()
    event.set()
    assert.equal(woken, 2)
    stop()
    event.set()
    assert.equal(woken, 2)
    event.watch(() => (woken += 1))()
    assert.equal(woken, 3, 'it is set already')

    // A wait leaves nothing behind at the events that it did not need, or at its signal.
    const [told, untold] = [new WsaEvent(), new WsaEvent()]
    let looks = 0
    const { isSet } = Object.getOwnPropertyDescriptors({
      get isSet() {
        looks += 1
        return false
      },
    })
    Object.defineProperty(untold, 'isSet', isSet)
    told.set()
    const { signal } = new AbortController()
    assert.equal(await waitForMultipleEvents([untold, told], { signal }), 1)
    looks = 0
    untold.set()
    assert.deepEqual([looks, getEventListeners(signal, 'abort').length], [0, 0])
  })
})
