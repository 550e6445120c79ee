/**
 * Kills its peer, again and again, at random moments of a busy time, and looks at what that does to its own end.
 * `kill.js switched|stock KILLS SEED`; by hand, switched:
 *
 *     node --expose-gc --require ./dist/register.cjs dist/test/chaos/kill.js switched 1000 1
 */
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import { App, beside } from '../support/app.ts'
import { say } from '../support/app-side.ts'
import { censusOf, leftovers, strayFiles, unixNames } from '../support/census.ts'
import { positive, Random } from '../support/random.ts'
import { deferred, eventually, within } from '../support/waiting.ts'
import { complaintAbout, Load } from './load.ts'

/** After this long without an end, a connection to a dead peer hangs. */
const HANG_MS = 10_000
const MOST_CONNECTIONS = 40
/** Descriptors of a kind that may be made at the first connection and stay, such as those of one event loop. */
const KEPT = 4

const switched = process.argv[2] === 'switched'
const kills = positive('KILLS', process.argv[3])
const seed = positive('SEED', process.argv[4])
const tally: Record<string, number> = {}

/** Accepts what killed clients make; a connection that is accepted after its round is over belongs to nobody. */
class Acceptor {
  readonly #server = net.createServer((socket) => {
    socket.on('error', () => undefined)
    if (this.take === undefined) socket.destroy()
    else this.take(socket)
  })
  take: ((socket: net.Socket) => void) | undefined

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

interface Encounter {
  readonly peer: App
  /** Where the peer listens, if it does. */
  readonly port: number | undefined
}

/** Starts a peer that echoes, and `count` connections with it, in whichever direction `role` says. */
async function meet(
  role: 'server' | 'client',
  count: number,
  acceptor: Acceptor,
  load: (socket: net.Socket) => void,
): Promise<Encounter> {
  if (role === 'client') {
    acceptor.take = load
    const args = [role, String(acceptor.port), String(count)]
    const peer = new App(beside(import.meta.url, 'echo'), { switched, args })
    await within(peer.next(), HANG_MS, 'the peer to start')
    return { peer, port: undefined }
  }
  const peer = new App(beside(import.meta.url, 'echo'), { switched, args: [role] })
  const port = (await within(peer.next(), HANG_MS, 'the peer to listen'))['port'] as number
  for (let made = 0; made < count; made += 1) load(net.connect(port, '127.0.0.1'))
  return { peer, port }
}

async function round(random: Random, acceptor: Acceptor): Promise<void> {
  const role = random.pick(['server', 'client'] as const)
  const count = random.between(1, MOST_CONNECTIONS)
  const loads: Load[] = []
  const enough = deferred()
  let bytesToGo = random.sized(1, 8_000_000)
  const { peer, port } = await meet(role, count, acceptor, (socket) => {
    const load = new Load(socket, random.fork(), (bytes) => {
      bytesToGo -= bytes
      if (bytesToGo <= 0) enough.resolve(undefined)
    })
    loads.push(load)
  })
  // The moment: after some bytes, or after some time, which may be while connections are still being made.
  const pause = new Promise((resolve) => setTimeout(resolve, random.between(0, 60)))
  await (random.chance(0.5) ? Promise.race([enough.promise, pause]) : pause)

  peer.kill('SIGKILL')
  if (random.chance(0.5)) for (const load of loads) load.resume()
  await within(peer.exited, HANG_MS, 'the peer to die')
  await peer.end()
  await settle(loads)
  acceptor.take = undefined
  if (port !== undefined) await expectRefused(port)
}

/** Waits for the end of all connections, and of those that the listener still had in its queue. */
async function settle(loads: readonly Load[]): Promise<void> {
  const finished = async (): Promise<void> => {
    for (let seen = -1; seen !== loads.length;) {
      seen = loads.length
      for (const load of loads) load.resume()
      await Promise.all(loads.map((load) => load.over))
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const hanging = (): string => loads.filter((load) => !load.isOver).join('\n')
  await within(
    finished(),
    HANG_MS,
    () => `the end of connections to a dead peer, of ${loads.length}:\n${hanging()}`,
  )
  for (const load of loads) {
    const outcome = await load.over
    const complaint = complaintAbout(outcome)
    if (complaint !== undefined)
      throw new Error(`A connection went wrong: ${complaint} ${JSON.stringify(outcome)}`)
    const how = outcome.error ?? 'end'
    tally[how] = (tally[how] ?? 0) + 1
  }
}

/** Nobody listens where the dead peer did, and nothing of it is left that would say otherwise. */
async function expectRefused(port: number): Promise<void> {
  const answer = deferred<string>()
  const socket = net.connect(port, '127.0.0.1')
  socket.on('connect', () => {
    answer.resolve('connected')
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    answer.resolve(error.code ?? error.message)
  })
  const result = await within(answer.promise, HANG_MS, 'a connect to a dead server')
  socket.destroy()
  if (result !== 'ECONNREFUSED') throw new Error(`A connect to a dead server ended with ${result}`)
  const left = (): string[] => namesWith(port)
  await eventually(
    () => left().length === 0,
    HANG_MS,
    () => `the names of a dead server to go: ${left().join()}`,
  )
}

function namesWith(port: number): string[] {
  return unixNames().filter((name) => new RegExp(`\\b${port}\\b`).test(name))
}

async function main(): Promise<void> {
  const random = new Random(seed)
  const filesBefore = strayFiles()
  const acceptor = new Acceptor()
  await acceptor.listen()
  const before = censusOf()
  for (let done = 0; done < kills; done += 1) {
    try {
      await round(random.fork(), acceptor)
    } catch (error) {
      throw new Error(`In round ${done} of seed ${seed}`, { cause: error })
    }
    if ((done + 1) % 100 === 0) say({ progress: done + 1, tally })
  }
  const listened = acceptor.port
  await acceptor.close()
  const left = (): string[] => [
    ...leftovers(before, censusOf(), KEPT),
    ...namesWith(listened).map((name) => `name ${name}`),
    ...strayFiles().filter((file) => !filesBefore.includes(file)),
  ]
  await eventually(
    () => left().length === 0,
    HANG_MS,
    () => `what is left after ${kills} kills to go: ${left().join('; ')}`,
  )
  say({ done: true, kills, seed, tally, census: censusOf() })
}

say({ seed, kills, switched })
await main()
