import assert from 'node:assert/strict'

import { Overlapped, WSA } from '../src/spi/index.ts'
import { assertFailure, assertRefused, assertStatus, clause, odd, statusName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ROLES } from './fixture.ts'
import type { Fixture, Pair } from './fixture.ts'
import { publish, received } from './peer.ts'

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

function wordIn(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)
}

/** Polls `overlapped` until it has ended; returns its status. */
async function poll(fixture: Fixture, pair: Pair, overlapped: Overlapped): Promise<string> {
  return await fixture.until('a silent receive to end by polling', pollTurns())

  async function pollTurns(): Promise<string> {
    for (;;) {
      const result = pair.near.getOverlappedResult(overlapped)
      const status = result.ok ? 0 : result.error
      if (status !== WSA.WSA_IO_INCOMPLETE) return statusName(status)
      await fixture.turn()
    }
  }
}

/** Publishing, signalling and receiving. */
export const transferChecks: readonly Check[] = [
  clause('RDMA-1 rdmaWrite is done at once, or completes (WSD-CPL-1, WSD-CPL-2)', async (fixture) => {
    const pair = await fixture.connectPair()
    const { upcalls } = fixture.near
    const { send } = valueOf(pair.near.memory(), 'memory')
    assertStatus(pair.near.rdmaWrite(send, 0, 0, null), 'success', 'rdmaWrite of nothing')
    assertStatus(pair.near.rdmaWrite(send, 0, send.length, null), 'success', 'rdmaWrite of everything')

    const overlapped = new Overlapped()
    const status = pair.near.rdmaWrite(send, 4, 12, overlapped)
    const pending = status === WSA.WSA_IO_PENDING
    if (pending) {
      assertStatus(await fixture.completion(overlapped), 'success', 'the pending rdmaWrite')
      assert.equal(overlapped.bytes, 12)
    } else {
      assertStatus(status, 'success', 'rdmaWrite')
      assert.equal(overlapped.pending, false)
    }
    await fixture.peer.signal(pair.far)
    assertStatus(await fixture.receive(pair.near), 'success', 'receive')
    assert.equal(upcalls.completions(overlapped).length, pending ? 1 : 0)
  }),

  clause('RDMA-2 writes appear in the order of the calls', async (fixture) => {
    const pair = await fixture.connectPair()
    const [followed, leading] = [0, 64]
    const snapshots: Promise<readonly [Uint8Array, Uint8Array]>[] = []
    for (let i = 1; i <= 256; i++) {
      assertStatus(publish(pair.near, leading, word(i)), 'success', 'rdmaWrite')
      if (i % 8 === 0) {
        const reads = [
          fixture.peer.read(pair.far, followed, 4),
          fixture.peer.read(pair.far, leading, 4),
        ] as const
        snapshots.push(Promise.all(reads))
        await fixture.turn()
      }
      assertStatus(publish(pair.near, followed, word(i)), 'success', 'rdmaWrite')
    }
    for (const [later, earlier] of await fixture.until('the peer to read', Promise.all(snapshots))) {
      assert.ok(wordIn(later) <= wordIn(earlier), 'a later write appeared before an earlier one')
    }
    assertStatus(pair.near.signal(), 'success', 'signal')
    await fixture.until('the peer to receive', fixture.peer.receive(pair.far))
    assert.equal(wordIn(await fixture.peer.read(pair.far, followed, 4)), 256)
    assert.equal(wordIn(await fixture.peer.read(pair.far, leading, 4)), 256)
  }),

  clause('RDMA-3 no connection, or no peer any more', async (fixture) => {
    const pair = await fixture.connectPair()
    const { send } = valueOf(pair.near.memory(), 'memory')
    const unconnected = await fixture.client()
    assertStatus(unconnected.rdmaWrite(send, 0, 1, null), 'WSAENOTCONN', 'rdmaWrite before the connection')
    const overlapped = new Overlapped()
    assertStatus(
      unconnected.rdmaWrite(send, 0, 1, overlapped),
      'WSAENOTCONN',
      'rdmaWrite before the connection',
    )
    await fixture.loseFar(pair)
    assertStatus(pair.near.rdmaWrite(send, 0, 1, null), 'WSAECONNRESET', 'rdmaWrite after the peer is gone')
    assertStatus(
      pair.near.rdmaWrite(send, 0, 1, overlapped),
      'WSAECONNRESET',
      'rdmaWrite after the peer is gone',
    )
    await fixture.roundTrip()
    assert.deepEqual(fixture.near.upcalls.completions(overlapped), [])
  }),

  clause('SIGNAL-1 signals are kept and may coalesce, none is lost (WSD-NEG-5 to -7)', async (fixture) => {
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      assertStatus(await fixture.peer.signal(pair.far), 'success', "the peer's signal")
      assertStatus(await fixture.receive(pair.near), 'success', 'a receive posted after the signal')
      let receives = 1

      let last = 0
      for (let round = 1; round <= 16; round++) {
        const first = last + 1
        last += 1 + (round % 4)
        const sending = (async () => {
          for (let i = first; i <= last; i++) {
            assertStatus(await fixture.peer.write(pair.far, 0, word(i)), 'success', "the peer's rdmaWrite")
            assertStatus(await fixture.peer.signal(pair.far), 'success', "the peer's signal")
          }
        })()
        do {
          assertStatus(await fixture.receive(pair.near), 'success', 'receive')
          receives += 1
        } while (wordIn(received(pair.near, 0, 4)) < last)
        await fixture.until('the peer to send', sending)
      }
      assert.ok(receives <= last + 1, `${receives} receives ended by ${last + 1} signals`)
    }
  }),

  clause('RECV-1 one completion: signal, end of the peer, or close (WSD-CLOSE-3, -4)', async (fixture) => {
    const { upcalls } = fixture.near
    for (const role of ROLES) {
      const pair = await fixture.connectPair(role)
      const signalled = fixture.post(pair.near)
      await fixture.roundTrip()
      assert.equal(upcalls.completions(signalled).length, 0)
      await fixture.peer.signal(pair.far)
      assertStatus(await fixture.completion(signalled), 'success', 'the signalled receive')
      const reset = fixture.post(pair.near)
      await fixture.roundTrip()
      await fixture.peer.close(pair.far)
      assertStatus(await fixture.completion(reset), 'WSAECONNRESET', 'the receive when the peer closed')

      const other = await fixture.connectPair(role)
      const aborted = fixture.post(other.near)
      await fixture.roundTrip()
      assertStatus(other.near.close(), 'success', 'close')
      assertStatus(await fixture.completion(aborted), 'WSA_OPERATION_ABORTED', 'the receive when closed here')
      await fixture.roundTrip()
      for (const overlapped of [signalled, reset, aborted]) {
        const [record, ...others] = upcalls.completions(overlapped)
        assert.equal(others.length, 0, 'a receive completed twice')
        assert.ok(record?.completed?.hadEnded, 'a receive was announced before it had ended')
        assert.equal(record.handle, overlapped === aborted ? other.handle : pair.handle)
      }
    }
  }),

  clause('RECV-2 a receive never completes from inside the call', async (fixture) => {
    const pair = await fixture.connectPair()
    const { upcalls } = fixture.near
    for (const news of ['signal', 'close'] as const) {
      await fixture.peer[news](pair.far)
      await fixture.roundTrip()
      const overlapped = fixture.post(pair.near)
      assert.equal(overlapped.pending, true, 'the receive had ended when the call returned')
      assert.deepEqual(upcalls.completions(overlapped), [])
      await fixture.completion(overlapped)
    }
  }),

  clause('RECV-3 one receive at a time, and none after the end was reported', async (fixture) => {
    const pair = await fixture.connectPair()
    const first = fixture.post(pair.near)
    const second = new Overlapped()
    assertStatus(pair.near.receive(second), 'WSAEALREADY', 'a second receive')
    assertStatus(pair.near.receive(first), 'WSAEALREADY', 'the same receive again')
    await fixture.peer.signal(pair.far)
    assertStatus(await fixture.completion(first), 'success', 'the first receive')
    await fixture.loseFar(pair)
    assertStatus(pair.near.receive(second), 'WSAECONNRESET', 'receive after the end was reported')
    await fixture.roundTrip()
    assert.deepEqual(fixture.near.upcalls.completions(second), [])
    assert.equal(fixture.near.upcalls.completions(first).length, 1)
  }),

  clause(
    'RECV-4 a silent receive makes no upcall; polling alone ends it (WSD-CPL-1, -8, -9)',
    async (fixture) => {
      const pair = await fixture.connectPair()
      const signalled = fixture.post(pair.near, { silent: true })
      assertFailure(pair.near.getOverlappedResult(signalled), 'WSA_IO_INCOMPLETE', 'getOverlappedResult')
      await fixture.peer.signal(pair.far)
      assert.equal(await poll(fixture, pair, signalled), 'success')
      await fixture.peer.close(pair.far)
      const reset = new Overlapped({ silent: true })
      let ended: string
      do {
        assertStatus(pair.near.receive(reset), 'WSA_IO_PENDING', 'a silent receive')
        ended = await poll(fixture, pair, reset)
      } while (ended === 'success')
      assert.equal(ended, 'WSAECONNRESET')
      assertStatus(pair.near.receive(reset), 'WSAECONNRESET', 'receive after a poll reported the end')
      await fixture.roundTrip()
      for (const overlapped of [signalled, reset]) {
        assert.deepEqual(fixture.near.upcalls.completions(overlapped), [])
      }
    },
  ),

  odd(
    'RDMA: refuses what lies outside the region or belongs to another socket (WSD-MEM-5)',
    async (fixture) => {
      const pair = await fixture.connectPair()
      const { send } = valueOf(pair.near.memory(), 'memory')
      for (const [offset, length] of [
        [0, send.length + 1],
        [send.length, 1],
        [-1, 1],
        [1, -1],
        [Number.NaN, 1],
        [0, Number.POSITIVE_INFINITY],
      ] as const) {
        assertRefused(pair.near.rdmaWrite(send, offset, length, null), `rdmaWrite of [${offset}, +${length})`)
      }
      assertStatus(publish(pair.near, 0, word(1)), 'success', 'rdmaWrite after all that')
    },
  ),

  odd('RDMA: a signal sent before the end is received before the end', async (fixture) => {
    const pair = await fixture.connectPair()
    assertStatus(await fixture.peer.signal(pair.far), 'success', "the peer's signal")
    assertStatus(await fixture.peer.close(pair.far), 'success', "the peer's close")
    assertStatus(await fixture.receive(pair.near), 'success', 'the first receive')
    assertStatus(await fixture.receive(pair.near), 'WSAECONNRESET', 'the second receive')
    assertStatus(pair.near.receive(new Overlapped()), 'WSAECONNRESET', 'the third receive')
  }),

  odd('RDMA: signal needs a connection and a peer', async (fixture) => {
    const pair = await fixture.connectPair()
    assertStatus((await fixture.client()).signal(), 'WSAENOTCONN', 'signal before the connection')
    await fixture.loseFar(pair)
    assertStatus(pair.near.signal(), 'WSAECONNRESET', 'signal after the peer is gone')
  }),
]
