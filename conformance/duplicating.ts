import assert from 'node:assert/strict'

import { FD_CONNECT, Overlapped } from '../src/spi/index.ts'
import type { SanSocket } from '../src/spi/index.ts'
import { assertFailure, assertStatus, clause, resultName, statusName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ROLES } from './fixture.ts'
import type { Fixture, Pair } from './fixture.ts'
import { pattern } from './memory.ts'
import { publish, received } from './peer.ts'
import { RecordedEvent } from './recorder.ts'

/** A test of providers that duplicate; of others there is nothing to check. */
function offered(run: (fixture: Fixture) => Promise<void>): Check['run'] {
  return async (fixture) => {
    if (fixture.near.data.limits.duplicates === true) await run(fixture)
  }
}

/** Leaves `pair` to this same process. */
function leave(pair: Pair): Uint8Array {
  return valueOf(pair.near.duplicate(process.pid), 'duplicate')
}

/** A socket made from `token` in this process, and how its becoming connected ended. */
async function takeOver(fixture: Fixture, token: Uint8Array) {
  const { family } = await fixture.address('client')
  const socket = fixture.near.takeOver(family, token)
  const event = new RecordedEvent()
  assertStatus(socket.eventSelect(event, FD_CONNECT), 'success', 'eventSelect(FD_CONNECT)')
  const { mask, connectStatus } = await fixture.events('the take-over', socket, event)
  assert.equal(mask, FD_CONNECT)
  return { socket, status: statusName(connectStatus) }
}

function assertZeroes(socket: SanSocket): void {
  const { send, receive } = valueOf(socket.memory(), 'memory')
  for (const { bytes, offset } of [send, receive]) {
    assert.ok(
      bytes.subarray(offset, offset + 256).every((byte) => byte === 0),
      'a region begins with old bytes',
    )
  }
}

/** Connections that move to another process; here the next process is this one, again. */
export const duplicatingChecks: readonly Check[] = [
  clause(
    'DUP-1 the old socket ends its receive with nothing, and can only be closed (WSD-DUP-16, -17, -23, -24)',
    offered(async (fixture) => {
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        const pending = fixture.post(pair.near)
        const token = leave(pair)
        assertStatus(await fixture.completion(pending), 'success', 'the posted receive')
        assert.equal(pending.bytes, 0)
        assertFailure(pair.near.memory(), 'WSAEINVAL', 'memory')
        assertFailure(pair.near.duplicate(process.pid), 'WSAEINVAL', 'duplicate once more')
        assertStatus(pair.near.signal(), 'WSAEINVAL', 'signal')
        assertStatus(pair.near.receive(new Overlapped()), 'WSAEINVAL', 'receive')
        assertStatus(pair.near.close(), 'success', 'close')
        await fixture.closed(pair.handle)
        assert.equal((await takeOver(fixture, token)).status, 'success', 'the close ended the connection')
      }
    }),
  ),

  clause(
    'DUP-2 the value works once, in the process it is for (WSD-DUP-18, -29)',
    offered(async (fixture) => {
      const { provider } = fixture.near
      const { family } = await fixture.address('client')
      const elsewhere = await fixture.connectPair()
      const foreign = valueOf(elsewhere.near.duplicate(process.pid + 1), 'duplicate')
      assertFailure(
        provider.socket({ family, duplicate: foreign }),
        'WSAEINVAL',
        'socket for another process',
      )
      assertFailure(
        provider.socket({ family, duplicate: new Uint8Array(3) }),
        'WSAEINVAL',
        'socket from nonsense',
      )
      const token = leave(await fixture.connectPair())
      assert.equal((await takeOver(fixture, token)).status, 'success')
      assertFailure(
        provider.socket({ family, duplicate: token }),
        'WSAEINVAL',
        'socket from a value that was used',
      )
      const unconnected = await fixture.client()
      assertFailure(unconnected.duplicate(process.pid), 'WSAENOTCONN', 'duplicate without a connection')
    }),
  ),

  clause(
    'DUP-3 the new socket is told when the peer is there, or gone (WSD-DUP-19, -20, -22)',
    offered(async (fixture) => {
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        const { socket, status } = await takeOver(fixture, leave(pair))
        assert.equal(status, 'success')
        assertZeroes(socket)
        const lost = await fixture.connectPair(role)
        const token = leave(lost)
        assertStatus(await fixture.peer.close(lost.far), 'success', "the peer's close")
        const { status: lateStatus } = await takeOver(fixture, token)
        assert.ok(
          ['WSAECONNRESET', 'WSAETIMEDOUT'].includes(lateStatus),
          `taking over what is gone ends with ${lateStatus}`,
        )
      }
    }),
  ),

  clause(
    "DUP-4 both sides get new regions, and the peer's receive stays posted (WSD-DUP-12)",
    offered(async (fixture) => {
      for (const role of ROLES) {
        const pair = await fixture.connectPair(role)
        assertStatus(publish(pair.near, 0, pattern(64, 1)), 'success', 'rdmaWrite')
        assertStatus(await fixture.peer.write(pair.far, 0, pattern(64, 2)), 'success', "the peer's rdmaWrite")
        const waiting = fixture.peer.receive(pair.far)
        const { socket } = await takeOver(fixture, leave(pair))
        const content = pattern(512, 3)
        assertStatus(publish(socket, 256, content), 'success', 'rdmaWrite')
        assertStatus(socket.signal(), 'success', 'signal')
        assertStatus(await fixture.until('the peer to receive', waiting), 'success', "the peer's receive")
        assert.deepEqual(
          await fixture.peer.read(pair.far, 0, 64),
          new Uint8Array(64),
          'the old bytes are there',
        )
        assert.deepEqual(await fixture.peer.read(pair.far, 256, 512), content)
        assertStatus(await fixture.peer.write(pair.far, 16, content), 'success', "the peer's rdmaWrite")
        assertStatus(await fixture.peer.signal(pair.far), 'success', "the peer's signal")
        assertStatus(await fixture.receive(socket), 'success', 'receive')
        assert.deepEqual(received(socket, 16, 512), content)
      }
    }),
  ),

  clause(
    'DUP-5 where nobody takes over in time the peer is told (WSD-DUP-27, -28)',
    offered(async (fixture) => {
      const pair = await fixture.connectPair()
      const token = leave(pair)
      await fixture.farEnds(pair.far)
      const { family } = await fixture.address('client')
      const late = fixture.near.provider.socket({ family, duplicate: token })
      // Where nobody can tell, the new socket is told later.
      if (late.ok)
        assert.notEqual(resultName(late.value.memory()), 'success', 'the value works after its time')
      else assertFailure(late, 'WSAEINVAL', 'socket from a value whose time is over')
    }),
  ),
]
