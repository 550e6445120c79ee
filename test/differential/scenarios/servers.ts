/** Servers: closing, limits, options. */
import type { AddressInfo, Server, Socket } from 'node:net'
import { departures, describe, digest, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

function countConnections(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error) reject(error)
      else resolve(count)
    })
  })
}

/** What a connect to a server that listens no more ends with. */
async function refused(side: Side, where: { host: string; port: number }): Promise<void> {
  const socket = side.net.connect(where)
  socket.on('error', (error) => {
    side.log(`late connect: ${describe(error)}`)
  })
  socket.on('connect', () => {
    side.log('late connect: connected')
  })
  await happens(socket, 'close')
}

export const SERVERS: readonly Scenario[] = [
  {
    name: 'server.close waits for open connections',
    async server(side) {
      const server = side.net.createServer((socket) => {
        watch(side, socket, 'socket').on('data', (data) => socket.write(data))
      })
      server.on('close', () => {
        side.log('server close')
      })
      await listen(side, server)
      await side.hear('connected')
      server.close((error) => {
        side.log(`close callback ${error ? describe(error) : 'good'}`)
      })
      side.log(
        `listening ${server.listening}, address ${JSON.stringify(server.address())}, ${await countConnections(server)} open`,
      )
      side.tell('closing')
      server.close((error) => {
        side.log(`second close ${error ? describe(error) : 'good'}`)
      })
    },
    async client(side) {
      const where = await target(side)
      const socket = watch(side, side.net.connect(where), 'socket')
      socket.write('first')
      await happens(socket, 'data')
      side.tell('connected')
      await side.hear('closing')
      await refused(side, where)
      socket.write('second')
      await happens(socket, 'data')
      socket.end()
    },
  },
  {
    name: 'a server closes and listens again on the same port',
    async server(side) {
      const server = side.net.createServer((socket) => watch(side, socket, 'socket').end('hello'))
      const departed = departures(server)
      const where = await listen(side, server)
      await side.hear('first is over')
      await departed()
      await new Promise((resolve) => server.close(resolve))
      side.tell('closed')
      await side.hear('refused')
      await new Promise<void>((resolve) => server.listen(where, resolve))
      side.tell('again')
      await side.hear('second is over')
      await departed()
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const where = await target(side)
      await happens(watch(side, side.net.connect(where), 'first'), 'close')
      side.tell('first is over')
      await side.hear('closed')
      await refused(side, where)
      side.tell('refused')
      await side.hear('again')
      await happens(watch(side, side.net.connect(where), 'second'), 'close')
      side.tell('second is over')
    },
  },
  {
    name: 'maxConnections drops what is too much',
    async server(side) {
      const server = side.net.createServer((socket) => watch(side, socket, 'socket'))
      server.maxConnections = 1
      server.on('drop', (data) => {
        side.log(
          `drop ${JSON.stringify(Object.keys(data ?? {}).sort())}, ${data?.localAddress ?? ''} ${data?.remoteFamily ?? ''}`,
        )
        side.tell('drop', data?.remotePort)
      })
      const departed = departures(server)
      await listen(side, server)
      await side.hear('over')
      await departed()
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const where = await target(side)
      const kept = watch(side, side.net.connect(where), 'kept')
      await happens(kept, 'connect')
      const dropped = watch(side, side.net.connect(where), 'dropped')
      await happens(dropped, 'connect')
      const port = dropped.localPort
      if (!dropped.destroyed) await happens(dropped, 'close')
      side.log(`the port in the event ${(await side.hear('drop')) === port}`)
      kept.end()
      await happens(kept, 'close')
      side.tell('over')
    },
  },
  {
    name: 'getConnections counts',
    async server(side) {
      const open: Socket[] = []
      const server = side.net.createServer((socket) => {
        open.push(socket.resume())
        side.tell('accepted')
      })
      side.log(`${await countConnections(server)} at first`)
      await listen(side, server)
      await side.hear('three')
      side.log(`${await countConnections(server)} open`)
      open[1]?.destroy()
      await happens(open[1]!, 'close')
      side.log(`${await countConnections(server)} after one was destroyed`)
      side.tell('end')
      await Promise.all([open[0], open[2]].map((socket) => happens(socket!, 'close')))
      side.log(`${await countConnections(server)} at last`)
      server.close()
    },
    async client(side) {
      const where = await target(side)
      const sockets = [0, 1, 2].map(() => side.net.connect(where))
      await Promise.all(sockets.map(() => side.hear('accepted')))
      side.tell('three')
      await side.hear('end')
      for (const socket of sockets) socket.end()
    },
  },
  {
    name: 'pauseOnConnect',
    async server(side) {
      const server = side.net.createServer({ pauseOnConnect: true }, (socket) => {
        let received = 0
        socket.on('data', (data) => {
          received += data.length
        })
        watch(side, socket, 'socket')
        socket.pause()
        void side.hear('sent').then(() => {
          side.log(`received ${received} while paused`)
          socket.resume()
        })
        server.close()
      })
      await listen(side, server)
    },
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.end('patience', () => {
        side.tell('sent')
      })
    },
  },
  {
    name: 'a server that speaks first, to many',
    async server(side) {
      const server = side.net.createServer((socket) => socket.end('welcome'))
      await listen(side, server)
      await side.hear('over')
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const where = await target(side)
      const heard = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const chunks: Buffer[] = []
          const socket = side.net.connect(where).on('data', (data) => chunks.push(data))
          await happens(socket, 'close')
          return digest(Buffer.concat(chunks))
        }),
      )
      side.log([...new Set(heard)].join())
      side.tell('over')
    },
  },
  {
    name: 'a backlog of one, and one connection after the other',
    async server(side) {
      const server = side.net.createServer((socket) => socket.resume().end())
      await listen(side, server, { backlog: 1 })
      await side.hear('over')
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const where = await target(side)
      for (let at = 0; at < 5; at += 1) {
        await happens(watch(side, side.net.connect(where), `socket ${at}`).resume(), 'close')
      }
      side.tell('over')
    },
  },
  {
    name: 'socket options can be set and chained',
    server: (side) =>
      serveOne(side, { noDelay: true, keepAlive: true, keepAliveInitialDelay: 1000 }, (socket) => {
        watch(side, socket, 'socket')
        side.log(`chains ${socket.setNoDelay() === socket && socket.setKeepAlive(true, 500) === socket}`)
      }),
    async client(side) {
      const options = { ...(await target(side)), noDelay: true, keepAlive: true, keepAliveInitialDelay: 2000 }
      const socket = watch(side, side.net.connect(options), 'socket')
      await happens(socket, 'connect')
      side.log(`chains ${socket.setNoDelay(false) === socket && socket.setKeepAlive() === socket}`)
      side.log(`refs ${socket.unref() === socket && socket.ref() === socket}`)
      socket.end()
    },
  },
  {
    name: 'a high water mark of the server',
    server: (side) =>
      serveOne(side, { highWaterMark: 1234 }, (socket) => {
        watch(side, socket, 'socket')
        side.log(`${socket.readableHighWaterMark} ${socket.writableHighWaterMark}`)
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.end('x')
    },
  },
  {
    name: 'server.listen with an AbortSignal',
    async server(side) {
      const controller = new AbortController()
      const server = side.net.createServer((socket) => watch(side, socket, 'socket').end())
      server.on('close', () => {
        side.log('server close')
      })
      const departed = departures(server)
      await listen(side, server, { signal: controller.signal })
      await side.hear('over')
      await departed()
      controller.abort()
    },
    async client(side) {
      await happens(watch(side, side.net.connect(await target(side)), 'socket'), 'close')
      side.tell('over')
    },
  },
  {
    name: 'a server of one own handle',
    async server(side) {
      const first = side.net.createServer((socket) => watch(side, socket, 'socket').end('from the second'))
      await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve))
      const { port } = first.address() as AddressInfo
      const second = side.net.createServer((socket) => watch(side, socket, 'socket').end('from the handle'))
      await new Promise<void>((resolve) => second.listen(first, resolve))
      side.tell('listening', { host: '127.0.0.1', port })
      await side.hear('over')
      second.close()
      first.close()
    },
    async client(side) {
      const socket = side.net.connect(await target(side))
      socket
        .on('end', () => {
          side.log('end')
        })
        .resume()
      await happens(socket, 'close')
      side.tell('over')
    },
  },
]
