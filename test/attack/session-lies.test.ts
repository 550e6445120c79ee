/** A peer that lies in the header of a session: its connection ends with a reset, and no other notices. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import * as session from '../../src/switch/session/layout.ts'
import { beside, startApp } from '../support/app.ts'
import { eventually, within } from '../support/waiting.ts'
import { LIMIT_MS } from './channel.ts'
import { RING_SEGMENT_BYTES, freshPort } from './hostile-peer.ts'
import type { HostilePeer, HostileSession } from './hostile-peer.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000
const FIRST_RING_BYTES = 1024

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** The lie ends the liar's connection, by a reset, and while the liar is there to see it. */
async function isReset(lie: (end: HostileSession, peer: HostilePeer) => Promise<void> | void): Promise<void> {
  await scene.survives(async () => {
    const { peer, end, from } = await scene.hostile()
    try {
      await lie(end, peer)
      end.signal()
      await end.flagged(session.FLAG_ABORT)
      assert.equal(await scene.victim.departure(from), 'ECONNRESET')
    } finally {
      peer.close()
    }
  })
}

const CURSORS: readonly [what: string, lie: (end: HostileSession) => Promise<void> | void][] = [
  [
    'a produced cursor one beyond the ring',
    (end) => {
      end.set(session.PRODUCED, FIRST_RING_BYTES + 1)
    },
  ],
  [
    'a produced cursor before what was read',
    (end) => {
      end.set(session.PRODUCED, -1)
    },
  ],
  [
    'a produced cursor 2 GiB away',
    (end) => {
      end.set(session.PRODUCED, 0x7fffffff)
    },
  ],
  [
    'a produced cursor that goes back',
    async (end) => {
      await end.echo('0123456789')
      end.set(session.PRODUCED, 5)
    },
  ],
]

for (const [what, lie] of CURSORS) {
  test(`pitfall 2: ${what} ends the connection`, { timeout: TIMEOUT_MS }, async () => {
    await isReset(lie)
  })
}

for (const consumed of [1, FIRST_RING_BYTES, 0x7fffffff, -1]) {
  test(
    `pitfall 2: a consumed cursor at ${consumed} of nothing sent ends the connection`,
    { timeout: TIMEOUT_MS },
    async () => {
      await isReset((end) => {
        end.set(session.CONSUMED, consumed)
        // It is at the next write that the cursor is looked at.
        end.write('echo this')
      })
    },
  )
}

test('pitfall 2: a consumed cursor that goes back ends the connection', { timeout: TIMEOUT_MS }, async () => {
  await isReset(async (end) => {
    await end.echo('0123456789')
    end.set(session.CONSUMED, 10)
    end.peer.consume()
    end.set(session.PRODUCED, 15)
    end.signal()
    await eventually(
      () => end.get(session.PRODUCED) === 15,
      LIMIT_MS,
      () => 'another echo',
    )
    end.set(session.CONSUMED, 5)
    end.set(session.PRODUCED, 20)
  })
})

interface Announcement {
  readonly descriptor: number
  readonly bytes: number
  readonly start: number
}

const SEGMENT = 1 << 16
const ANNOUNCEMENTS: readonly [what: string, announcement: Announcement][] = [
  ['no bytes', { descriptor: SEGMENT, bytes: 0, start: 0 }],
  ['a negative size', { descriptor: SEGMENT, bytes: -4096, start: 0 }],
  ['a size that is no power of two', { descriptor: SEGMENT, bytes: 5000, start: 0 }],
  ['more bytes than its segment', { descriptor: SEGMENT, bytes: RING_SEGMENT_BYTES * 2, start: 0 }],
  ['2 GiB', { descriptor: SEGMENT, bytes: 0x80000000, start: 0 }],
  ['a segment that was never sent', { descriptor: SEGMENT * 7, bytes: 4096, start: 0 }],
  ['the segment of the slots', { descriptor: 0, bytes: 4096, start: 0 }],
  ['an offset that leaves its segment', { descriptor: SEGMENT | 255, bytes: 8192, start: 0 }],
  ['an offset far beyond its segment', { descriptor: SEGMENT | 0xffff, bytes: 4096, start: 0 }],
  ['all ones', { descriptor: -1, bytes: -1, start: -1 }],
  ['a start before what was read', { descriptor: SEGMENT, bytes: 4096, start: -1 }],
  ['a start beyond the ring before', { descriptor: SEGMENT, bytes: 4096, start: FIRST_RING_BYTES + 1 }],
]

function announce(end: HostileSession, { descriptor, bytes, start }: Announcement): void {
  end.set(session.RING_DESCRIPTOR, descriptor)
  end.set(session.RING_BYTES, bytes)
  end.set(session.RING_START, start)
  end.set(session.RING_GENERATION, 1)
}

for (const [what, announcement] of ANNOUNCEMENTS) {
  test(`pitfall 3: a ring announced with ${what} ends the connection`, { timeout: TIMEOUT_MS }, async () => {
    await isReset((end, peer) => {
      peer.addSegment('rings')
      announce(end, announcement)
      end.set(session.PRODUCED, 100)
    })
  })
}

test(
  'a ring announced badly by a peer that then dies still ends the connection',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, end, from } = await scene.hostile()
      announce(end, { descriptor: SEGMENT * 7, bytes: 4096, start: 0 })
      end.set(session.PRODUCED, 100)
      end.signal()
      peer.close()
      assert.equal(await scene.victim.departure(from), 'ECONNRESET')
    })
  },
)

for (const word of ['generation', 'produced', 'flags'] as const) {
  test(
    `pitfall 5: a peer that changes its ${word} without pause does not stop the loop`,
    { timeout: TIMEOUT_MS },
    async () => {
      await scene.survives(async () => {
        const from = freshPort()
        const args = [String(scene.port), String(from), word]
        const { app } = await startApp(beside(import.meta.url, 'spinner'), { switched: false, args })
        try {
          await scene.victim.arrival(from)
          for (let asked = 0; asked < 100; asked += 1) await scene.victim.state()
        } finally {
          await app.end()
        }
        await scene.victim.departure(from)
      })
    },
  )
}

const LOOPS = [
  ['adopts a ring before it has read the one before does not stop the writer', 'write'],
  ['announces another ring whenever one is adopted does not stop the reader', 'read'],
] as const

for (const [what, workerData] of LOOPS) {
  test(`pitfall 5: a peer that ${what}`, { timeout: TIMEOUT_MS }, async () => {
    const worker = new Worker(beside(import.meta.url, 'session-loops'), { workerData })
    try {
      await within(once(worker, 'message'), LIMIT_MS, 'the call to return')
    } finally {
      await worker.terminate()
    }
  })
}

const FLAGS: readonly [what: string, flags: number, code: string | undefined][] = [
  ['every flag', -1, 'ECONNRESET'],
  ['unknown flags', 0x7fffffe0 | session.FLAG_OPEN, undefined],
  ['ABORT alone', session.FLAG_ABORT, 'ECONNRESET'],
  ['END and CLOSED', session.FLAG_END | session.FLAG_CLOSED, 'end'],
]

for (const [what, flags, how] of FLAGS) {
  test(`a peer that raises ${what} harms its own connection at most`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      const { peer, end, from } = await scene.hostile()
      end.setFlags(flags)
      if (how === undefined) {
        await end.echo('still here')
        await scene.leave(peer, from)
      } else {
        assert.equal(await scene.victim.departure(from), how)
        peer.close()
      }
    })
  })
}

test('data behind the end of a stream are not read', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const { peer, end, from } = await scene.hostile()
    end.write('all')
    end.setFlags(session.FLAG_OPEN | session.FLAG_END)
    await end.flagged(session.FLAG_END)
    end.set(session.PRODUCED, 500)
    end.signal()
    assert.equal(end.received, 'all')
    await scene.leave(peer, from)
  })
})

test(
  'pitfall 37: a peer that never reads costs its victim a bounded amount of memory',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      await scene.victim.ask('read', { on: false })
      const { peer, from } = await scene.hostile()
      await scene.victim.ask('read', { on: true })
      const before = (await scene.victim.state()).shm.bytes
      const { bytes } = await scene.victim.ask('flood', { port: from })
      const { shm } = await scene.victim.state()
      assert.ok((bytes as number) < 8 << 20, `it took ${String(bytes)} bytes for one connection`)
      assert.ok(shm.bytes - before <= 2 << 20, `it allocated ${shm.bytes - before} bytes`)
      peer.close()
      await scene.victim.ask('drop', { port: from })
      await scene.victim.departure(from)
    })
  },
)
