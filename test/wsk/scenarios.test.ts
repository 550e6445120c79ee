/** C1 over each carrier in one process, and that every scenario of WSK §12.4 is a test over each. */
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import type { WskConnectionSocket } from '../../src/faces/wsk/index.ts'
import { outcomeOf, overEach } from './station.ts'

const SLOTS = 2
const SLOT_BYTES = 2048
const BYTES = 300_000

/** One slot of Microsoft's echo sample: receives, sends the same back, and again; over at the peer's end. */
async function slot(socket: WskConnectionSocket): Promise<void> {
  const buffer = Buffer.alloc(SLOT_BYTES)
  const irp = new wsk.Irp<number>()
  for (;;) {
    const received = irp.reuse().promise()
    socket.dispatch.WskReceive(socket, wsk.wskBuf(buffer), 0, irp)
    const length = await received
    if (length === 0) return
    const sent = irp.reuse().promise()
    socket.dispatch.WskSend(socket, wsk.wskBuf(buffer, 0, length), 0, irp)
    assert.equal(await sent, length)
  }
}

describe('WSK scenarios', () => {
  overEach(
    'C1 an echo with two slots per connection: every byte, in order, and both ends',
    async (station) => {
      const { socket: listener, address } = await station.listener()
      const ends = [0, 1, 2].map(async (at) => {
        const near = await station.connect(address)
        const bytes = Buffer.alloc(BYTES)
        for (let i = 0; i < BYTES; i++) bytes[i] = i * 31 + (i >> 8) + at
        const sending = (async () => {
          for (let from = 0; from < BYTES; from += 7000)
            await station.send(near, bytes.subarray(from, from + 7000))
          await station.disconnect(near)
        })()
        assert.ok((await station.receive(near, BYTES)).equals(bytes))
        assert.equal((await station.receive(near, 1)).length, 0)
        await sending
      })
      const served = [0, 1, 2].map(async () => {
        const far = await station.accept(listener)
        await Promise.all(Array.from({ length: SLOTS }, () => slot(far)))
        await station.disconnect(far)
        const { status } = await outcomeOf<0>((irp) => far.dispatch.WskCloseSocket(far, irp))
        assert.equal(status, wsk.STATUS_SUCCESS)
      })
      await Promise.all([...ends, ...served])
    },
  )

  test('C1 to C14 are each a test over TCP/IP, loopback, shared memory and, where libfabric is, a fabric', () => {
    const folder = new URL('.', import.meta.url)
    const titles = readdirSync(folder)
      .filter((name) => name.endsWith('.test.js'))
      .flatMap((name) => [...readFileSync(new URL(name, folder), 'utf8').matchAll(OVER_EACH)])
      .map(([, title = '']) => title)
    const missing = Array.from({ length: 14 }, (_, at) => `C${at + 1}`).filter(
      (scenario) => !titles.some((title) => title.startsWith(`${scenario} `)),
    )
    assert.deepEqual(missing, [])
  })
})

const OVER_EACH = /\boverEach\(\s*['`]((?:\\.|[^'`\\])*)/g
