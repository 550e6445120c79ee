/** Connections that end badly: resets, and writes to a peer that has left. */
import { bytes, describe, describeLoss, happens, serveOne, target, watch } from '../side.ts'
import type { Scenario } from '../side.ts'

export const LOSS: readonly Scenario[] = [
  {
    name: 'the client destroys with data unread',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket', { describe: describeLoss })
        // More than the kernel and both streams hold, so that some of it is unread whatever happens.
        socket.write(bytes(32_000_000), (error) => {
          side.log(`write callback ${error ? 'with an error' : 'without an error'}`)
        })
        side.tell('written')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      await side.hear('written')
      socket.destroy()
    },
  },
  {
    name: 'the server destroys with data unread',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket', { noData: true })
        void side.hear('written').then(() => socket.destroy())
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      watch(side, socket, 'socket', { describe: describeLoss })
      await happens(socket, 'connect')
      socket.write(bytes(32_000_000))
      side.tell('written')
    },
  },
  {
    name: 'a small message is unread when the client destroys',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
        socket.write('you will not read this', () => {
          side.tell('written')
        })
      }),
    async client(side) {
      // Nothing reads: the connection is paused from the start.
      const socket = watch(side, new side.net.Socket(), 'socket', { noData: true })
      socket.pause()
      socket.connect(await target(side))
      await Promise.all([side.hear('written'), happens(socket, 'connect')])
      socket.destroy()
    },
  },
  {
    name: 'resetAndDestroy by the client',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').once('data', () => {
          side.tell('received')
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.write('hello')
      await side.hear('received')
      socket.resetAndDestroy()
      side.log(`destroyed ${socket.destroyed}`)
    },
  },
  {
    name: 'resetAndDestroy by the server',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').once('data', () => socket.resetAndDestroy())
      }),
    async client(side) {
      watch(side, side.net.connect(await target(side)), 'socket').write('hello')
    },
  },
  {
    name: 'data sent before a reset can still be read',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
        socket.write('last words', () => {
          side.tell('written')
        })
        void side.hear('read').then(() => socket.resetAndDestroy())
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await Promise.all([side.hear('written'), happens(socket, 'data')])
      side.tell('read')
    },
  },
  {
    name: 'resetAndDestroy while connecting',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.resetAndDestroy()
      side.log(`destroyed at once ${socket.destroyed}`)
    },
  },
  {
    name: 'resetAndDestroy without a connection',
    connects: false,
    server: () => undefined,
    client(side) {
      watch(side, new side.net.Socket(), 'socket').resetAndDestroy()
    },
  },
  {
    name: 'writing twice to a peer that has closed',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').on('end', () => {
          void side.hear('closed').then(() => {
            socket.write('into the void', (error) => {
              side.log(`first write ${error ? describe(error) : 'succeeds'}`)
              setImmediate(() =>
                socket.write('again', (late) => {
                  side.log(`second ${late ? describe(late) : 'succeeds'}`)
                }),
              )
            })
          })
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.destroy()
      await happens(socket, 'close')
      side.tell('closed')
    },
  },
  {
    name: 'writing on and on to a peer that destroys',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        let received = 0
        socket.on('data', (data) => {
          received += data.length
          if (received > 300_000) socket.destroy()
        })
        socket.on('close', (hadError) => {
          side.log(`close (had error ${hadError})`)
        })
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      watch(side, socket, 'socket', { describe: describeLoss, noFinish: true })
      const piece = bytes(50_000)
      const go = (): void => {
        while (!socket.destroyed && socket.write(piece));
      }
      socket.on('connect', go).on('drain', go)
    },
  },
  {
    name: 'writing after the peer ended, without allowHalfOpen',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end('done')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.on('end', () => {
        socket.write('too late', (error) => {
          side.log(`write ${error ? describe(error) : 'succeeds'}`)
        })
      })
    },
  },
  {
    name: 'the peer resets while half-closed',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').on('end', () => socket.resetAndDestroy())
      }),
    async client(side) {
      const socket = side.net.connect({ ...(await target(side)), allowHalfOpen: true })
      watch(side, socket, 'socket')
      socket.end('that is it')
    },
  },
  {
    name: 'reading on after the peer ended and then reset',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').end('an end')
        void side.hear('end seen').then(() => {
          socket.resetAndDestroy()
          side.tell('reset')
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect({ ...(await target(side)), allowHalfOpen: true }), 'socket')
      await happens(socket, 'end')
      side.tell('end seen')
      await side.hear('reset')
      socket.write('hello?', (error) => {
        side.log(`write ${error ? describeLoss(error) : 'succeeds'}`)
      })
    },
  },
]
