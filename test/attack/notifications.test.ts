/** A peer that lies on its notification ring and in the states of its slots. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as layout from '../../src/providers/shm/layout.ts'
import { WSA } from '../../src/spi/index.ts'
import { FLAG_ABORT } from '../../src/switch/session/layout.ts'
import { Random } from '../support/random.ts'
import { HOST, HostilePeer, endpoint, freshPort, honestRequest } from './hostile-peer.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** The victim's loop finds nothing to do while nobody asks anything of it. */
async function isIdle(): Promise<void> {
  const { turns } = await scene.victim.ask('turns')
  assert.ok((turns as number) < 20, `links kept it busy for ${String(turns)} turns in 50 ms`)
}

const JUMPS: readonly [what: string, cursor: number][] = [
  ['one more than the ring holds', layout.NOTIFY_ENTRIES + 1],
  ['before what was read', -1],
  ['2 GiB away', 0x7fffffff],
  ['-2 GiB away', -0x80000000],
]

for (const [what, cursor] of JUMPS) {
  test(`pitfall 2: a notification cursor ${what} ends the link`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      const peer = await HostilePeer.open(scene.port)
      peer.setProduced(cursor)
      await peer.channel.ended()
      peer.close()
    })
  })

  test(
    `a notification cursor ${what} ends the connections of the link, and the victim rests`,
    { timeout: TIMEOUT_MS },
    async () => {
      await scene.survives(async () => {
        const { peer, from } = await scene.hostile()
        peer.setProduced(peer.produced + cursor)
        await peer.channel.ended()
        await scene.victim.departure(from)
        await isIdle()
        peer.close()
      })
    },
  )

  test(
    `a notification cursor ${what} does not keep busy an application that holds on to the connection`,
    { timeout: TIMEOUT_MS },
    async () => {
      await scene.survives(async () => {
        await scene.victim.ask('read', { on: false })
        const { peer, from } = await scene.hostile()
        await scene.victim.ask('read', { on: true })
        peer.setProduced(peer.produced + cursor)
        await peer.channel.ended()
        try {
          await isIdle()
        } finally {
          peer.close()
          await scene.victim.ask('drop', { port: from })
          await scene.victim.departure(from)
        }
      })
    },
  )
}

test('a link that is down does not listen to its peer any more', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    await scene.victim.ask('read', { on: false })
    const { peer, from } = await scene.hostile()
    await scene.victim.ask('read', { on: true })
    peer.say({ kind: 'reject', code: 0 })
    await peer.channel.ended()
    const before = peer.consumed
    for (let id = 1; id < 60; id += 1) peer.ask(id, 1, honestRequest(scene.port))
    await scene.victim.state()
    await scene.victim.state()
    try {
      assert.equal(peer.consumed, before)
      assert.equal(peer.answer(1).phase, layout.PHASE_FREE)
    } finally {
      await scene.victim.ask('drop', { port: from })
      await scene.victim.departure(from)
      peer.close()
    }
  })
})

test('a consumed cursor out of range ends the link', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const { peer, end, from } = await scene.hostile()
    Atomics.store(peer.own.words, layout.NOTIFY_CONSUMED, 12345)
    end.write('answer me')
    await peer.channel.ended()
    await scene.victim.departure(from)
    peer.close()
  })
})

test(
  'ids of slots that do not exist, were never opened or lie beyond every limit are passed over',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, end, from } = await scene.hostile()
      for (const id of [1, 63, 64, 65, 16_383, 16_384, 65_535, 0x7fffffff, 0x80000000, 0xffffffff])
        peer.notify(id)
      await peer.heard()
      await end.echo('go on')
      await scene.leave(peer, from)
    })
  },
)

test(
  'a ring full of notifications of one slot in one go are taken in turn with everything else',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, from } = await scene.hostile()
      peer.own.words.fill(0, layout.NOTIFY_RING_WORD, layout.NOTIFY_RING_WORD + layout.NOTIFY_ENTRIES)
      peer.setProduced(peer.produced + layout.NOTIFY_ENTRIES)
      await scene.victim.state()
      await peer.heard()
      await scene.leave(peer, from)
    })
  },
)

test(
  'a request in a slot of a segment that was never sent is not answered from thin air',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const peer = await HostilePeer.open(scene.port)
      peer.notify(64)
      peer.notify(320)
      await peer.heard()
      peer.addSegment('slots')
      const from = freshPort()
      peer.ask(64, 1, honestRequest(scene.port, { remote: endpoint(HOST, from) }))
      await peer.takeSlots()
      await peer.answered(64, 1, layout.PHASE_ACCEPTED)
      peer.agree(64)
      await scene.victim.arrival(from)
      await scene.leave(peer, from)
    })
  },
)

test('slot states that are garbage are passed over', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const random = new Random(7)
    const { peer, end, from } = await scene.hostile()
    for (const word of [-1, 0, 5, 6, 7, 0x7fffffff, -0x80000000]) {
      for (let id = 1; id < 60; id += 1) {
        peer.setStateWord(id, word === 5 ? random.between(0, 0xffffffff) : word)
        peer.notify(id)
      }
      await peer.heard()
    }
    await end.echo('go on')
    await scene.leave(peer, from)
  })
})

test(
  'a peer that says the end of a slot that it has not ended is not believed',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, end, from } = await scene.hostile()
      for (const id of [0, 1, 63, 16_384, layout.NOTIFY_END - 1]) peer.notifyEnd(id)
      await peer.heard()
      await end.echo('not at all')
      await scene.leave(peer, from)
    })
  },
)

test(
  'a connected slot whose state turns to garbage has lost its peer once its end is announced',
  { timeout: TIMEOUT_MS },
  async () => {
    for (const word of [-1, 0, layout.slotState(1, 5), layout.slotState(2, layout.PHASE_OPEN)]) {
      await scene.survives(async () => {
        const { peer, from } = await scene.hostile()
        peer.setStateWord(0, word)
        peer.notify(0)
        peer.notifyEnd(0)
        await scene.victim.departure(from)
        peer.close()
      })
    }
  },
)

test(
  'a peer that uses a slot again before it was given back gets no second connection out of it',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, from } = await scene.hostile()
      const { accepted: before } = await scene.victim.state()
      peer.ask(0, 2, honestRequest(scene.port))
      for (let i = 0; i < 10; i += 1) peer.notify(0)
      await peer.heard()
      assert.equal((await scene.victim.state()).accepted, before)
      assert.equal(peer.answer(0).generation, 1)
      peer.notifyEnd(0)
      await scene.victim.departure(from)
      peer.close()
      await scene.victim.until(({ accepted }) => accepted < before, 'the end of all connections of that peer')
    })
  },
)

test('the same request announced a hundred times is one connection', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const { arrivals: before } = await scene.victim.state()
    const peer = await HostilePeer.open(scene.port)
    const from = freshPort()
    peer.ask(3, 1, honestRequest(scene.port, { remote: endpoint(HOST, from) }))
    for (let i = 0; i < 100; i += 1) peer.notify(3)
    await peer.answered(3, 1, layout.PHASE_ACCEPTED)
    peer.agree(3)
    await scene.victim.arrival(from)
    await peer.heard()
    assert.equal((await scene.victim.state()).arrivals, before + 1)
    await scene.leave(peer, from)
  })
})

test(
  'a request that is accepted but never gone through with is dropped in time and tells nobody',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { arrivals: before } = await scene.victim.state()
      const peer = await HostilePeer.open(scene.port)
      peer.ask(0, 1, honestRequest(scene.port))
      await peer.answered(0, 1, layout.PHASE_ACCEPTED)
      await peer.answered(0, 1, layout.PHASE_CLOSED)
      assert.equal((await scene.victim.state()).arrivals, before)
      peer.close()
    })
  },
)

test(
  'a peer that never gives a closed slot back holds that slot and no more',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const before = (await scene.victim.state()).shm.connections
      const { peer, end, from } = await scene.hostile()
      await scene.victim.ask('drop', { port: from })
      await scene.victim.departure(from)
      await peer.answered(0, 1, layout.PHASE_CLOSED)
      assert.equal(end.flags & FLAG_ABORT, 0)
      for (let i = 0; i < 50; i += 1) peer.notify(0)
      await peer.heard()
      // Fewer, where a connection of the test before was still on its way out.
      assert.ok((await scene.victim.state()).shm.connections <= before)
      peer.close()
    })
  },
)

test(
  'the code of a refusal is the one thing an opener learns of a malformed request',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const peer = await HostilePeer.open(scene.port)
      peer.writeRawRequest(0, new Uint8Array(0))
      peer.setState(0, 1, layout.PHASE_OPEN)
      peer.notify(0)
      await peer.answered(0, 1, layout.PHASE_REFUSED)
      assert.equal(peer.answer(0).detail, WSA.WSAEFAULT)
      peer.close()
    })
  },
)
