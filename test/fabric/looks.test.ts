/** Whoever has much to say over a fabric keeps nobody else from being heard. The endpoints are driven by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as native from '../../src/native/fabric.ts'
import type { Fabric } from '../../src/native/fabric.ts'
import { loadFabric } from '../../src/native/load.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import { LIMIT_MS } from '../integration/program.ts'
import { FABRIC_UNDER_TEST, fabricAddresses, noFabric } from '../support/fabric-provider.ts'
import { DeadlineError } from '../support/waiting.ts'

const skip = noFabric()
const addresses = fabricAddresses('IPv4')
/** Receives that wait at a link. */
const MESSAGES = 100
/** What each talker sends at once: so many looks find as much as there can be. */
const ROUNDS = 4

interface Happening {
  readonly kind: number
  /** A request or a link. */
  readonly id: number
  readonly detail: number
}

class Side {
  readonly fabric: Fabric
  readonly #events: Int32Array

  constructor() {
    const loaded = loadFabric()
    assert.ok('native' in loaded)
    this.fabric = new loaded.native.Fabric(FABRIC_UNDER_TEST, MESSAGES, 64, 1, 1, 4096)
    assert.equal(this.fabric.open(), 0)
    this.#events = new Int32Array(this.fabric.events())
  }

  /** What one look finds. */
  look(): readonly Happening[] {
    if (!this.fabric.poll()) return []
    const [count = 0] = this.#events
    this.#events[1] = count
    return Array.from({ length: count }, (_, i) => {
      const [kind = 0, id = 0, detail = 0] = this.#events.subarray(2 + 4 * i)
      return { kind, id, detail }
    })
  }
}

/** One who listens, and so many who have connected and said all that they have to say. */
async function talkers(count: number) {
  const { address, port } = await addresses('listener')
  const service = serviceOf(FABRIC_UNDER_TEST, port)
  const [listener, talker] = [new Side(), new Side()]
  assert.ok(listener.fabric.listen(address, service) > 0)
  const connect = (): number => {
    const link = talker.fabric.connect(address, address, service)
    assert.equal(talker.fabric.start(link, Uint8Array.of(1)), 0)
    return link
  }
  const links = Array.from({ length: count }, connect)
  let standing = 0
  for (const late = performance.now() + LIMIT_MS; standing < 2 * count;) {
    if (performance.now() > late) throw new DeadlineError(`Waited ${LIMIT_MS} ms in vain for ${count} links`)
    await new Promise((resolve) => setImmediate(resolve))
    for (const { kind, id } of [...listener.look(), ...talker.look()]) {
      if (kind === native.EVENT_CONNECTED) standing += 1
      if (kind === native.EVENT_REQUEST)
        assert.equal(listener.fabric.start(listener.fabric.accept(id), Uint8Array.of(1)), 0)
    }
  }
  for (const link of links) {
    for (let i = 0; i < ROUNDS * MESSAGES; i++)
      assert.equal(talker.fabric.send(link, i % MESSAGES, 64, false), 0)
  }
  const end = (): void => {
    listener.fabric.destroy()
    talker.fabric.destroy()
  }
  return { listener, talker, connect, end }
}

test('links that always have something to say do not keep others from being heard', { skip }, async () => {
  const { listener, end } = await talkers(10)
  const heard = new Set<number>()
  for (let looks = 0; looks < ROUNDS - 1; looks++) {
    // The first finds the few messages that libfabric has read ahead, on each of them.
    if (looks === 1) heard.clear()
    for (const { kind, id, detail } of listener.look()) {
      if (kind !== native.EVENT_RECEIVED) continue
      heard.add(id)
      assert.equal(listener.fabric.receive(id, detail), 0)
    }
  }
  assert.equal(heard.size, 10)
  end()
})

test('who connects is heard while a link always has something to say', { skip }, async () => {
  const { listener, talker, connect, end } = await talkers(1)
  const found: number[] = []
  connect()
  // One message at each look, for as long as there are any.
  let waiting: Happening[] = []
  for (let looks = 0; looks < (ROUNDS - 1) * MESSAGES; looks++) {
    talker.look()
    const happenings = listener.look()
    assert.ok(happenings.length > 0, `nothing at look ${looks}`)
    found.push(...happenings.map(({ kind }) => kind))
    waiting.push(...happenings.filter(({ kind }) => kind === native.EVENT_RECEIVED))
    const [next, ...others] = waiting
    waiting = others
    if (next !== undefined) listener.fabric.receive(next.id, next.detail)
  }
  assert.ok(found.includes(native.EVENT_REQUEST))
  end()
})
