import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import type { Result, SocketAddress } from '../../src/spi/index.ts'
import { SD_SEND } from '../../src/faces/winsock/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import type { DelayableCall, FallibleCall } from '../../src/providers/wrap/fault.ts'
import { Pattern } from '../support/pattern.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { Journal, spy } from '../switch/spy.ts'
import { cleanUp, program, readToEnd, valueOf } from './pair.ts'
import type { Program } from './pair.ts'

const SIDE = fileURLToPath(new URL('fault-side.js', import.meta.url))

/** Calls that may fail without the provider's having broken its promises; each fails in turn. */
const FALLIBLE: readonly FallibleCall[] = [
  'startup',
  'addressList',
  'socket',
  'bind',
  'listen',
  'eventSelect',
  'enumNetworkEvents',
  'accept',
  'connect',
  'memory',
  'receive',
  'registerMemory',
  'peerMemory',
  'deregisterMemory',
  'createSocketHandle',
]

const DELAYABLE: readonly DelayableCall[] = [
  'signal',
  'set',
  'completeOverlappedRequest',
  'closeSocketHandle',
]

const PLANS: readonly (readonly [title: string, plan: readonly Fault[]])[] = [
  ...FALLIBLE.flatMap((call) =>
    [1, 2].map((nth) => [`${call} ${nth} fails`, [{ call, nth, error: 'WSAENOBUFS' }]] as const),
  ),
  ...FALLIBLE.map((call) => [`every ${call} fails`, [{ call, error: 'WSAENETDOWN' }]] as const),
  ...DELAYABLE.map((call) => [`every ${call} is late`, [{ call, delayMs: 3 }]] as const),
]

const children = new Set<ChildProcess>()

async function serverWith(plan: readonly Fault[]): Promise<{ child: ChildProcess; address: SocketAddress }> {
  const child = fork(SIDE, [JSON.stringify(plan)])
  children.add(child)
  const [{ address }] = (await once(child, 'message')) as [{ address: SocketAddress }]
  return { child, address }
}

async function end(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.send('end')
  assert.deepEqual(await exit, [0, null])
}

/**
 * Connects, sends, and reads back what was sent, over whoever carries it.
 *
 * @returns `tcpip`, `shm`, or the code with which it ended.
 */
async function talk({ winsock }: Program, address: SocketAddress, key: number): Promise<string> {
  const socket = valueOf(winsock.socket())
  const said = new Pattern(key).slice(0, 100_000)
  try {
    await socket.blocking.connect(address)
    const heard = readToEnd(socket)
    await Promise.all([socket.blocking.send(said).then(() => socket.shutdown(SD_SEND)), heard])
    const echo = await heard
    assert.ok(
      echo.equals(said),
      `${echo.length} of ${said.length} bytes came back, or others, over ${socket.provider ?? 'nobody'}`,
    )
    return socket.provider ?? 'nobody'
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || !String(error.code).startsWith('WSA')) throw error
    return String(error.code)
  } finally {
    socket.closesocket()
  }
}

/** Each fault ends in one of three ways: nobody notices, TCP/IP carries it, or the application gets a code. Never in a hang. */
describe('each call of a provider fails or is late, between two processes', { timeout: 120_000 }, () => {
  let healthy: { child: ChildProcess; address: SocketAddress } | undefined
  before(async () => {
    healthy = await serverWith([])
  })
  after(async () => {
    cleanUp()
    if (healthy !== undefined) await end(healthy.child)
    // Those of tests that failed.
    for (const child of children) child.kill('SIGKILL')
  })

  for (const [title, plan] of PLANS) {
    test(`at the client ${title}`, async (context) => {
      const [shm, journal] = [shmProvider(), new Journal()]
      const one = program(spy(fault(shm, { plan }), 'san', journal), {
        schedule: shm.schedule,
      })
      shm.keepAlive(true)
      context.after(() => {
        one.winsock.cleanup()
        shm.keepAlive(false)
      })
      const ends: string[] = []
      for (let i = 0; i < 3; i++) ends.push(await talk(one, healthy!.address, i))
      // What went wrong once does not go on: the third is carried by somebody.
      if (plan[0] !== undefined && 'nth' in plan[0])
        assert.match(ends[2] ?? '', /^(san|tcpip)$/, ends.join(', '))
      // No switch descriptor is left open; one that is makes this wait until the deadline.
      const made = journal
        .all('san^createSocketHandle')
        .filter(({ result }) => (result as Result<unknown>).ok)
      while (journal.count('san^closeSocketHandle') < made.length) {
        await new Promise((resolve) => setImmediate(resolve))
      }
    })
  }

  for (const [title, plan] of PLANS.filter(([name]) => / 1 fails|late/.test(name))) {
    test(`at the server ${title}`, async (context) => {
      const shm = shmProvider()
      const one = program(shm, { schedule: shm.schedule })
      shm.keepAlive(true)
      context.after(() => {
        one.winsock.cleanup()
        shm.keepAlive(false)
      })
      const { child, address } = await serverWith(plan)
      const ends: string[] = []
      for (let i = 0; i < 3; i++) ends.push(await talk(one, address, i))
      assert.match(ends[2] ?? '', /^(shm|tcpip)$/, ends.join(', '))
      await end(child)
    })
  }
})
