/** What a connection has to do with the process around it: exits, references, contexts, exceptions, threads. */
import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { Worker } from 'node:worker_threads'
import { bytes, digest, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario } from '../side.ts'

const APART = ['two processes'] as const

/** A thread's program: serves one connection, echoing it, and says on which port. */
const ECHO_THREAD = `
const { parentPort } = require('node:worker_threads')
const net = require('node:net')
const server = net.createServer((socket) => {
  socket.pipe(socket)
  socket.on('close', () => server.close(() => parentPort.postMessage('closed')))
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

export const PROCESSES: readonly Scenario[] = [
  {
    name: 'the server exits right after a write',
    arrangements: APART,
    async server(side) {
      const server = side.net.createServer((socket) => {
        socket.write(bytes(60_000))
        process.exit(0)
      })
      await listen(side, server)
    },
    async client(side) {
      watch(side, side.net.connect(await target(side)), 'socket')
    },
  },
  {
    name: 'the client exits right after a write',
    arrangements: APART,
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = side.net.connect(await target(side))
      await happens(socket, 'connect')
      socket.write(bytes(30_000))
      socket.write('last words')
      process.exit(0)
    },
  },
  {
    name: 'an exit with many connections open',
    arrangements: APART,
    async server(side) {
      let open = 0
      const server = side.net.createServer((socket) => {
        open += 1
        socket.write(`you are one of many`)
        if (open === 20) {
          side.log('exit')
          process.exit(0)
        }
      })
      await listen(side, server)
    },
    async client(side) {
      const where = await target(side)
      const ends = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const chunks: Buffer[] = []
          const socket = side.net.connect(where)
          socket.on('data', (data) => chunks.push(data))
          await happens(socket, 'end')
          return digest(Buffer.concat(chunks))
        }),
      )
      for (const end of ends) side.log(end)
    },
  },
  {
    name: 'nothing is left to do, so the process ends',
    arrangements: APART,
    async server(side) {
      const server = side.net.createServer((socket) => {
        watch(side, socket, 'socket')
        socket.unref()
        server.unref()
        side.log('unreferenced')
      })
      process.on('exit', () => {
        side.log('exit')
      })
      await listen(side, server)
    },
    async client(side) {
      watch(side, side.net.connect(await target(side)), 'socket')
    },
  },
  {
    name: 'a server alone does not keep the process when unreferenced',
    connects: false,
    arrangements: APART,
    server: () => undefined,
    async client(side) {
      const server = side.net.createServer()
      server.unref()
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      side.log(`listening ${server.listening}`)
      process.on('exit', () => {
        side.log('exit')
      })
    },
  },
  {
    name: 'an idle connection keeps the process running',
    arrangements: APART,
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
        side.tell('accepted')
        void side.hear('waited').then(() => socket.end())
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await side.hear('accepted')
      // From here to 'end' nothing but the connection holds the process. The pause gives it the chance to end too early.
      setTimeout(() => {
        side.tell('waited')
      }, 50).unref()
      process.on('exit', () => {
        side.log(`exit, destroyed ${socket.destroyed}`)
      })
    },
  },
  {
    name: 'an exception in a data handler reaches the process, and reading goes on',
    arrangements: APART,
    server: (side) =>
      serveOne(side, {}, (socket) => {
        process.on('uncaughtException', (error) => {
          side.log(`uncaught ${error.message}`)
        })
        watch(side, socket, 'socket', { noData: true }).on('data', (data) => {
          side.log(data.toString())
          socket.write('heard')
          if (data.toString() === 'one') throw new Error('in a handler')
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.write('one')
      await happens(socket, 'data')
      socket.write('two')
      await happens(socket, 'data')
      socket.end()
    },
  },
  {
    name: 'the context of async_hooks is kept in every callback',
    server: (side) => {
      const storage = new AsyncLocalStorage<string>()
      return storage.run('around listen', () =>
        serveOne(side, {}, (socket) => {
          side.log(`connection in ${storage.getStore() ?? 'none'}`)
          storage.run('around data', () => {
            socket.on('data', () => {
              socket.write('x', () => {
                side.log(`written in ${storage.getStore() ?? 'none'}`)
              })
            })
          })
          socket.once('data', () => {
            side.log(`data in ${storage.getStore() ?? 'none'}`)
          })
          socket.on('end', () => {
            side.log(`end in ${storage.getStore() ?? 'none'}`)
          })
          socket.on('close', () => {
            side.log(`close in ${storage.getStore() ?? 'none'}`)
          })
        }),
      )
    },
    async client(side) {
      const storage = new AsyncLocalStorage<string>()
      const where = await target(side)
      const socket = storage.run('around connect', () => side.net.connect(where))
      const note = (what: string) => (): void => {
        side.log(`${what} in ${storage.getStore() ?? 'none'}`)
      }
      socket.on('connect', note('connect')).on('end', note('end')).on('close', note('close'))
      socket.once('data', note('data'))
      socket.once('data', () => {
        storage.run('around end', () => socket.end(note('ended')))
      })
      storage.run('around write', () => socket.write('y', note('written')))
      await happens(socket, 'close')
    },
  },
  {
    name: 'diagnostics_channel tells of sockets',
    server(side) {
      diagnostics.subscribe('net.server.socket', (message) => {
        const { socket } = message as { socket: { remoteFamily?: string } }
        side.log(`net.server.socket ${socket.remoteFamily ?? ''}`)
      })
      return serveOne(side, {}, (socket) => socket.end())
    },
    async client(side) {
      const where = await target(side)
      diagnostics.subscribe('net.client.socket', (message) => {
        side.log(`net.client.socket ${Object.keys(message as object).join()}`)
      })
      watch(side, side.net.connect(where), 'socket')
    },
  },
  {
    name: 'a server in a thread',
    async server(side) {
      const worker = new Worker(ECHO_THREAD, { eval: true })
      worker.on('message', (message) => {
        if (typeof message === 'number') side.tell('listening', { host: '127.0.0.1', port: message })
        else side.log(String(message))
      })
      await happens(worker, 'exit')
      side.log('thread over')
    },
    connects: false, // what threads do is measured by Node's own suite; here only the events count
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.end(bytes(700_000))
    },
  },
  {
    name: 'a thread that is terminated closes its connections',
    connects: false,
    async server(side) {
      const worker = new Worker(ECHO_THREAD, { eval: true })
      worker.on('message', (message) => {
        if (typeof message === 'number') side.tell('listening', { host: '127.0.0.1', port: message })
      })
      await side.hear('echoed')
      side.log(`thread ended with ${await worker.terminate()}`)
    },
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      socket.write('are you there?')
      await happens(socket, 'data')
      side.tell('echoed')
    },
  },
]
