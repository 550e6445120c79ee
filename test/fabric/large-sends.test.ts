/** Large sends over Winsock between two processes and a fabric: read by the peer where they are, or through the ring, and never lost. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { SD_SEND } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import type { FabricLimits, FabricProvider } from '../../src/providers/fabric/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { FABRIC_UNDER_TEST, fabricProvider, noFabric } from '../support/fabric-provider.ts'
import { Pattern } from '../support/pattern.ts'
import { cleanUp, program, told, valueOf } from '../winsock/pair.ts'
import type { Program } from '../winsock/pair.ts'

const skip = noFabric()
const SIDE = fileURLToPath(new URL('large-side.js', import.meta.url))
const THRESHOLD = 256 << 10
/** More than can be exposed at once. */
const OFF = 2 ** 40
/** The longest stretch that is exposed at once. */
const LONGEST = 4 << 20
const SIZES = [1, THRESHOLD, THRESHOLD + 1, 1 << 20, 3_000_000, 5, LONGEST + THRESHOLD + 2]
const TOTAL = SIZES.reduce((sum, size) => sum + size, 0)
/** Each stretch above the threshold is one block. */
function blocksOf(sizes: readonly number[]): readonly number[] {
  const stretches = sizes.flatMap((size) => [
    ...Array<number>(Math.floor(size / LONGEST)).fill(LONGEST),
    size % LONGEST,
  ])
  return stretches.filter((size) => size > THRESHOLD)
}

/** A receiver with small buffers reads a block in so many pieces of 1 MiB. */
function piecesOf(blocks: readonly number[]): number {
  return blocks.reduce((sum, length) => sum + Math.ceil(length / (1 << 20)), 0)
}

const alive = setInterval(() => undefined, 1000)
const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
  cleanUp()
  clearInterval(alive)
})

interface Side {
  readonly child: ChildProcess
  readonly address: SocketAddress
  /** RDMA reads that it has made. */
  readonly reads: () => Promise<number>
}

async function sideWith(bytesAtOnce: number, limits: Partial<FabricLimits> = {}): Promise<Side> {
  const child = fork(SIDE, [JSON.stringify({ bytesAtOnce, limits: { readBytes: THRESHOLD, ...limits } })])
  children.add(child)
  const [{ address }] = (await once(child, 'message')) as [{ address: SocketAddress }]
  const reads = async (): Promise<number> => {
    child.send('reads')
    const [answer] = (await once(child, 'message')) as [{ reads: number }]
    return answer.reads
  }
  return { child, address, reads }
}

async function end({ child }: Side): Promise<void> {
  const exit = once(child, 'exit')
  child.send('end')
  assert.deepEqual(await exit, [0, null])
}

function near(limits: Partial<FabricLimits> = {}): {
  readonly fabric: FabricProvider
  readonly one: Program
} {
  const fabric = fabricProvider({ limits: { readBytes: THRESHOLD, patienceMs: 10_000, ...limits } })
  return { fabric, one: program(fabric, { schedule: fabric.schedule }) }
}

/** Connects over the fabric: the first attempts may find the link still coming up. */
async function connect({ winsock }: Program, address: SocketAddress): Promise<WinsockSocket> {
  for (;;) {
    const socket = valueOf(winsock.socket())
    await socket.blocking.connect(address)
    if (socket.provider === 'fabric') return socket
    socket.closesocket()
  }
}

/** Sends one of each size, and checks what comes back, `bytesAtOnce` at a time. */
async function exchange(socket: WinsockSocket, bytesAtOnce: number): Promise<void> {
  const pattern = new Pattern(1)
  let at = 0
  for (const size of SIZES) {
    assert.equal(await socket.blocking.send(pattern.copy(at, size)), size)
    at += size
  }
  socket.shutdown(SD_SEND)
  const verdict = Buffer.alloc(4)
  assert.equal(await socket.blocking.recv(verdict, { flags: 8 }), 4)
  assert.equal(verdict.readUInt32LE(), 0, 'the other side found damage')
  const answer = new Pattern(2)
  const buffer = Buffer.alloc(bytesAtOnce)
  let total = 0
  for (let read = -1; read !== 0; total += read) {
    read = await socket.blocking.recv(buffer)
    assert.equal(answer.damageIn(buffer.subarray(0, read), total), undefined)
  }
  assert.equal(total, TOTAL)
  socket.closesocket()
}

describe(
  'large sends over a fabric',
  { skip, timeout: FABRIC_UNDER_TEST === 'tcp' ? 60_000 : 600_000 },
  () => {
    test('WSD-LARGE-2 WSD-LARGE-R3 scenario 15: above the threshold the peer reads straight into its application\u2019s buffer', async () => {
      const [side, { fabric, one }] = [await sideWith(LONGEST), near()]
      await exchange(await connect(one, side.address), LONGEST)
      assert.equal(await side.reads(), blocksOf(SIZES).length)
      const answer = blocksOf([TOTAL])
      assert.equal(fabric.stats.reads, answer.length)
      assert.equal(
        fabric.stats.readBytes,
        answer.reduce((sum, length) => sum + length, 0),
      )
      await end(side)
    })

    test('WSD-LARGE-6E a peer with small buffers reads more at a time than fits into them', async () => {
      const [side, { fabric, one }] = [await sideWith(50_000), near()]
      await exchange(await connect(one, side.address), 50_000)
      assert.equal(await side.reads(), piecesOf(blocksOf(SIZES)))
      assert.equal(fabric.stats.reads, piecesOf(blocksOf([TOTAL])))
      await end(side)
    })

    for (const [who, here, there] of [
      ['here', { readBytes: OFF }, {}],
      ['there', {}, { readBytes: OFF }],
    ] as const) {
      test(`WSD-LARGE-3 where they are turned off ${who}, everything goes through the ring`, async () => {
        const [side, { fabric, one }] = [await sideWith(LONGEST, there), near(here)]
        await exchange(await connect(one, side.address), LONGEST)
        assert.deepEqual([await side.reads(), fabric.stats.reads], [0, 0])
        await end(side)
      })
    }

    test('WSD-LARGE-4E connections that are cut off in the middle of one leave the others of their link alone', async () => {
      const [side, { fabric, one }] = [await sideWith(1 << 20), near()]
      const lasting = await connect(one, side.address)
      const whole = exchange(lasting, LONGEST)
      for (let i = 0; i < 10; i++) {
        const socket = await connect(one, side.address)
        const [first, second] = [told(), told()]
        socket.send(new Pattern(1).copy(0, 3 << 20), 0, first.overlapped)
        socket.send(new Pattern(1).copy(3 << 20, 8 << 20), 0, second.overlapped)
        await first.ended
        // The second one is being read, or is about to be.
        socket.setsockopt('SO_LINGER', 0)
        socket.closesocket()
        assert.equal((await second.ended)[0], 'WSA_OPERATION_ABORTED')
      }
      await whole
      assert.deepEqual([fabric.stats.links, fabric.stats.errors], [1, 0])
      await end(side)
    })

    test('WSD-LARGE-4E a receive that the provider is filling ends with its connection, once its buffer is the application\u2019s', async () => {
      const [side, { fabric, one }] = [await sideWith(LONGEST), near()]
      for (let i = 0; i < 10; i++) {
        const { reads } = fabric.stats
        const socket = await connect(one, side.address)
        await socket.blocking.send(new Pattern(1).copy(0, 4 << 20))
        socket.shutdown(SD_SEND)
        assert.equal(await socket.blocking.recv(Buffer.alloc(4), { flags: 8 }), 4)
        const received = told()
        socket.recv(Buffer.alloc(4 << 20), 8, received.overlapped)
        while (fabric.stats.reads === reads) await new Promise((resolve) => setImmediate(resolve))
        socket.closesocket()
        const [status, bytes] = await received.ended
        assert.deepEqual(
          [received.times(), status === 'success' ? bytes : 0],
          [1, status === 'success' ? 4 << 20 : 0],
        )
      }
      await end(side)
    })

    test('a peer that is killed while it reads ends the send', async () => {
      const [side, { one }] = [await sideWith(1 << 20), near()]
      const socket = await connect(one, side.address)
      const sends = Array.from({ length: 4 }, (_, i) => {
        const sent = told()
        socket.send(new Pattern(1).copy(i * LONGEST, LONGEST), 0, sent.overlapped)
        return sent.ended
      })
      await sends[0]
      side.child.kill('SIGKILL')
      const [status] = (await sends[3]) ?? []
      assert.notEqual(status, 'success')
    })
  },
)
