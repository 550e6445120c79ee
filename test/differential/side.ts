import { createHash } from 'node:crypto'
import type http from 'node:http'
import type net from 'node:net'
import type { AddressInfo } from 'node:net'
import { Random } from '../support/random.ts'

/** One end of a scenario: what it may use, and where it writes down what it sees. */
export interface Side {
  readonly net: typeof net
  readonly http: typeof http
  /** Notes an event. Only what stock Node guarantees belongs here: no chunk sizes, no ports, no times. */
  log(text: string): void
  /** Tells the other end something, by a way that is not the connection under test. */
  tell(name: string, value?: unknown): void
  /** Waits for what the other end tells under `name`. */
  hear(name: string): Promise<unknown>
}

/** A little program for two ends, whose logs must read the same on stock Node and switched. */
export interface Scenario {
  readonly name: string
  server(side: Side): unknown
  client(side: Side): unknown
  /** Where the ends run; both ways unless one makes no sense. */
  readonly arrangements?: readonly Arrangement[]
  /** False where no connection is made, or none that the switch carries. */
  readonly connects?: false
  /** Switched where the switch is preloaded only: a part of Node makes the server, and nobody can claim it. */
  readonly needsPreload?: true
}

export type Arrangement = 'two processes' | 'one process'

/** How a side talks of an error: by its code, and the call that failed. */
export function describe(error: Error): string {
  const { code, syscall } = error as NodeJS.ErrnoException
  return [code ?? `${error.name}: ${error.message}`, syscall].filter((word) => word !== undefined).join(' ')
}

/** The two errors that a write to a connection which its peer left can end with; which one, stock leaves to chance. */
export function describeLoss(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return code === 'EPIPE' || code === 'ECONNRESET' ? 'connection lost' : describe(error)
}

export interface WatchOptions {
  /** Reads the stream itself, so `watch` must not set it flowing. */
  readonly noData?: boolean
  /** Its own end and the other's come in any order. */
  readonly noFinish?: boolean
  readonly describe?: (error: Error) => string
}

/** Logs the life of a socket: connect, first data, what came before end, finish, errors, close. */
export function watch(side: Side, socket: net.Socket, label: string, options: WatchOptions = {}): net.Socket {
  const log = (text: string): void => {
    side.log(`${label} ${text}`)
  }
  const received: Buffer[] = []
  socket.on('connect', () => {
    log(`connect (connecting ${socket.connecting}, pending ${socket.pending}, ${socket.readyState})`)
  })
  socket.on('ready', () => {
    log('ready')
  })
  if (options.noData !== true) {
    socket.on('data', (data: Buffer | string) => {
      if (received.length === 0) log('first data')
      received.push(Buffer.from(data as string))
    })
  }
  socket.on('end', () => {
    const what = options.noData === true ? '' : ` after ${digest(Buffer.concat(received))}`
    log(`end${what}${options.noFinish === true ? '' : ` (${socket.readyState})`}`)
  })
  if (options.noFinish !== true) {
    socket.on('finish', () => {
      log('finish')
    })
  }
  socket.on('timeout', () => {
    log('timeout')
  })
  socket.on('error', (error) => {
    log(`error ${(options.describe ?? describe)(error)}`)
  })
  socket.on('close', (hadError) => {
    log(`close (had error ${hadError}, destroyed ${socket.destroyed}, ${socket.readyState})`)
  })
  return socket
}

/** What some bytes were: themselves when few, else how many and their hash. */
export function digest(data: Buffer): string {
  if (data.length <= 40) return JSON.stringify(data.toString('latin1'))
  return `${data.length} bytes ${createHash('sha1').update(data).digest('hex').slice(0, 8)}`
}

/** The same bytes for everyone who asks for `count` of them. */
export function bytes(count: number): Buffer {
  const random = new Random(count)
  const table = Buffer.alloc(Math.min(count, 65_537))
  for (let at = 0; at < table.length; at += 1) table[at] = random.between(0, 255)
  return Buffer.alloc(count, table)
}

export interface Where {
  readonly host: string
  readonly port: number
}

/** Listens, on 127.0.0.1 and any port unless told otherwise, and tells the client where. */
export async function listen(
  side: Side,
  server: net.Server,
  options: net.ListenOptions = {},
): Promise<Where> {
  await new Promise<void>((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, ...options }, resolve)
  })
  const { address, port } = server.address() as AddressInfo
  side.tell('listening', { host: address, port })
  return { host: address, port }
}

const OWN_PORTS = { first: 15_000, count: 15_000 }

/** Below the ports that the kernel gives out: nobody comes to have it, be it to listen or to connect from, that did not ask. */
export function ownPort(): number {
  return OWN_PORTS.first + Math.floor(Math.random() * OWN_PORTS.count)
}

/** A port on which somebody listened a moment ago and nobody does now. */
export async function closedPort(side: Side, host = '127.0.0.1'): Promise<Where> {
  for (;;) {
    const where = { host, port: ownPort() }
    const server = side.net.createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => {
        resolve(false)
      })
      server.listen(where, () => {
        resolve(true)
      })
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return where
  }
}

/** Where the server listens. */
export async function target(side: Side): Promise<Where> {
  return (await side.hear('listening')) as Where
}

/** A server for one connection: it stops listening when that connection is closed. */
export async function serveOne(
  side: Side,
  options: net.ServerOpts,
  onConnection: (socket: net.Socket, server: net.Server) => void,
): Promise<void> {
  const server = side.net.createServer(options, (socket) => {
    side.log('connection')
    onConnection(socket, server)
    socket.on('close', () => server.close())
  })
  server.on('close', () => {
    side.log('server close')
  })
  await listen(side, server)
}

/**
 * Waits, when called, until the connections that `server` has had are closed and their last events told: whether those
 * or the close of a server come first is left to chance, unless the one waits for the other.
 */
export function departures(server: net.Server): () => Promise<void> {
  const closings: Promise<void>[] = []
  server.on('connection', (socket: net.Socket) => closings.push(happens(socket, 'close')))
  return async () => {
    await Promise.all(closings)
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Waits for an event, or for the error that comes instead. */
export async function happens(emitter: NodeJS.EventEmitter, event: string): Promise<void> {
  await new Promise<void>((resolve) =>
    emitter.once(event, () => {
      resolve()
    }),
  )
}

/** Writes `data` piece by piece, waiting for 'drain' whenever the socket asks for it. */
export async function writeAll(socket: net.Socket, data: Buffer, pieceBytes: number): Promise<void> {
  for (let at = 0; at < data.length; at += pieceBytes) {
    const more = socket.write(data.subarray(at, at + pieceBytes))
    if (!more) await happens(socket, 'drain')
  }
}
