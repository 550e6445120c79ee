/** Those who watch from outside: performance hooks, diagnostics channels, async hooks, process events. */
import { AsyncLocalStorage, createHook } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { PerformanceObserver } from 'node:perf_hooks'
import type { PerformanceEntry } from 'node:perf_hooks'
import { bytes, departures, describe, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

/** Notes what `channels` tell, by the kinds of the things told. */
function noteChannels(side: Side, channels: readonly string[]): void {
  for (const channel of channels) {
    diagnostics.subscribe(channel, (message) => {
      const kinds = Object.entries(message as object).map(
        ([key, value]) => `${key} ${(value as object | undefined)?.constructor.name ?? String(value)}`,
      )
      side.log(`${channel}: ${kinds.join(', ')}`)
    })
  }
}

const NET_CHANNELS = [
  'net.client.socket',
  'net.server.socket',
  'tracing:net.server.listen:asyncStart',
  'tracing:net.server.listen:asyncEnd',
  'tracing:net.server.listen:error',
]

const HTTP_CHANNELS = [
  'http.client.request.created',
  'http.client.request.start',
  'http.client.request.error',
  'http.client.response.finish',
  'http.server.request.start',
  'http.server.response.created',
  'http.server.response.finish',
]

/** An HTTP server that answers until the client says that it is over. */
async function serveHttp(side: Side, before?: () => void): Promise<void> {
  const server = side.http.createServer((request, response) => {
    before?.()
    request.resume().on('end', () => response.end('answer'))
  })
  const departed = departures(server)
  await listen(side, server)
  await side.hear('over')
  await departed()
  server.close()
}

async function ask(side: Side, options: object): Promise<void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    side.http.get({ host: '127.0.0.1', agent: false, ...options }, resolve).on('error', reject)
  })
  await happens(response.resume(), 'close')
}

/** Resources of asynchronous calls that libuv makes for a TCP connection; a switched write needs none. */
const KINDS = ['TCPWRAP', 'TCPCONNECTWRAP', 'TCPSERVERWRAP', 'SHUTDOWNWRAP']

/** Says at the exit which kinds of resources there were, and whether each callback that began has ended. */
function noteResources(side: Side): void {
  const kinds = new Set<string>()
  const ours = new Set<number>()
  let depth = 0
  let calls = 0
  createHook({
    init(id, kind) {
      if (!KINDS.includes(kind)) return
      kinds.add(kind)
      ours.add(id)
    },
    before(id) {
      if (!ours.has(id)) return
      depth += 1
      calls += 1
    },
    after(id) {
      if (ours.has(id)) depth -= 1
    },
  }).enable()
  process.on('exit', () => {
    side.log(`resources ${[...kinds].sort().join()}, called ${calls > 0}, open ${depth}`)
  })
}

export const OBSERVERS: readonly Scenario[] = [
  {
    name: 'performance entries of net and http',
    server: (side) => serveHttp(side),
    async client(side) {
      const { port } = await target(side)
      const wanted = ['net connect', 'http HttpClient']
      const seen = new Promise<void>((resolve) => {
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) {
            const { entryType, name, duration, detail } = entry as PerformanceEntry & { detail: object }
            const at = wanted.indexOf(`${entryType} ${name}`)
            if (at < 0) continue
            wanted.splice(at, 1)
            side.log(`${name}: ${Object.keys(detail).join()}, ${duration >= 0}`)
          }
          if (wanted.length > 0) return
          observer.disconnect()
          resolve()
        })
        observer.observe({ entryTypes: ['net', 'http'] })
      })
      await ask(side, { port })
      await seen
      side.tell('over')
    },
  },
  {
    name: 'diagnostics channels of net',
    server(side) {
      noteChannels(side, NET_CHANNELS)
      return serveOne(side, {}, (socket) => socket.end('hello'))
    },
    async client(side) {
      const where = await target(side)
      noteChannels(side, NET_CHANNELS)
      await happens(side.net.connect(where).resume(), 'close')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'diagnostics channels of http',
    server(side) {
      noteChannels(side, HTTP_CHANNELS)
      return serveHttp(side)
    },
    async client(side) {
      const { port } = await target(side)
      noteChannels(side, HTTP_CHANNELS)
      await ask(side, { port })
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'kinds of resources that async hooks see',
    server(side) {
      noteResources(side)
      return serveOne(side, {}, (socket) => socket.resume().end('hello'))
    },
    async client(side) {
      const where = await target(side)
      noteResources(side)
      await happens(side.net.connect(where).resume(), 'close')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'the context of each request on one kept connection',
    async server(side) {
      const storage = new AsyncLocalStorage<number>()
      let count = 0
      await serveHttp(side, () => {
        side.log(`request in ${String(storage.getStore())}`)
        storage.enterWith((count += 1))
      })
    },
    async client(side) {
      const { port } = await target(side)
      const storage = new AsyncLocalStorage<number>()
      const agent = new side.http.Agent({ keepAlive: true, maxSockets: 1 })
      for (let at = 1; at <= 3; at += 1) {
        await storage.run(at, async () => {
          const request = side.http.get({ host: '127.0.0.1', port, agent })
          request.on('socket', () => {
            side.log(`socket in ${String(storage.getStore())}, reused ${request.reusedSocket}`)
          })
          const [response] = await new Promise<[IncomingMessage]>((resolve) =>
            request.on('response', (message) => {
              side.log(`response in ${String(storage.getStore())}`)
              resolve([message])
            }),
          )
          response.on('data', () => {
            side.log(`data in ${String(storage.getStore())}`)
          })
          await happens(response, 'end')
          await new Promise((resolve) => setImmediate(resolve))
        })
      }
      agent.destroy()
      side.tell('over')
    },
  },
  {
    name: 'the context of timeouts, drain and a server that closes',
    server: (side) => {
      const storage = new AsyncLocalStorage<string>()
      const server = storage.run('around listen', () => side.net.createServer())
      server.on('connection', (socket) => {
        storage.run('around close', () => {
          server.close(() => {
            side.log(`close callback in ${storage.getStore() ?? 'none'}`)
          })
        })
        socket.resume().on('end', () => {
          side.log(`end in ${storage.getStore() ?? 'none'}`)
        })
      })
      return storage.run('around listening', () => listen(side, server))
    },
    async client(side) {
      const storage = new AsyncLocalStorage<string>()
      const where = await target(side)
      const socket = storage.run('around connect', () => side.net.connect(where))
      await happens(socket, 'connect')
      storage.run('around setTimeout', () =>
        socket.setTimeout(20, () => {
          side.log(`timeout in ${storage.getStore() ?? 'none'}`)
        }),
      )
      await happens(socket, 'timeout')
      socket.setTimeout(0)
      storage.run('around write', () => socket.write(Buffer.alloc(16_000_000)))
      socket.on('drain', () => {
        side.log(`drain in ${storage.getStore() ?? 'none'}`)
      })
      await happens(socket, 'drain')
      storage.run('around end', () => socket.end())
      await happens(socket, 'close')
    },
  },
  {
    name: 'an exit with more in flight than anybody reads',
    arrangements: ['two processes'],
    server: (side) =>
      serveOne(side, {}, (socket) => {
        const chunks: Buffer[] = []
        socket.on('data', (data) => chunks.push(data))
        socket.on('error', (error) => {
          side.log(`error ${describe(error)}`)
        })
        socket.on('close', () => {
          const came = Buffer.concat(chunks)
          side.log(
            `a beginning of it came: ${came.length > 0 && came.equals(bytes(8_000_000).subarray(0, came.length))}`,
          )
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.write(bytes(8_000_000))
      setImmediate(() => process.exit(0))
    },
  },
]
