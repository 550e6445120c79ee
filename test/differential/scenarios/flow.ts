/** Moving bytes: order, backpressure, encodings, counters, timeouts. */
import { bytes, digest, happens, listen, serveOne, target, watch, writeAll } from '../side.ts'
import type { Scenario } from '../side.ts'

export const FLOW: readonly Scenario[] = [
  {
    name: 'a paused socket gets nothing until it is resumed',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        let received = 0
        socket.pause()
        socket.on('data', (data) => {
          received += data.length
        })
        watch(side, socket, 'socket')
        void side.hear('backed up').then(() => {
          side.log(`paused ${socket.isPaused()}, received ${received}`)
          socket.resume()
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      const data = bytes(12_000_000)
      side.log(`write returns ${socket.write(data)}`)
      side.log(`needs drain ${socket.writableNeedDrain}, ${socket.writableLength} waiting`)
      side.tell('backed up')
      await happens(socket, 'drain')
      side.log(`drained, ${socket.writableLength} waiting, bytesWritten ${socket.bytesWritten}`)
      socket.end()
    },
  },
  {
    name: 'pausing again and again',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').on('data', () => {
          socket.pause()
          setImmediate(() => socket.resume())
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await writeAll(socket, bytes(3_000_000), 70_001)
      socket.end()
    },
  },
  {
    name: 'a large write, backpressure and drain',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      const more = socket.write(bytes(16_000_000), () => {
        side.log('written')
      })
      side.log(`more ${more}, high water mark ${socket.writableHighWaterMark}`)
      await happens(socket, 'drain')
      side.log(`drain, needs drain ${socket.writableNeedDrain}`)
      await writeAll(socket, bytes(5_000_000), 65_536)
      socket.end()
    },
  },
  {
    name: 'ten thousand small writes',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      let last = -1
      let inOrder = true
      for (let at = 0; at < 10_000; at += 1) {
        const done = (): void => {
          inOrder &&= last === at - 1
          last = at
        }
        if (!socket.write(`line ${at}\n`, done)) await happens(socket, 'drain')
      }
      socket.end(() => {
        side.log(`${last + 1} callbacks, in order ${inOrder}`)
      })
    },
  },
  {
    name: 'cork and uncork',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.cork()
      socket.cork()
      socket.write('a', () => {
        side.log('a written')
      })
      socket.write(Buffer.from('b'), () => {
        side.log('b written')
      })
      socket.write('63', 'hex', () => {
        side.log('c written')
      })
      side.log(`corked ${socket.writableCorked}, waiting ${socket.writableLength}`)
      socket.uncork()
      side.log(`corked ${socket.writableCorked}`)
      socket.uncork()
      side.log(`corked ${socket.writableCorked}`)
      socket.cork()
      socket.write(bytes(100_000))
      socket.write(bytes(200_000))
      socket.end('end uncorks')
    },
  },
  {
    name: 'every kind of chunk and encoding',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.write('héllo', 'latin1')
      socket.write('wörld', 'utf8')
      socket.write('ab', 'utf16le')
      socket.write('c29jaw==', 'base64')
      socket.write(new Uint8Array([1, 2, 3]))
      socket.write('')
      socket.write(Buffer.alloc(0), () => {
        side.log('nothing written')
      })
      socket.write(new Uint8Array(new Uint8Array([9, 8, 7, 6]).buffer, 1, 2))
      socket.setDefaultEncoding('hex')
      socket.write('ff00')
      socket.end('fe', () => {
        side.log(`bytesWritten ${socket.bytesWritten}`)
      })
    },
  },
  {
    name: 'setEncoding keeps characters whole',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        let text = ''
        let whole = true
        socket.setEncoding('utf8')
        socket.on('data', (chunk: Buffer | string) => {
          whole &&= typeof chunk === 'string' && !chunk.includes('\ufffd')
          text += chunk.toString()
          side.tell('got', text.length)
        })
        socket.on('end', () => {
          side.log(`${JSON.stringify(text)}, whole ${whole}`)
        })
        side.tell('accepted')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await side.hear('accepted')
      const euro = Buffer.from('a€')
      socket.write(euro.subarray(0, 2))
      await side.hear('got')
      socket.write(euro.subarray(2))
      await side.hear('got')
      socket.end('𝄞é')
    },
  },
  {
    name: 'pipe there and back',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket', { noData: true })
        socket.pipe(socket)
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noFinish: true })
      const { Readable } = await import('node:stream')
      const source = bytes(4_000_000)
      Readable.from(
        Array.from({ length: 40 }, (_, at) => source.subarray(at * 100_000, (at + 1) * 100_000)),
      ).pipe(socket)
    },
  },
  {
    name: 'much in both directions at once',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket', { noFinish: true, noData: true })
        let received = Buffer.alloc(0)
        socket.on('data', (data) => {
          received = Buffer.concat([received, data])
        })
        socket.on('close', () => {
          side.log(`received ${digest(received)}`)
        })
        void writeAll(socket, bytes(3_000_000), 40_000).then(() => socket.end())
      }),
    async client(side) {
      const socket = side.net.connect({ ...(await target(side)), allowHalfOpen: true })
      watch(side, socket, 'socket', { noFinish: true })
      await writeAll(socket, bytes(3_500_000), 333_333)
      socket.end()
    },
  },
  {
    name: 'five hundred round trips',
    server: (side) =>
      serveOne(side, { noDelay: true }, (socket) => {
        watch(side, socket, 'socket', { noData: true }).on('data', (data) => socket.write(data))
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket', { noData: true })
      let good = 0
      for (let at = 0; at < 500; at += 1) {
        const message = Buffer.alloc(64, at)
        socket.write(message)
        const [answer] = await new Promise<[Buffer]>((resolve) =>
          socket.once('data', (data) => {
            resolve([data])
          }),
        )
        if (answer.equals(message)) good += 1
      }
      side.log(`${good} good answers`)
      socket.end()
    },
  },
  {
    name: 'fifty connections at once',
    async server(side) {
      let connections = 0
      const server = side.net.createServer((socket) => {
        connections += 1
        socket.pipe(socket)
        if (connections === 50)
          server.close(() => {
            side.log(`closed after ${connections}`)
          })
      })
      await listen(side, server)
    },
    async client(side) {
      const where = await target(side)
      const answers = await Promise.all(
        Array.from({ length: 50 }, async (_, at) => {
          const socket = side.net.connect(where)
          const chunks: Buffer[] = []
          socket.on('data', (data) => chunks.push(data))
          socket.end(bytes(1000 + at * 997))
          await happens(socket, 'close')
          return `${at}: ${digest(Buffer.concat(chunks))}`
        }),
      )
      for (const answer of answers) side.log(answer)
    },
  },
  {
    name: 'bytesRead and bytesWritten',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').on('close', () => {
          side.log(`read ${socket.bytesRead}, written ${socket.bytesWritten}`)
        })
        socket.on('end', () => {
          side.log(`at end read ${socket.bytesRead}, written ${socket.bytesWritten}`)
        })
        socket.write(bytes(123_456))
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      side.log(`before: read ${socket.bytesRead}, written ${socket.bytesWritten}`)
      let received = 0
      socket.on('data', (data) => {
        received += data.length
        if (received === 123_456) socket.end('ünd')
      })
      socket.write(bytes(54_321))
      side.log(`pending: written ${socket.bytesWritten}`)
      socket.on('close', () => {
        side.log(`read ${socket.bytesRead}, written ${socket.bytesWritten}`)
      })
    },
  },
  {
    name: 'setTimeout fires on an idle connection and does it no harm',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket', { noData: true }).on('data', (data) => socket.write(data))
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.setTimeout(40, () => {
        side.log('timeout callback')
      })
      side.log(`timeout ${socket.timeout ?? 'unset'}`)
      await happens(socket, 'timeout')
      socket.setTimeout(0)
      socket.write('still alive')
      await happens(socket, 'data')
      socket.end()
    },
  },
  {
    name: 'a timeout in the options, and destroy on it',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = side.net.connect({ ...(await target(side)), timeout: 30 })
      await happens(socket, 'connect') // which may take longer than that
      watch(side, socket, 'socket')
      socket.on('timeout', () => socket.destroy(new Error('idle')))
    },
  },
  {
    name: 'onread with a buffer of its own',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end(bytes(500_000))
      }),
    async client(side) {
      const own = Buffer.alloc(5000)
      const chunks: Buffer[] = []
      let same = true
      const socket = side.net.connect({
        ...(await target(side)),
        onread: {
          buffer: own,
          callback: (count, buffer) => {
            same &&= buffer === own && count <= own.length
            chunks.push(Buffer.from(buffer.subarray(0, count)))
            return true
          },
        },
      })
      watch(side, socket, 'socket', { noData: true })
      socket.on('end', () => {
        side.log(`${digest(Buffer.concat(chunks))}, in its own buffer ${same}`)
      })
    },
  },
  {
    name: 'onread that stops and goes on',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end(bytes(300_000))
      }),
    async client(side) {
      const chunks: Buffer[] = []
      let stops = 0
      const socket = side.net.connect({
        ...(await target(side)),
        onread: {
          buffer: () => Buffer.alloc(10_000),
          callback: (count, buffer) => {
            chunks.push(Buffer.from(buffer.subarray(0, count)))
            if (stops === 3) return true
            stops += 1
            setImmediate(() => socket.resume())
            return false
          },
        },
      })
      watch(side, socket, 'socket', { noData: true })
      socket.on('end', () => {
        side.log(`${digest(Buffer.concat(chunks))} after ${stops} stops`)
      })
    },
  },
]
