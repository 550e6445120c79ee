/** A doorbell, or a status page, that turns against whoever rings it. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { FLAG_OPEN } from '../../src/switch/session/layout.ts'
import { STATUS_EPOCH, STATUS_SLEEPING } from '../../src/providers/shm/layout.ts'
import { eventually } from '../support/waiting.ts'
import { LIMIT_MS } from './channel.ts'
import type { HostilePeer, HostileSession } from './hostile-peer.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** Fills the counter of an eventfd, so that one more ring has to wait or fail. */
function fill(eventfd: number): void {
  const almost = Buffer.alloc(8)
  almost.writeBigUInt64LE(0xffff_ffff_ffff_fffen)
  writeSync(eventfd, almost)
}

/** Clears O_NONBLOCK of the open file that both sides share: libuv does so for what a child gets as stdin. */
function makeBlocking(fd: number): void {
  assert.equal(spawnSync('true', { stdio: [fd, 'ignore', 'ignore'] }).status, 0)
}

/** Gets an echo from the victim, which makes it ring. */
async function exchange({ peer, end }: { peer: HostilePeer; end: HostileSession }): Promise<void> {
  peer.consume()
  peer.sleepAnew()
  end.write('ring me')
  await eventually(
    () => end.received === 'ring me',
    LIMIT_MS,
    () => `an echo, not '${end.received}'`,
  )
}

test('a doorbell that is full does not trouble who rings it', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const hostile = await scene.hostile()
    fill(hostile.peer.doorbell)
    await exchange(hostile)
    hostile.peer.close()
  })
})

test(
  'a status page that always says "asleep anew" costs its owner its answers and nobody else',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, end } = await scene.hostile()
      for (let round = 0; round < 200; round += 1) {
        peer.status.words.fill(-1)
        Atomics.store(peer.status.words, STATUS_EPOCH, round)
        Atomics.store(peer.status.words, STATUS_SLEEPING, round % 3)
        peer.consume()
        end.setFlags(FLAG_OPEN)
        if (round % 20 === 0) await scene.victim.state()
      }
      peer.close()
    })
  },
)

// The last one: a victim that falls for it serves no other test.
test(
  'a doorbell that was made blocking after the handshake does not stop who rings it',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const hostile = await scene.hostile()
      fill(hostile.peer.doorbell)
      makeBlocking(hostile.peer.doorbell)
      await exchange(hostile)
      hostile.peer.close()
    })
  },
)
