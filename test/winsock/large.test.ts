import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'

import { WSA, failure } from '../../src/spi/index.ts'
import type { SanProvider, Status } from '../../src/spi/index.ts'
import { MSG_WAITALL, SD_RECEIVE, SD_SEND } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { intercept } from '../../src/providers/wrap/intercept.ts'
import { Pattern } from '../support/pattern.ts'
import { within } from '../support/waiting.ts'
import { FakeClock } from '../switch/fake-clock.ts'
import { Journal, spy } from '../switch/spy.ts'
import { cleanUp, connected, listening, nameOf, program, readToEnd, told, valueOf } from './pair.ts'
import type { Program } from './pair.ts'

after(cleanUp)

const THRESHOLD = 64 << 10
const MAX_RDMA = 1 << 20
const RING = 1 << 20
const RDMA = { maxBytes: MAX_RDMA, thresholdBytes: THRESHOLD }
const PATTERN = new Pattern(11)

function bytesOf(length: number, at = 0): Buffer {
  return PATTERN.copy(at, length)
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** A connection between two programs; whether each end's provider can expose and read application memory. */
async function pairOf(
  { from = true, to = true, slowReads = false },
  journal = new Journal(),
): Promise<{ readonly client: WinsockSocket; readonly server: WinsockSocket; readonly journal: Journal }> {
  const network = new LoopbackNetwork()
  const side = (can: boolean, name: string): Program =>
    program(spy(loopback({ network, slowReads, limits: { rdma: can ? RDMA : undefined } }), name, journal))
  const [sender, receiver] = [side(from, 'from'), side(to, 'to')]
  const { listener, address } = listening(receiver)
  const client = valueOf(sender.winsock.socket())
  const [server] = await Promise.all([listener.blocking.accept(), client.blocking.connect(address)])
  assert.deepEqual([client.provider, server.provider], ['from', 'to'])
  return { client, server, journal }
}

/** Around everything that a size may cross, and many megabytes. */
const SIZES = [0, 1, 1023, 1024, 1025, THRESHOLD - 1, THRESHOLD, THRESHOLD + 1, 300_000]
const LARGE_SIZES = [RING - 1, RING, RING + 1, MAX_RDMA + THRESHOLD + 2, 9 << 20]

describe('large sends through the Winsock face', { timeout: 60_000 }, () => {
  for (const slowReads of [false, true]) {
    for (const [from, to] of [
      [true, true],
      [true, false],
      [false, true],
      [false, false],
    ] as const) {
      const reads = slowReads ? 'slow' : 'direct'
      test(`WSD-LARGE-2 WSD-LARGE-3 WSD-LARGE-3E WSD-XFER-12 WSD-XFER-13 WSD-XFER-18 scenario 15: every size, the sender ${from ? 'exposes' : 'cannot'}, the receiver ${to ? 'reads' : 'cannot'} (${reads})`, async () => {
        const { client, server, journal } = await pairOf({ from, to, slowReads })
        const byRdma = from && to
        let at = 0
        for (const size of [...SIZES, ...LARGE_SIZES]) {
          journal.clear()
          const content = bytesOf(size, at)
          const target = Buffer.alloc(size)
          const [sent, received] = [told(), told()]
          if (size > 0) server.recv(target, 8, received.overlapped)
          client.send(content, 0, sent.overlapped)
          assert.deepEqual(await sent.ended, ['success', size])
          if (size > 0) assert.deepEqual(await received.ended, ['success', size])
          assert.ok(target.equals(content), `${size} bytes differ`)
          const exposures = journal.all('from.registerRdmaMemory')
          const expected = byRdma && size > THRESHOLD ? Math.ceil(size / MAX_RDMA) : 0
          // What is left behind the last full stretch goes by write when it is small.
          const left = size % MAX_RDMA
          const small = expected > 0 && left > 0 && left <= THRESHOLD ? 1 : 0
          assert.equal(exposures.length, expected - small, `exposures of ${size} bytes`)
          assert.equal(journal.count('from.deregisterRdmaMemory'), exposures.length)
          for (const { args } of exposures) {
            assert.equal((args[0] as Buffer).buffer, content.buffer, 'exposed where it is, without a copy')
            assert.ok((args[0] as Buffer).length <= MAX_RDMA)
          }
          at += size
        }
        client.shutdown(SD_SEND)
        assert.equal((await readToEnd(server)).length, 0)
      })
    }
  }

  test('WSD-LARGE-R3 WSD-LARGE-R6 the peer reads into its application’s buffer, and the send ends after that', async () => {
    const { client, server, journal } = await pairOf({})
    const sent = told()
    client.send(bytesOf(500_000), 0, sent.overlapped)
    await turns(10)
    assert.equal(sent.times(), 0, 'nobody has read yet')
    const target = Buffer.alloc(500_000)
    assert.equal(await server.blocking.recv(target, { flags: 8 }), 500_000)
    assert.deepEqual(await sent.ended, ['success', 500_000])
    assert.ok(target.equals(bytesOf(500_000)))
    for (const { args } of journal.all('to.rdmaRead')) assert.equal((args[2] as Buffer).buffer, target.buffer)
    assert.ok(journal.count('to.rdmaRead') > 0)
  })

  test('WSD-XFER-18 scenario 16: small, large and small buffers of one send, and nonblocking sends between: one stream', async () => {
    const { client, server, journal } = await pairOf({})
    const there = readToEnd(server)
    let at = 0
    const take = (length: number): Buffer => {
      const bytes = bytesOf(length, at)
      at += length
      return bytes
    }
    const ends: Promise<unknown>[] = []
    for (const sizes of [[10, 200_000, 7], [100_000, 100_000], [5], [70_000, 3, 70_000, 0, 1]]) {
      const op = told()
      client.send(sizes.map(take), 0, op.overlapped)
      ends.push(op.ended)
      // Behind one that waits nothing overtakes it.
      const now = client.send(bytesOf(11, at))
      if (now.ok) at += now.value
      else assert.equal(nameOf(now), 'WSAEWOULDBLOCK')
    }
    for (const [status] of (await Promise.all(ends)) as [string][]) assert.equal(status, 'success')
    client.shutdown(SD_SEND)
    assert.ok((await there).equals(bytesOf(at)))
    assert.equal(journal.count('from.registerRdmaMemory'), 5, 'one for each buffer above the threshold')
  })

  test('WSD-LARGE-1E scenario 17: memory that cannot be registered fails its send with WSAENOBUFS, and loses nothing', async () => {
    let fails = 1
    const san: SanProvider = intercept(loopback({ limits: { rdma: RDMA } }), {
      status: (_, proceed) => proceed(),
      value: (_, proceed) => proceed(),
      notify: (_, proceed) => {
        proceed()
      },
      result: ({ name }, proceed) =>
        name === 'registerRdmaMemory' && fails-- > 0 ? failure(WSA.WSAENOBUFS) : proceed(),
    })
    const { client, server } = await connected(program(san))
    const there = readToEnd(server)
    const [before, first, again] = [told(), told(), told()]
    client.send(bytesOf(5), 0, before.overlapped)
    client.send(bytesOf(100_000, 5), 0, first.overlapped)
    assert.deepEqual(await first.ended, ['WSAENOBUFS', 0])
    assert.equal(nameOf(client.getOverlappedResult(first.overlapped)), 'WSAENOBUFS')
    client.send(bytesOf(100_000, 5), 0, again.overlapped)
    assert.deepEqual(await again.ended, ['success', 100_000])
    // Part of a send has left already: the rest of it is written.
    fails = 1
    const [mixed, rest] = [told(), [bytesOf(9, 100_005), bytesOf(80_000, 100_014)]]
    client.send(rest, 0, mixed.overlapped)
    assert.deepEqual(await mixed.ended, ['success', 80_009])
    client.shutdown(SD_SEND)
    assert.ok((await there).equals(bytesOf(180_014)))
  })

  test('WSD-BLOCK-5 WSD-BLOCK-6 WSD-LARGE-4E one that is taken back ends when the peer has read it; else the connection is reset', async () => {
    const clock = new FakeClock()
    for (const isRead of [true, false]) {
      const { client, server } = await connected(program(loopback({ limits: { rdma: RDMA } }), { clock }))
      const [large, behind] = [told(), told()]
      client.send(bytesOf(200_000), 0, large.overlapped)
      client.send(bytesOf(10, 200_000), 0, behind.overlapped)
      await turns(4)
      assert.equal(client.cancel(large.overlapped), 0)
      await turns(4)
      assert.equal(large.times(), 0, 'its memory is not the application’s yet')
      if (isRead) {
        assert.equal(await server.blocking.recv(Buffer.alloc(200_010), { flags: 8 }), 200_010)
        assert.deepEqual(await large.ended, ['success', 200_000])
        assert.deepEqual(await behind.ended, ['success', 10])
        clock.advance(1000)
        await client.blocking.send(bytesOf(10, 200_010))
        assert.equal(await server.blocking.recv(Buffer.alloc(10)), 10, 'its time was over with it')
      } else {
        clock.advance(999)
        await turns(4)
        assert.equal(large.times(), 0)
        clock.advance(1)
        assert.deepEqual(await large.ended, ['WSA_OPERATION_ABORTED', 0])
        assert.deepEqual(await behind.ended, ['WSA_OPERATION_ABORTED', 0])
        await assert.rejects(server.blocking.recv(Buffer.alloc(200_010), { flags: 8 }), {
          code: 'WSAECONNRESET',
        })
      }
      assert.equal(client.closesocket(), 0)
    }
  })

  const UPCALLS = ['completeOverlappedRequest', 'closeSocketHandle']

  /** Loopback with slow reads; `status` sees its calls. */
  function slow(status: (name: string, proceed: () => Status) => Status): SanProvider {
    return intercept(loopback({ limits: { rdma: RDMA }, slowReads: true }), {
      status: ({ name }, proceed) => status(name, proceed),
      value: (_, proceed) => proceed(),
      notify: (_, proceed) => {
        proceed()
      },
      result: (_, proceed) => proceed(),
    })
  }

  for (const [how, ends] of [
    ['cancel', ['success', 200_000]],
    ['cancel one for all', ['success', 200_000]],
    ['cancel one for more', ['WSA_OPERATION_ABORTED', 0]],
    ['close', ['WSA_OPERATION_ABORTED', 0]],
    ['shutdown', ['WSAESHUTDOWN', 0]],
  ] as const) {
    test(`WSD-BLOCK-5 a receive that the provider is filling ends once its buffer is the application’s again (${how})`, async () => {
      let began = (): void => undefined
      const beginning = new Promise<void>((resolve) => (began = resolve))
      // What completes from then on is told when the test says so.
      let held: (() => unknown)[] | undefined
      const san = slow((name, proceed) => {
        if (UPCALLS.includes(name) && held !== undefined) {
          held.push(proceed)
          return 0
        }
        const status = proceed()
        if (name !== 'rdmaRead' || status !== WSA.WSA_IO_PENDING) return status
        held = []
        began()
        return status
      })
      const { client, server } = await connected(program(san))
      client.send(bytesOf(200_000), 0, told().overlapped)
      const [first, behind] = [told(), told()]
      const target = Buffer.alloc(how === 'cancel one for more' ? 200_001 : 200_000)
      server.recv(target, how.includes('one for') ? MSG_WAITALL : 0, first.overlapped)
      server.recv(Buffer.alloc(10), 0, behind.overlapped)
      await beginning
      const isCancelled = how.startsWith('cancel')
      if (isCancelled) assert.equal(server.cancel(first.overlapped), 0)
      else if (how === 'close') assert.equal(server.closesocket(), 0)
      else assert.equal(server.shutdown(SD_RECEIVE), 0)
      await turns(4)
      assert.equal(first.times(), 0)
      const completions = held ?? []
      held = undefined
      for (const complete of completions) complete()
      assert.deepEqual(await within(first.ended, 10_000, 'the receive'), ends)
      if (!isCancelled) assert.deepEqual(await behind.ended, ends)
      assert.deepEqual([first.times(), behind.times()], [1, isCancelled ? 0 : 1])
    })
  }

  for (const slowReads of [false, true]) {
    test(`WSD-XFER-18 a receive for all takes small and large buffers as they come, behind one another (${slowReads ? 'slow' : 'direct'})`, async () => {
      const { client, server } = await pairOf({ slowReads })
      const sizes = [10, 200_000, 7, 100_000, 100_000]
      const all = sizes.reduce((sum, size) => sum + size)
      let at = 0
      for (const size of sizes) {
        client.send(bytesOf(size, at), 0, told().overlapped)
        at += size
      }
      const [target, received] = [Buffer.alloc(all), told()]
      server.recv(target, MSG_WAITALL, received.overlapped)
      assert.deepEqual(await within(received.ended, 10_000, 'the receive'), ['success', all])
      assert.ok(target.equals(bytesOf(all)))
    })
  }

  test('EXPOSE-4 a send ends when its memory can be taken back, and not before', async () => {
    let busy = 2
    const san = slow((name, proceed) =>
      name === 'deregisterRdmaMemory' && busy-- > 0 ? WSA.WSAEINVAL : proceed(),
    )
    const { client, server } = await connected(program(san))
    const sent = told()
    client.send(bytesOf(200_000), 0, sent.overlapped)
    assert.equal(await server.blocking.recv(Buffer.alloc(200_000), { flags: 8 }), 200_000)
    await turns(4)
    assert.deepEqual([sent.times(), busy], [0, 1])
    for (const left of [0, -1]) {
      await server.blocking.send(Buffer.from('x'))
      await client.blocking.recv(Buffer.alloc(1))
      await turns(4)
      assert.equal(busy, left)
    }
    assert.deepEqual(await sent.ended, ['success', 200_000])
  })

  test('WSD-BLOCK-5 of one that is longer than can be exposed at once, the rest is not sent', async () => {
    const { client, server } = await connected(program(loopback({ limits: { rdma: RDMA } })))
    const long = told()
    client.send(bytesOf(3 * MAX_RDMA), 0, long.overlapped)
    await turns(4)
    client.cancel(long.overlapped)
    assert.equal(await server.blocking.recv(Buffer.alloc(MAX_RDMA), { flags: 8 }), MAX_RDMA)
    assert.deepEqual(await long.ended, ['WSA_OPERATION_ABORTED', 0])
    client.shutdown(SD_SEND)
    assert.equal((await readToEnd(server)).length, 0)
  })

  test('WSD-CLOSE-4 a close with one under way ends it, once, and cuts the peer off', async () => {
    for (const linger of [-1, 0]) {
      const { client, server, journal } = await pairOf({ slowReads: true })
      client.setsockopt('SO_LINGER', linger)
      const [large, behind, receive] = [told(), told(), told()]
      client.send(bytesOf(300_000), 0, large.overlapped)
      client.send(bytesOf(300_000), 0, behind.overlapped)
      client.recv(Buffer.alloc(1), 0, receive.overlapped)
      await turns(4)
      assert.equal(client.closesocket(), 0)
      for (const op of [large, behind, receive]) {
        assert.deepEqual(await op.ended, ['WSA_OPERATION_ABORTED', 0])
      }
      await assert.rejects(server.blocking.recv(Buffer.alloc(300_000), { flags: 8 }), {
        code: 'WSAECONNRESET',
      })
      await turns(4)
      assert.deepEqual(
        [large, behind, receive].map(({ times }) => times()),
        [1, 1, 1],
      )
      assert.equal(journal.count('from^closeSocketHandle'), 1)
    }
  })

  test('WSD-CLOSE-19 a longer SO_LINGER waits until the peer has read it', async () => {
    const { client, server } = await pairOf({})
    client.setsockopt('SO_LINGER', 30)
    const large = told()
    client.send(bytesOf(300_000), 0, large.overlapped)
    assert.equal(nameOf(client.closesocket()), 'WSAEWOULDBLOCK')
    const there = readToEnd(server)
    await client.blocking.close()
    assert.deepEqual(await large.ended, ['success', 300_000])
    assert.ok((await there).equals(bytesOf(300_000)))
  })

  test('a peer that goes while it reads ends it with WSAECONNRESET', async () => {
    const { client, server } = await pairOf({})
    const large = told()
    client.send(bytesOf(300_000), 0, large.overlapped)
    await turns(4)
    server.closesocket()
    assert.deepEqual(await large.ended, ['WSAECONNRESET', 0])
  })
})
