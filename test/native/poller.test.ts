/** The poller: wakes for links and for local work, sleeps otherwise, and ends with its event loop, in any thread. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { spawnSync } from 'node:child_process'
import { Worker } from 'node:worker_threads'
import type { Poller } from '../../src/native/shm.ts'
import { closeAll, freshName, native } from '../attack/channel.ts'
import { beside } from '../support/app.ts'
import { addonPath } from './addon-path.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { deferred, eventually, within } from '../support/waiting.ts'

const TIMEOUT_MS = 60_000
const LIMIT_MS = 10_000
const PRODUCED = 0
const CONSUMED = 16
const EINVAL = -22

/** A link to a worker, on which the worker answers every notification. */
class Echo {
  readonly worker: Worker
  readonly gone: Promise<unknown>
  readonly #own = Echo.#make()
  readonly #ownWords: Int32Array
  #peerWords = new Int32Array(0)
  #doorbell = -1
  #answers = 0
  #heard = deferred()
  readonly #slot: number

  private constructor(slot: number, name: string) {
    this.#slot = slot
    this.#ownWords = new Int32Array(this.#own.buffer)
    this.worker = new Worker(beside(import.meta.url, 'poller-worker'), { workerData: name })
    this.gone = once(this.worker, 'exit')
  }

  static #make(): { readonly fd: number; readonly buffer: ArrayBuffer } {
    const made = native.createMemory(4096)
    if (typeof made === 'number') throw new Error('Cannot make memory')
    return made
  }

  static async start(slot: number): Promise<Echo> {
    const name = freshName()
    const listener = native.listen(name)
    const echo = new Echo(slot, name)
    const linked = once(echo.worker, 'message')
    let channel = -1
    await eventually(
      () => (channel = native.accept(listener)) >= 0,
      LIMIT_MS,
      () => 'the worker to knock',
    )
    let got = native.receive(channel)
    await eventually(
      () => typeof (got = typeof got === 'number' ? native.receive(channel) : got) !== 'number',
      LIMIT_MS,
      () => 'its memory',
    )
    if (typeof got === 'number') throw new Error('Cannot happen')
    const [memory, doorbell] = got.fds as [number, number]
    const mapped = native.mapMemory(memory, 4096)
    if (typeof mapped === 'number') throw new Error('Cannot map')
    echo.#peerWords = new Int32Array(mapped)
    echo.#doorbell = doorbell
    poller.watch(slot, mapped, PRODUCED * 4, echo.#own.buffer, CONSUMED * 4)
    links.set(slot, echo)
    native.send(channel, new Uint8Array([1]), [echo.#own.fd, poller.doorbell])
    await within(linked, LIMIT_MS, 'the worker to link')
    closeAll([memory, listener, channel])
    return echo
  }

  /** Called by the poller: takes what there is. */
  take(): void {
    const produced = Atomics.load(this.#peerWords, PRODUCED)
    if (produced === Atomics.load(this.#ownWords, CONSUMED)) return
    Atomics.store(this.#ownWords, CONSUMED, produced)
    this.#answers += 1
    this.#heard.resolve(undefined)
  }

  async roundTrip(): Promise<void> {
    this.#heard = deferred()
    Atomics.add(this.#ownWords, PRODUCED, 1)
    native.ring(this.#doorbell)
    await within(this.#heard.promise, LIMIT_MS, `answer ${this.#answers + 1}`)
  }

  async end(): Promise<void> {
    await this.worker.terminate()
    await this.gone
    poller.unwatch(this.#slot)
    links.delete(this.#slot)
    native.unmap(this.#own.buffer)
    native.unmap(this.#peerWords.buffer)
    closeAll([this.#own.fd, this.#doorbell])
  }
}

const links = new Map<number, Echo>()
let local = 0
const poller: Poller = new native.Poller(20_000, () => {
  local += 1
  for (const link of links.values()) link.take()
  return false
})
poller.keepAlive(true)
after(() => {
  poller.keepAlive(false)
})

test('wake runs drain soon, once, and lets the loop sleep again', { timeout: TIMEOUT_MS }, async () => {
  const before = local
  poller.wake()
  assert.equal(local, before, 'not from inside the call')
  await eventually(
    () => local > before,
    LIMIT_MS,
    () => 'drain',
  )
  assert.equal(local, before + 1)
})

test('an exception in drain is an uncaught exception of the program, not its crash, and drain goes on', () => {
  const script = `
    const native = require(process.argv[1])
    let calls = 0
    const poller = new native.Poller(0, () => {
      calls += 1
      if (calls === 1) throw new Error('from drain')
      console.log('called again')
      return false
    })
    process.on('uncaughtException', (error) => {
      console.log(error.message)
      poller.wake()
    })
    poller.wake()
    setImmediate(() => setImmediate(() => undefined))`
  const { stdout, status } = spawnSync(process.execPath, ['-e', script, addonPath()], { encoding: 'utf8' })
  assert.deepEqual({ stdout, status }, { stdout: 'from drain\ncalled again\n', status: 0 })
})

test('watch refuses words that are not inside their memory', () => {
  const made = native.createMemory(4096)
  assert.ok(typeof made !== 'number')
  for (const offset of [4096, 4094, 2, 1, 1 << 30]) {
    assert.equal(poller.watch(90, made.buffer, offset, made.buffer, 0), EINVAL)
    assert.equal(poller.watch(90, made.buffer, 0, made.buffer, offset), EINVAL)
  }
  poller.unwatch(90)
  native.unmap(made.buffer)
  native.close(made.fd)
})

test('two threads with a poller each wake one another', { timeout: TIMEOUT_MS }, async () => {
  const echo = await Echo.start(0)
  for (let i = 0; i < 500; i += 1) await echo.roundTrip()
  await echo.end()
})

test('three threads at once: links do not disturb one another', { timeout: TIMEOUT_MS }, async () => {
  const echoes = await Promise.all([Echo.start(0), Echo.start(1)])
  await Promise.all(
    echoes.map(async (echo) => {
      for (let i = 0; i < 300; i += 1) await echo.roundTrip()
    }),
  )
  for (const echo of echoes) await echo.end()
})

test(
  'pitfall 28: a thread is terminated in the middle of its traffic, again and again',
  { timeout: TIMEOUT_MS },
  async () => {
    for (let round = 0; round < 10; round += 1) {
      const echo = await Echo.start(round % 3)
      const traffic = (async () => {
        for (;;) await echo.roundTrip()
      })()
      traffic.catch(() => undefined)
      await new Promise((resolve) => setImmediate(resolve))
      await echo.end()
    }
  },
)

test('a thread that ends gives its doorbell and its status page back', { timeout: TIMEOUT_MS }, async () => {
  await loadInThreads(1)
  const before = censusOf()
  await loadInThreads(5)
  await eventually(
    () => leftovers(before, censusOf()).length === 0,
    LIMIT_MS,
    () => leftovers(before, censusOf()).join('; '),
  )
})

test(
  'pitfall 10: descriptors that a thread opened through the addon end with the thread',
  { timeout: TIMEOUT_MS },
  async () => {
    const opens = `
    const { parentPort, workerData } = require('node:worker_threads')
    const native = require(workerData)
    native.listen('sockswitch/test/' + process.pid)
    native.createMemory(4096)
    native.reserveTcpPort('127.0.0.1', 80)
    parentPort.postMessage('opened')`
    const workerData = addonPath()
    const count = (): number => Object.values(censusOf().descriptors).reduce((all, n) => all + n, 0)
    const idle = new Worker('', { eval: true })
    await once(idle, 'exit')
    const before = count()
    const worker = new Worker(opens, { eval: true, workerData })
    await within(once(worker, 'message'), LIMIT_MS, 'the worker to open')
    await worker.terminate()
    await eventually(
      () => count() <= before,
      LIMIT_MS,
      () => `${count()} descriptors to become ${before}`,
    )
  },
)

test(
  'the addon loads in several threads at once, and in each again after they ended',
  { timeout: TIMEOUT_MS },
  async () => {
    for (let round = 0; round < 3; round += 1) await loadInThreads(4)
  },
)

/** Runs `count` threads at once, each of which makes a poller and ends. */
async function loadInThreads(count: number): Promise<void> {
  const script = beside(import.meta.url, '../attack/eventfd-donor')
  const workers = Array.from({ length: count }, () => new Worker(script, { workerData: freshName() }))
  const codes = Promise.all(workers.map((worker) => once(worker, 'exit') as Promise<[number]>))
  assert.deepEqual(
    (await within(codes, LIMIT_MS, 'the threads to end')).flat(),
    workers.map(() => 0),
  )
}
