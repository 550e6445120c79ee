/** What the stream modules do with sockets: pipelines, composition, web streams, iteration. */
import { once, on } from 'node:events'
import type { Socket } from 'node:net'
import stream, { Duplex, PassThrough, Transform, finished } from 'node:stream'
import type { ReadableWritablePair } from 'node:stream/web'
import { buffer } from 'node:stream/consumers'
import { pipeline, finished as finishedPromise } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import {
  bytes,
  departures,
  describe,
  describeLoss,
  digest,
  happens,
  listen,
  serveOne,
  target,
  watch,
} from '../side.ts'
import type { Scenario, Side } from '../side.ts'
import { stateOf } from './moments.ts'

/** A server for one connection that sends back whatever comes, and ends after it. */
function echo(side: Side): Promise<void> {
  return serveOne(side, { allowHalfOpen: true }, (socket) => {
    socket.on('error', (error) => {
      side.log(`echo error ${describeLoss(error)}`)
    })
    socket.pipe(socket)
  })
}

/** Not in the types of Node 20. */
const { compose } = stream as unknown as { compose: (...parts: Duplex[]) => Duplex }

/** Disposes of `target` as `await using` would; Node 20.11 does not know it everywhere. */
function dispose(target: object): Promise<unknown> | undefined {
  return (target as Record<symbol, (() => Promise<unknown>) | undefined>)[Symbol.asyncDispose]?.()
}

function upper(): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      callback(null, chunk.toString('latin1').toUpperCase())
    },
  })
}

export const STREAMS: readonly Scenario[] = [
  {
    name: 'pipelines through transforms',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        pipeline(socket, createGunzip(), createGzip(), socket).then(
          () => {
            side.log(`pipeline done, destroyed ${socket.destroyed}`)
          },
          (error: unknown) => {
            side.log(`pipeline ${describe(error as Error)}`)
          },
        )
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      const source = new PassThrough()
      source.end(bytes(2_000_000))
      const back = new PassThrough()
      const received = buffer(back)
      await Promise.all([pipeline(source, createGzip(), socket), pipeline(socket, createGunzip(), back)])
      side.log(digest(await received))
    },
  },
  {
    name: 'a pipeline aborted by a signal',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        socket.on('error', () => undefined).resume()
        side.tell('accepted')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      const control = new AbortController()
      const endless = new PassThrough()
      endless.write('beginning')
      void Promise.all([side.hear('accepted'), happens(socket, 'connect')]).then(() => {
        control.abort()
      })
      await pipeline(endless, socket, { signal: control.signal }).catch((error: unknown) => {
        side.log(`pipeline ${describe(error as Error)}`)
      })
    },
  },
  {
    name: 'finished tells how a socket ended',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        finished(socket.resume(), (error) => {
          side.log(`finished ${error ? describe(error) : 'good'}`)
        })
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      finished(socket, { readable: false }, (error) => {
        side.log(`writable finished ${error ? describe(error) : 'good'}`)
      })
      await happens(socket, 'connect')
      socket.end('all').resume()
      await finishedPromise(socket)
      side.log(stateOf(socket))
      const cut = new side.net.Socket()
      finished(cut, (error) => {
        side.log(`cut ${error ? describe(error) : 'good'}`)
      })
      cut.destroy()
    },
  },
  {
    name: 'compose with a socket',
    server: echo,
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      const composed = compose(upper(), socket, upper())
      composed.end('Of the same Mind')
      side.log(digest(await buffer(composed)))
    },
  },
  {
    name: 'as web streams',
    server: echo,
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      await happens(socket, 'connect')
      const { readable, writable } = Duplex.toWeb(socket) as ReadableWritablePair<Uint8Array, Uint8Array>
      const writer = writable.getWriter()
      const sent = (async () => {
        for (let at = 0; at < 20; at += 1) {
          await writer.ready
          await writer.write(bytes(50_000))
        }
        await writer.close()
      })()
      const chunks: Uint8Array[] = []
      const reader = readable.getReader()
      for (let part = await reader.read(); !part.done; part = await reader.read()) chunks.push(part.value)
      await sent
      side.log(digest(Buffer.concat(chunks)))
    },
  },
  {
    name: 'connections by events.on, sockets by events.once',
    async server(side) {
      const server = side.net.createServer()
      await listen(side, server)
      let count = 0
      for await (const [socket] of on(server, 'connection') as AsyncIterable<[Socket]>) {
        count += 1
        socket.end(`number ${count}`)
        await once(socket.resume(), 'close')
        if (count === 3) break
      }
      side.log(`${count} served`)
      server.close()
    },
    async client(side) {
      const where = await target(side)
      for (let left = 3; left > 0; left -= 1) {
        const socket = side.net.connect(where)
        await once(socket, 'connect')
        const [data] = (await once(socket, 'data')) as [Buffer]
        side.log(data.toString())
        await once(socket, 'close')
      }
    },
  },
  {
    name: 'asyncDispose of a socket and of a server',
    async server(side) {
      const server = side.net.createServer((socket) => {
        watch(side, socket, 'socket')
        side.tell('accepted')
      })
      const departed = departures(server)
      server.on('close', () => {
        side.log('server close')
      })
      await listen(side, server)
      await side.hear('over')
      await departed()
      await dispose(server)
      side.log(`listening ${server.listening}`)
      if (server.listening) server.close()
    },
    async client(side) {
      const socket = side.net.connect(await target(side))
      watch(side, socket, 'socket')
      await Promise.all([side.hear('accepted'), happens(socket, 'connect')])
      await dispose(socket)?.catch((error: unknown) => {
        side.log(`dispose ${describe(error as Error)}`)
      })
      side.log(stateOf(socket))
      if (!socket.destroyed) socket.destroy()
      side.tell('over')
    },
  },
  {
    name: 'setEncoding, pause and listeners in mid-flow',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        socket.write('first ünd ')
        socket.once('data', () => socket.write('second ünd '))
        socket.on('data', (data) => {
          if (data.toString().endsWith('three')) socket.end('thïrd')
        })
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      let text = ''
      socket.once('data', (data: Buffer) => {
        side.log(`buffer ${Buffer.isBuffer(data)}`)
        text += data.toString()
        socket.setEncoding('utf8')
        socket.write('two')
        socket.pause()
        side.log(`paused ${socket.isPaused()} flowing ${String(socket.readableFlowing)}`)
        setImmediate(() => {
          socket.on('data', (more: string) => {
            text += more
            if (more.includes('second')) socket.write('three')
          })
          socket.resume()
          side.log(`paused ${socket.isPaused()} ${String(socket.readableEncoding)}`)
        })
      })
      await happens(socket, 'end')
      side.log(JSON.stringify(text))
    },
  },
  {
    name: 'unshift, read and readable in turn',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        socket.end(bytes(100_000))
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      const chunks: Buffer[] = []
      let given = 0
      socket.on('readable', () => {
        for (
          let data = socket.read() as Buffer | null;
          data !== null;
          data = socket.read() as Buffer | null
        ) {
          if (given < 5 && data.length > 1) {
            given += 1
            socket.unshift(data.subarray(1))
            data = data.subarray(0, 1)
          }
          chunks.push(data)
        }
      })
      await happens(socket, 'end')
      side.log(`${digest(Buffer.concat(chunks))}, ${given} given back`)
    },
  },
  {
    name: 'callbacks of writes before connect, corked, large and empty come in order',
    server: (side) => serveOne(side, {}, (socket) => watch(side, socket, 'socket')),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      const note = (what: string) => (error?: Error | null) => {
        side.log(`${what} ${error ? describe(error) : 'written'}`)
      }
      socket.write('a', note('a before connect'))
      socket.write(Buffer.alloc(0), note('empty before connect'))
      await happens(socket, 'connect')
      socket.write(bytes(2_000_000), note('large'))
      socket.write('', note('empty'))
      socket.cork()
      socket.write('b', note('corked'))
      socket.write(new Uint8Array(10), note('corked bytes'))
      process.nextTick(() => {
        socket.uncork()
      })
      socket.write('ä', 'latin1', note('latin1'))
      await new Promise<void>((resolve) => {
        socket.end('z', () => {
          side.log('end')
          resolve()
        })
      })
      socket.write('late', note('late'))
      socket.end(note('second end'))
    },
  },
  {
    name: 'a proxy between two connections',
    async server(side) {
      const { net } = side
      const origin = net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
      await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
      const { port } = origin.address() as { port: number }
      await serveOne(side, { allowHalfOpen: true }, (socket) => {
        const onward = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
        watch(side, socket, 'near', { noData: true })
        socket.pipe(onward).pipe(socket)
        socket.on('close', () => origin.close())
      })
    },
    async client(side) {
      // Whether all is sent before the first comes back is left to chance.
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noFinish: true })
      socket.end(bytes(1_500_000))
    },
  },
]
