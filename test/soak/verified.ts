/**
 * One end of the soak: `verified.js server SEED CONNECTIONS BYTES` says its port, and `verified.js client SEED
 * CONNECTIONS BYTES PORT [HOST]` connects to it, as `verified.js server SEED CONNECTIONS BYTES 0 HOST` listens elsewhere. Both draw the same plan from the seed; each sends its own byte streams, BYTES
 * in all, and verifies every byte of the other's.
 */
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { say } from '../support/app-side.ts'
import { Pattern } from '../support/pattern.ts'
import { positive, Random } from '../support/random.ts'
import { deferred } from '../support/waiting.ts'
import { pieceBytes, plan } from './plan.ts'
import type { ConnectionPlan } from './plan.ts'

type Role = 'client' | 'server'

/** Chances and lengths of the pauses that are part of the soak. */
const WRITER_RESTS = { chance: 0.01, mostMs: 5 } as const
const READER_RESTS = { chance: 0.02, mostMs: 10 } as const

const LOOPBACK = '127.0.0.1'
const MAX_TRIES = 200
const CONNECTING_AT_ONCE = 10

const role = process.argv[2] as Role
const [, , , seed, connections, bytesEachWay, port, host = LOOPBACK] = process.argv
const plans = plan(
  positive('SEED', seed),
  positive('CONNECTIONS', connections),
  positive('BYTES', bytesEachWay),
)

function rest(random: Random, { chance, mostMs }: { chance: number; mostMs: number }): number | undefined {
  return random.chance(chance) ? random.between(0, mostMs) : undefined
}

/** Sends this end's stream of `plan`, then the end of it. */
async function send(socket: Socket, { bytes, keys }: ConnectionPlan, random: Random): Promise<void> {
  const pattern = new Pattern(keys[role])
  for (let sent = 0; sent < bytes[role];) {
    const length = pieceBytes(random, bytes[role] - sent)
    const piece = pattern.slice(sent, length)
    const asText = random.chance(0.1)
    const more = asText ? socket.write(piece.toString('latin1'), 'latin1') : socket.write(piece)
    sent += length
    if (!more) {
      const drained = deferred()
      socket.once('drain', () => {
        drained.resolve(undefined)
      })
      await drained.promise
    }
    const ms = rest(random, WRITER_RESTS)
    if (ms !== undefined) await new Promise((resolve) => setTimeout(resolve, ms))
  }
  socket.end()
}

/** Resolves when the other end's stream of `plan` has come whole and is over. */
function receive(socket: Socket, { index, bytes, keys }: ConnectionPlan, random: Random): Promise<void> {
  const other = role === 'client' ? 'server' : 'client'
  const pattern = new Pattern(keys[other])
  const whole = deferred()
  let received = 0
  socket.on('data', (data) => {
    const damage = pattern.damageIn(data, received)
    if (damage !== undefined) fail(`wrong byte at ${damage} of connection ${index}, from the ${other}`)
    received += data.length
    const ms = rest(random, READER_RESTS)
    if (ms === undefined) return
    socket.pause()
    setTimeout(() => socket.resume(), ms)
  })
  socket.on('end', () => {
    if (received !== bytes[other])
      fail(`connection ${index} ended after ${received} of ${bytes[other]} bytes`)
    whole.resolve(undefined)
  })
  return whole.promise
}

function fail(what: string): never {
  throw new Error(`Soak failed in the ${role}: ${what}`)
}

async function carry(socket: Socket, plan: ConnectionPlan): Promise<void> {
  const random = new Random(plan.seed + (role === 'client' ? 0 : 1))
  const received = receive(socket, plan, random.fork())
  const mineIsSecond = plan.turns !== 'together' && !plan.turns.startsWith(role)
  if (mineIsSecond) await received
  await Promise.all([send(socket, plan, random.fork()), received])
}

const closed: Promise<void>[] = []

function adopt(socket: Socket): Socket {
  socket.on('error', (error) => fail(String(error)))
  const gone = deferred()
  closed.push(gone.promise)
  socket.on('close', () => {
    gone.resolve(undefined)
  })
  return socket
}

/** The first two bytes of a connection are its index in the plan; undefined for one that only tries the way. */
async function indexOf(socket: Socket): Promise<number | undefined> {
  for (;;) {
    const head = socket.read(2) as Buffer | null
    if (head !== null) return head.readUInt16BE()
    if (socket.readableEnded) return undefined
    const news = deferred()
    for (const event of ['readable', 'end'])
      socket.once(event, () => {
        news.resolve(undefined)
      })
    await news.promise
  }
}

/** Between hosts the first connects find the link still coming up, and stay on TCP/IP: waits until one does not. */
async function tryTheWay(port: number): Promise<void> {
  for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
    const socket = net.connect({ port, host })
    await once(socket, 'connect')
    const { fd } = (socket as Socket & { _handle: { fd: number } })._handle
    socket.end().resume()
    await once(socket, 'close')
    if (fd === -1) return
  }
}

async function serve(): Promise<void> {
  const all = deferred()
  const work: Promise<void>[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    adopt(socket)
    void indexOf(socket).then((index) => {
      if (index === undefined) {
        socket.end()
        return
      }
      work.push(carry(socket, plans[index] ?? fail(`no connection ${index} is planned`)))
      if (work.length === plans.length) all.resolve(undefined)
    })
  })
  server.listen(0, host, () => {
    say({ port: (server.address() as AddressInfo).port })
  })
  await all.promise
  server.close()
  await Promise.all(work)
}

async function connect(port: number): Promise<void> {
  if (host !== LOOPBACK) await tryTheWay(port)
  const sockets: Socket[] = []
  // All connect before any carries, and a few at a time, so that the work of some does not make others miss their handshake.
  while (sockets.length < plans.length) {
    const group = plans
      .slice(sockets.length, sockets.length + CONNECTING_AT_ONCE)
      .map(() => adopt(net.connect({ port, host, allowHalfOpen: true })))
    sockets.push(...group)
    await Promise.all(group.map(async (socket) => once(socket, 'connect')))
  }
  await Promise.all(
    plans.map(async (each, at) => {
      const socket = sockets[at] ?? fail('a socket is missing')
      const head = Buffer.alloc(2)
      head.writeUInt16BE(each.index)
      socket.write(head)
      await carry(socket, each)
    }),
  )
}

const started = performance.now()
// A listener waits until every provider runs: the connects find them there.
if (role === 'client') net.createServer().listen(0).close()
if (role === 'client') say({ connecting: plans.length })
await (role === 'server' ? serve() : connect(positive('PORT', port)))
await Promise.all(closed)
const total = plans.reduce((sum, { bytes }) => sum + bytes.client + bytes.server, 0)
say({
  done: true,
  role,
  connections: closed.length,
  bytes: total,
  ms: Math.round(performance.now() - started),
})
