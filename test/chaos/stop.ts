/**
 * Stops one of its two peers for a while (SIGSTOP): connections to the other go on as if nothing were, a write to the
 * stopped one does not block, a connect to it does not hang, and everything arrives once it goes on (SIGCONT).
 */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import type { Socket } from 'node:net'
import { App, beside } from '../support/app.ts'
import { say } from '../support/app-side.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { Pattern } from '../support/pattern.ts'
import { deferred, eventually, within } from '../support/waiting.ts'

const LIMIT_MS = 10_000
const CONNECTIONS = 5
const ROUND_TRIPS = 300
const LARGE_BYTES = 4 << 20
const PIECE_BYTES = 1 << 16

/** Descriptors of a kind that may be made at the first connection and stay, such as those of one event loop. */
const KEPT = 4

const switched = process.argv[2] === 'switched'

interface Peer {
  readonly app: App
  readonly port: number
  readonly sockets: readonly Socket[]
}

async function connect(port: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true })
  await within(once(socket, 'connect'), LIMIT_MS, 'a connect')
  return socket
}

async function once(socket: Socket, event: 'connect' | 'end' | 'close'): Promise<void> {
  const happened = deferred()
  const onError = (error: Error): void => {
    happened.reject(error)
  }
  socket.once('error', onError)
  socket.once(event, () => {
    happened.resolve(undefined)
  })
  await happened.promise
  socket.off('error', onError)
}

async function startPeer(): Promise<Peer> {
  const app = new App(beside(import.meta.url, 'echo'), { switched, args: ['server'] })
  const { port } = await within(app.next(), LIMIT_MS, 'a peer to listen')
  const sockets = await Promise.all(Array.from({ length: CONNECTIONS }, () => connect(port as number)))
  return { app, port: port as number, sockets }
}

/** Sends `length` bytes of the stream `key` and waits until they have come back as they were. */
async function roundTrip(socket: Socket, key: number, length: number): Promise<void> {
  const pattern = new Pattern(key)
  const back = deferred()
  let received = 0
  const onData = (data: Buffer): void => {
    if (pattern.damageIn(data, received) !== undefined)
      back.reject(new Error(`damage after ${received} bytes`))
    received += data.length
    if (received === length) back.resolve(undefined)
  }
  const onError = (error: Error): void => {
    back.reject(error)
  }
  socket.on('data', onData).on('error', onError)
  for (let sent = 0; sent < length; sent += PIECE_BYTES) {
    socket.write(pattern.slice(sent, Math.min(PIECE_BYTES, length - sent)))
  }
  await back.promise
  socket.off('data', onData).off('error', onError)
}

async function manyRoundTrips(sockets: readonly Socket[]): Promise<void> {
  await Promise.all(
    sockets.map(async (socket, at) => {
      for (let done = 0; done < ROUND_TRIPS; done += 1)
        await roundTrip(socket, at * ROUND_TRIPS + done, 64 + done)
    }),
  )
}

function stateOf(app: App): string {
  return /\) (\S)/.exec(readFileSync(`/proc/${app.pid}/stat`, 'utf8'))?.[1] ?? ''
}

async function close(peer: Peer): Promise<void> {
  await Promise.all(
    peer.sockets.map(async (socket) => {
      const closed = once(socket, 'close')
      socket.end()
      await closed
    }),
  )
  await peer.app.end()
}

async function round(): Promise<number> {
  const [stopped, running] = [await startPeer(), await startPeer()]
  await within(
    manyRoundTrips([...stopped.sockets, ...running.sockets]),
    LIMIT_MS,
    'round trips before the stop',
  )

  stopped.app.kill('SIGSTOP')
  await eventually(
    () => stateOf(stopped.app) === 'T',
    LIMIT_MS,
    () => `the peer to stop (${stateOf(stopped.app)})`,
  )
  const large = stopped.sockets.map((socket, at) => roundTrip(socket, at, LARGE_BYTES))
  await within(manyRoundTrips(running.sockets), LIMIT_MS, 'round trips with the peer that runs')
  const added = await connect(running.port)
  await within(roundTrip(added, 7, 100_000), LIMIT_MS, 'a new connection to the peer that runs')
  // The kernel completes a TCP connect without the peer; so a switched one may not wait for it either.
  const asked = performance.now()
  const early = await connect(stopped.port)
  const connectMs = performance.now() - asked
  const answered = roundTrip(early, 8, 1000)

  stopped.app.kill('SIGCONT')
  await within(Promise.all([...large, answered]), LIMIT_MS, 'what was sent to the stopped peer')
  await close({ ...stopped, sockets: [...stopped.sockets, early] })
  await close({ ...running, sockets: [...running.sockets, added] })
  return connectMs
}

say({ switched })
const before = censusOf()
await round()
const connectMs = await round()
await eventually(
  () => leftovers(before, censusOf(), KEPT).length === 0,
  LIMIT_MS,
  () => `what is left to go: ${leftovers(before, censusOf(), KEPT).join('; ')}`,
)
say({ done: true, connectMs: Math.round(connectMs), census: censusOf() })
