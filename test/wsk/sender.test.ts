import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { Request } from '../../src/faces/wsk/request.ts'
import { Sender } from '../../src/faces/wsk/sender.ts'
import { STATUS_SUCCESS, statusName } from '../../src/faces/wsk/index.ts'
import { WSA } from '../../src/spi/index.ts'
import type { Stream } from '../../src/spi/index.ts'

/** A carrier whose room, and whose own backlog, the test sets. */
class Carrier {
  room = Infinity
  unsent = 0
  failure = 0
  taken = ''

  write(chunks: readonly Uint8Array[], index = 0, offset = 0): number {
    if (this.failure !== 0) return -this.failure
    const offered = Buffer.concat(chunks.slice(index)).subarray(offset).toString()
    const part = offered.slice(0, this.room)
    this.taken += part
    this.room -= part.length
    return part.length
  }

  shutdown(): void {
    this.taken += '|'
  }
}

function sending(): {
  readonly carrier: Carrier
  readonly sender: Sender
  readonly ends: string[]
  readonly send: (...pieces: string[]) => void
} {
  const carrier = new Carrier()
  const sender = new Sender(carrier as unknown as Stream, () => undefined)
  const ends: string[] = []
  const send = (...pieces: string[]): void => {
    const request: Request = new Request(() => {
      const { status, information } = request
      ends.push(status === STATUS_SUCCESS ? String(information) : statusName(status))
    })
    sender.send(
      request,
      pieces.map((piece) => Buffer.from(piece)),
      false,
    )
  }
  return { carrier, sender, ends, send }
}

describe('sends of one connection', () => {
  test('WSK-SEND-2 a send is over at once when the carrier has all of it, and not before', () => {
    const { carrier, sender, ends, send } = sending()
    send('all ', 'of it')
    assert.deepEqual([carrier.taken, ends], ['all of it', ['9']])
    carrier.unsent = 3
    send('late')
    assert.deepEqual([carrier.taken, ends], ['all of itlate', ['9']])
    carrier.unsent = 0
    sender.pump()
    assert.deepEqual(ends, ['9', '4'])
  })

  test('WSK-SEND-3 nothing overtakes what waits, though there is room again: neither bytes nor an empty send', () => {
    const { carrier, sender, ends, send } = sending()
    carrier.room = 4
    send('fi', 'rst')
    assert.deepEqual([carrier.taken, ends], ['firs', []])
    carrier.room = Infinity
    send('second')
    send()
    assert.deepEqual([carrier.taken, ends], ['firs', []])
    sender.pump()
    assert.deepEqual([carrier.taken, ends], ['firstsecond', ['5', '6', '0']])
  })

  test('WSK-IRP-12 WSK-DISC-4 of what is cancelled while it waits, the sends are gone, and the end goes out all the same', () => {
    const { carrier, sender, ends, send } = sending()
    carrier.room = 0
    send('first')
    const requests = [0, 1, 2].map(() => new Request(() => ends.push('cancelled')))
    const [one, two, end] = requests as [Request, Request, Request]
    sender.send(one, [Buffer.from('one')], false)
    sender.send(two, [Buffer.from('two')], false)
    sender.end(end, [])
    for (const request of requests.toReversed()) request.cancel()
    assert.deepEqual(ends, ['cancelled', 'cancelled', 'cancelled'])
    carrier.room = Infinity
    sender.pump()
    assert.deepEqual([carrier.taken, ends.at(-1), sender.ended], ['first|', '5', true])
  })

  test('WSK-SEND-5 what a send fails with, every later one fails with, also when the carrier thinks otherwise', () => {
    const { carrier, ends, send } = sending()
    carrier.failure = WSA.WSAECONNRESET
    send('lost')
    carrier.failure = 0
    send('later')
    assert.deepEqual(ends, ['STATUS_CONNECTION_RESET', 'STATUS_CONNECTION_RESET'])
    assert.equal(carrier.taken, '')
  })
})
