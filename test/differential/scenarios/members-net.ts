/** Every member of a socket and of a server, read at each stage of its life. */
/* eslint-disable @typescript-eslint/no-unnecessary-condition -- members of every version of Node, not only of the one that is declared */
import { PassThrough, Readable } from 'node:stream'
import type { Server, Socket } from 'node:net'
import { bytes, departures, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

/** What has no meaning of its own is left to its kind: ports, and addresses with them. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value === 'number') return value > 1023 && value < 65_536 ? 'a port' : value
  if (typeof value === 'string') return value.replace(/:\d{4,5}$/, ':port')
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
  return value === undefined ? 'undefined' : value
}

function membersOfSocket(socket: Socket): Record<string, unknown> {
  const { pending, connecting, readyState, bytesRead, bytesWritten, timeout, destroyed, errored, closed } =
    socket
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket
  const { autoSelectFamilyAttemptedAddresses, allowHalfOpen } = socket
  const { bufferSize } = socket as unknown as { bufferSize: unknown }
  return {
    ...{
      pending,
      connecting,
      readyState,
      bufferSize,
      bytesRead,
      bytesWritten,
      timeout,
      destroyed,
      errored,
      closed,
    },
    ...{ localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily },
    ...{ autoSelectFamilyAttemptedAddresses, allowHalfOpen, address: socket.address() },
  }
}

function membersOfStream(socket: Socket): Record<string, unknown> {
  const { readable, readableDidRead, readableAborted, readableEncoding, readableEnded, readableFlowing } =
    socket
  const { readableHighWaterMark, readableLength, readableObjectMode } = socket
  const { writable, writableCorked, writableEnded, writableFinished, writableHighWaterMark } = socket
  const { writableLength, writableNeedDrain, writableObjectMode } = socket
  const buffers = socket as unknown as {
    readableBuffer: ArrayLike<unknown>
    writableBuffer: ArrayLike<unknown>
  }
  return {
    ...{ readable, readableDidRead, readableAborted, readableEncoding, readableEnded, readableFlowing },
    ...{ readableHighWaterMark, readableLength, readableObjectMode, isPaused: socket.isPaused() },
    ...{ writable, writableCorked, writableEnded, writableFinished, writableHighWaterMark },
    ...{ writableLength, writableNeedDrain, writableObjectMode },
    readableBuffer: buffers.readableBuffer.length,
    writableBuffer: buffers.writableBuffer.length,
  }
}

function note(side: Side, when: string, socket: Socket): void {
  side.log(`${when}: ${JSON.stringify(plain(membersOfSocket(socket)))}`)
  side.log(`${when}: ${JSON.stringify(plain(membersOfStream(socket)))}`)
}

/** Sends the same to everyone, until the client says that it is over. */
async function serveText(side: Side): Promise<void> {
  const server = side.net.createServer((socket) => {
    // Who reads only the first of it leaves before it has everything.
    socket.on('error', () => undefined).end(bytes(100_000).toString('base64'))
  })
  await listen(side, server)
  await side.hear('over')
  server.close()
}

/** Newer and older than the declarations that this is compiled with. */
type Streaming = Readable & { asIndexedPairs?: () => Readable }

const collected = (chunks: readonly string[]): string => digest(Buffer.from(chunks.join('')))

/** What takes the stream of a socket as a sequence; chunks come as they come, so what is seen are sums. */
const SEQUENCES: Readonly<Record<string, (socket: Streaming) => unknown>> = {
  async toArray(socket) {
    return collected((await socket.toArray()) as string[])
  },
  async map(socket) {
    return collected((await socket.map((text: string) => text.toLowerCase()).toArray()) as string[])
  },
  async filter(socket) {
    return collected((await socket.filter((text: string) => text !== '').toArray()) as string[])
  },
  async flatMap(socket) {
    return collected((await socket.flatMap((text: string) => text.split('')).toArray()) as string[])
  },
  async forEach(socket) {
    let count = 0
    await socket.forEach((text: string) => {
      count += text.length
    })
    return count
  },
  reduce: (socket) => socket.reduce((count: number, text: string) => count + text.length, 0),
  every: (socket) => socket.every((text: string) => text.length > 0),
  some: (socket) => socket.some((text: string) => text.length > 0),
  async find(socket) {
    return typeof (await socket.find((text: string) => text.length > 0))
  },
  async take(socket) {
    return (await socket.take(1).toArray()).length
  },
  async drop(socket) {
    return (await socket.drop(100_000).toArray()).length
  },
  // Gone from Node 24.
  async asIndexedPairs(socket) {
    const pairs = (await socket.asIndexedPairs?.().take(1).toArray()) as
      readonly [number, string][] | undefined
    return pairs?.[0]?.[0] ?? 'gone'
  },
  async wrap(socket) {
    return collected((await new Readable({ encoding: 'latin1' }).wrap(socket).toArray()) as string[])
  },
}

export const NET_MEMBERS: readonly Scenario[] = [
  {
    name: 'every member of a socket at each stage',
    async server(side) {
      const server = side.net.createServer({ allowHalfOpen: true }, (socket) => {
        note(side, 'accepted', socket)
        socket.once('data', () => {
          note(side, 'data', socket)
          socket.end('answer')
        })
        socket.on('end', () => {
          side.log('end')
        })
        socket.on('close', () => {
          note(side, 'closed', socket)
          server.close()
        })
      })
      await listen(side, server)
    },
    async client(side) {
      const { port } = await target(side)
      const socket = new side.net.Socket()
      note(side, 'new', socket)
      socket.connect({ port, host: '127.0.0.1', autoSelectFamily: true })
      note(side, 'connecting', socket)
      await happens(socket, 'connect')
      note(side, 'connected', socket)
      socket.setTimeout(60_000).setDefaultEncoding('latin1').setEncoding('utf8')
      note(side, 'set', socket)
      socket.write('ask')
      await happens(socket.resume(), 'end')
      await happens(socket, 'close')
      note(side, 'closed', socket)
    },
  },
  {
    name: 'a socket as a sequence of chunks',
    server: serveText,
    async client(side) {
      const where = await target(side)
      for (const [name, consume] of Object.entries(SEQUENCES)) {
        const socket = side.net.connect(where)
        socket.setEncoding('latin1').on('error', () => undefined)
        side.log(`${name}: ${String(await consume(socket))}`)
        socket.destroy()
      }
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'every member of a server at each stage',
    async server(side) {
      const server = side.net.createServer((socket) => socket.end())
      const departed = departures(server)
      const members = async (when: string): Promise<void> => {
        const { listening, maxConnections } = server
        const { connections } = server as Server & { connections?: unknown }
        const address = plain(server.address())
        const count = await new Promise((resolve) => {
          server.getConnections((error, number) => {
            resolve(error?.message ?? number)
          })
        })
        side.log(`${when}: ${JSON.stringify({ listening, maxConnections, connections, address, count })}`)
      }
      await members('new')
      server.maxConnections = 7
      ;(server as Server & { dropMaxConnection?: boolean }).dropMaxConnection = true
      await listen(side, server.ref().unref().ref())
      await members('listening')
      await side.hear('over')
      await departed()
      server.close()
      await happens(server, 'close')
      await members('closed')
    },
    async client(side) {
      await happens(side.net.connect(await target(side)).resume(), 'close')
      side.log('closed')
      side.tell('over')
    },
  },
  {
    name: 'what programs rarely ask net and a socket for',
    server: serveText,
    async client(side) {
      const { net } = side
      const where = await target(side)
      side.log([net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()].join())
      net.setDefaultAutoSelectFamily(false)
      net.setDefaultAutoSelectFamilyAttemptTimeout(300)
      side.log([net.getDefaultAutoSelectFamily(), net.getDefaultAutoSelectFamilyAttemptTimeout()].join())
      const options = { hints: 0, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 500 }
      const socket = net.createConnection({ ...where, ...options })
      socket.on('ready', () => {
        side.log('ready')
      })
      await happens(socket, 'connect')
      socket.ref().unref().ref()
      const sink = new PassThrough()
      sink.on('unpipe', () => {
        side.log('unpipe')
      })
      socket.pipe(sink)
      socket.unpipe(sink)
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
        side.log(typeof chunk)
        break
      }
      side.log(`destroyed ${socket.destroyed}`)
      socket.destroy()
      const server = new net.Server()
      side.log(server.constructor.name)
      side.tell('over')
    },
  },
  {
    name: 'datagrams are left alone',
    connects: false,
    async server(side) {
      const dgram = await import('node:dgram')
      const socket = dgram.createSocket('udp4')
      socket.bind(0, '127.0.0.1')
      await happens(socket, 'listening')
      side.tell('bound', socket.address().port)
      socket.on('message', (message, { address, family, size }) => {
        side.log(`message ${digest(message)} ${address} ${family} ${size}`)
        socket.close()
      })
    },
    async client(side) {
      const dgram = await import('node:dgram')
      const port = (await side.hear('bound')) as number
      const socket = dgram.createSocket('udp4')
      socket.connect(port, '127.0.0.1')
      await happens(socket, 'connect')
      side.log(`connected to ${socket.remoteAddress().address}`)
      socket.send('datagram', () => {
        socket.close()
      })
    },
  },
]
