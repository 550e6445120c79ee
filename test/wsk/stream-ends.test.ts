/** What only a peer on another processor, or a full kernel, brings about: over a stream that does it on purpose. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Dispatcher } from '../../src/faces/wsk/dispatcher.ts'
import * as wsk from '../../src/faces/wsk/index.ts'
import { Receiver } from '../../src/faces/wsk/receiver.ts'
import { Request } from '../../src/faces/wsk/request.ts'
import { Sender } from '../../src/faces/wsk/sender.ts'
import type { Stream } from '../../src/spi/index.ts'

test('WSK-FLOW-18 an end that comes between two looks is heard of by the receive that waits, then told', () => {
  let looks = 0
  // The first look finds nothing, the next the end.
  const stream = {
    available: 0,
    readInto: () => 0,
    read: () => undefined,
    readEnd: () => (++looks < 3 ? 'more' : 'end'),
  } as unknown as Stream
  const order: string[] = []
  const receiver = new Receiver(stream, {
    dispatcher: new Dispatcher({ schedule: setImmediate }),
    windowBytes: 1,
    indicates: false,
    inCall: false,
    indicate: () => ({ status: wsk.STATUS_SUCCESS, accepted: 0 }),
    ended: () => order.push('ended'),
    pumpSoon: () => order.push('again'),
  })
  const request: Request = new Request(() => order.push(`received ${String(request.information)}`))
  receiver.receive(request, wsk.wskBuf(Buffer.alloc(4)), 0)
  receiver.pump()
  assert.deepEqual(order, ['received 0'])
  request.after?.()
  receiver.pump()
  assert.deepEqual(order, ['received 0', 'again', 'ended'])
})

test('WSK-SEND-2 a send is not over while a piece of it waits for the kernel', () => {
  let unsent = 10
  const stream = {
    write: () => 10,
    get unsent() {
      return unsent
    },
  } as unknown as Stream
  const sender = new Sender(stream, () => undefined)
  const request = new Request(() => undefined)
  sender.send(request, [Buffer.alloc(10)], false)
  assert.equal(request.over, false)
  unsent = 0
  sender.pump()
  assert.deepEqual([request.over, request.status, request.information], [true, wsk.STATUS_SUCCESS, 10])
})
