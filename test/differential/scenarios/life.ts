/** Connections that begin and end in good order. */
import { pipeline } from 'node:stream/promises'
import { bytes, digest, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario } from '../side.ts'

export const LIFE: readonly Scenario[] = [
  {
    name: 'connect, data, end, close',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').on('data', (data) => socket.write(data))
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      side.log(`connecting ${socket.connecting}, pending ${socket.pending}, ${socket.readyState}`)
      watch(side, socket, 'socket')
      socket.on('connect', () =>
        socket.write('hello', () => {
          side.log('written')
        }),
      )
      socket.once('data', () =>
        socket.end(() => {
          side.log('end callback')
        }),
      )
    },
  },
  {
    name: 'half-close by the client',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').on('end', () => {
          setImmediate(() => {
            socket.write('an answer')
            socket.write(bytes(100_000))
            socket.end(' to the end')
          })
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect({ ...(await target(side)), allowHalfOpen: true }), 'socket')
      socket.end('question', () => {
        side.log(`ended (${socket.readyState})`)
      })
    },
  },
  {
    name: 'half-close by the server',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').end('greeting')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect({ ...(await target(side)), allowHalfOpen: true }), 'socket')
      socket.on('end', () => {
        side.log(`writable ${socket.writable}, readable ${socket.readable}`)
        socket.write(bytes(200_000), () => socket.end('bye'))
      })
    },
  },
  {
    name: 'both ends half-open, one end after the other',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket')
        void side.hear('client ended').then(() => socket.write('still here'))
        void side.hear('client heard').then(() => socket.end())
      }),
    async client(side) {
      const socket = watch(side, side.net.connect({ ...(await target(side)), allowHalfOpen: true }), 'socket')
      socket.once('data', () => {
        side.tell('client heard')
      })
      await happens(socket, 'connect')
      socket.end(() => {
        side.tell('client ended')
      })
    },
  },
  {
    name: 'without allowHalfOpen the end is answered',
    server: (side) =>
      serveOne(side, { allowHalfOpen: false }, (socket) => {
        watch(side, socket, 'socket').end('all I have')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.on('end', () => {
        side.log(`at end: writableEnded ${socket.writableEnded}, allowHalfOpen ${socket.allowHalfOpen}`)
        setImmediate(() => {
          side.log(`after end: writableEnded ${socket.writableEnded}`)
        })
      })
    },
  },
  {
    name: 'writing before the connection stands',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      side.log(
        `write returns ${socket.write('one ', () => {
          side.log('one written')
        })}`,
      )
      side.log(
        `write returns ${socket.write('two ', () => {
          side.log('two written')
        })}`,
      )
      side.log(`bytesWritten ${socket.bytesWritten}, writableLength ${socket.writableLength}`)
      socket.end('three', () => {
        side.log('ended')
      })
    },
  },
  {
    name: 'ending before the connection stands',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      watch(side, side.net.connect(await target(side)), 'socket').end()
    },
  },
  {
    name: 'destroying before the connection stands',
    connects: false,
    async server(side) {
      const server = side.net.createServer(() => {
        side.log('connection')
      })
      server.on('close', () => {
        side.log('server close')
      })
      await listen(side, server)
      await side.hear('destroyed')
      server.close()
    },
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.destroy()
      await happens(socket, 'close')
      side.tell('destroyed')
    },
  },
  {
    name: 'the same socket object connects twice',
    async server(side) {
      let connections = 0
      const server = side.net.createServer((socket) => {
        connections += 1
        watch(side, socket, `socket ${connections}`).end(`number ${connections}`)
        socket.on('close', () => {
          side.tell('closed')
        })
        if (connections === 2) server.close()
      })
      await listen(side, server)
    },
    async client(side) {
      const where = await target(side)
      const socket = watch(side, new side.net.Socket(), 'socket')
      socket.connect(where)
      await Promise.all([happens(socket, 'close'), side.hear('closed')])
      side.log('again')
      socket.connect(where)
    },
  },
  {
    name: 'end with data and a callback',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.on('prefinish', () => {
        side.log('prefinish')
      })
      socket.write('a', () => {
        side.log('a written')
      })
      socket.end('b', () => {
        side.log('end callback')
      })
      side.log(`writableEnded ${socket.writableEnded}, writableFinished ${socket.writableFinished}`)
    },
  },
  {
    name: 'destroy after everything was read',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').write('read me')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.on('data', () => {
        socket.destroy()
        side.log(`destroyed ${socket.destroyed}, ${socket.readyState}`)
      })
    },
  },
  {
    name: 'destroy with an error of one own',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.destroy(new Error('enough'))
    },
  },
  {
    name: 'destroySoon sends everything first',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.write(bytes(2_000_000))
      socket.destroySoon()
      side.log(`destroyed at once ${socket.destroyed}`)
    },
  },
  {
    name: 'reading with for await',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end(bytes(700_000))
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      const read: Buffer[] = []
      for await (const chunk of socket) read.push(chunk as Buffer)
      side.log(`read ${digest(Buffer.concat(read))}`)
    },
  },
  {
    name: 'leaving for await early destroys',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').write('first words')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      for await (const chunk of socket) {
        side.log(digest(chunk as Buffer))
        break
      }
      side.log(`destroyed ${socket.destroyed}`)
    },
  },
  {
    name: 'reading with readable and read',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end(bytes(300_000))
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      const read: Buffer[] = []
      socket.on('readable', () => {
        for (
          let chunk = socket.read() as Buffer | null;
          chunk !== null;
          chunk = socket.read() as Buffer | null
        ) {
          read.push(chunk)
        }
      })
      socket.on('end', () => {
        side.log(`read ${digest(Buffer.concat(read))}`)
      })
    },
  },
  {
    name: 'stream.pipeline there and back',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket', { noData: true })
        void pipeline(socket, socket).then(() => {
          side.log('pipeline done')
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noFinish: true })
      socket.end(bytes(1_500_000))
    },
  },
]
