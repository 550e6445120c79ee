/** What programs ask for in options of connect, listen and the constructors. */
import { BlockList, getDefaultAutoSelectFamily } from 'node:net'
import type { LookupFunction, NetConnectOpts, Server, Socket } from 'node:net'
import { departures, describe, digest, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side, Where } from '../side.ts'

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error)

function thrown(act: () => unknown): string {
  try {
    act()
    return 'nothing thrown'
  } catch (error) {
    return codeOf(error)
  }
}

/** Serves until the client says that it is over. */
async function serve(side: Side, server: Server): Promise<void> {
  const departed = departures(server)
  await listen(side, server)
  await side.hear('over')
  await departed()
  server.close(() => {
    side.log('server close')
  })
}

/** Ways to answer a lookup, the good ones with the host of the server. */
function lookups(side: Side, { host }: Where): Record<string, LookupFunction> {
  const noted =
    (answer: LookupFunction): LookupFunction =>
    (name, options, callback) => {
      side.log(`asked for ${name}, ${JSON.stringify(options)}`)
      answer(name, options, callback)
    }
  return {
    'answers at once': noted((_name, options, callback) => {
      if (options.all === true) callback(null, [{ address: host, family: 4 }])
      else callback(null, host, 4)
    }),
    'answers later': noted((_name, options, callback) => {
      setImmediate(() => {
        if (options.all === true) callback(null, [{ address: host, family: 4 }])
        else callback(null, host, 4)
      })
    }),
    'knows nothing': noted((_name, _options, callback) => {
      const error = Object.assign(new Error('no such name'), { code: 'ENOTFOUND', syscall: 'mine' })
      callback(error, '')
    }),
    'answers nonsense': noted((_name, options, callback) => {
      if (options.all === true) callback(null, [{ address: 'nonsense', family: 4 }])
      else callback(null, 'nonsense', 4)
    }),
    'answers another family': noted((_name, options, callback) => {
      if (options.all === true) callback(null, [{ address: host, family: 9 }])
      else callback(null, host, 9)
    }),
  }
}

const PORTS: readonly unknown[] = [-1, 65_536, 1.5, Number.NaN, 'x', '', ' ', '80x', true, {}, [], 1e9]

export const OPTIONS: readonly Scenario[] = [
  {
    name: 'a BlockList of the client',
    server: (side) => serveOne(side, {}, (socket) => watch(side, socket, 'socket')),
    async client(side) {
      const where = await target(side)
      const blockList = new BlockList()
      blockList.addSubnet('127.0.0.0', 8)
      const options = { ...where, blockList }
      const blocked = side.net.connect(options)
      const seen: string[] = []
      blocked.on('error', (error) => {
        side.log(`blocked: ${describe(error)}`)
      })
      blocked.on('connect', () => {
        seen.push('connect') // Node before 22.13 has no such option
        blocked.end()
      })
      await happens(blocked.resume(), 'close')
      side.log(`blocked but for ${seen.join()}`)
      const other = new BlockList()
      other.addAddress('127.0.0.2')
      const free = { ...where, blockList: other }
      if (seen.length === 0) watch(side, side.net.connect(free), 'free').end('through')
    },
  },
  {
    name: 'a BlockList of the server',
    async server(side) {
      const blockList = new BlockList()
      blockList.addAddress('127.0.0.1')
      const options: object = { blockList }
      const server = side.net.createServer(options, (socket) => {
        side.log('connection')
        socket.resume()
      })
      server.on('drop', (data) => {
        side.log(`drop of ${data?.remoteAddress ?? ''}`)
      })
      await serve(side, server)
    },
    async client(side) {
      const socket = side.net.connect(await target(side))
      socket.on('error', () => undefined) // an end or a reset, as it happens
      socket.on('connect', () => {
        side.log('connect')
        socket.end()
      })
      await happens(socket.resume(), 'close')
      side.tell('over')
    },
  },
  {
    name: 'keepAlive, noDelay and their delays as options',
    server: (side) =>
      serveOne(side, { keepAlive: true, keepAliveInitialDelay: 1500, noDelay: true }, (socket) => {
        watch(side, socket, 'socket').pipe(socket)
      }),
    async client(side) {
      const socket = side.net.connect({
        ...(await target(side)),
        keepAlive: true,
        keepAliveInitialDelay: 2500,
        noDelay: true,
      })
      watch(side, socket, 'socket')
      side.log(`chained ${socket.setNoDelay() === socket && socket.setKeepAlive(true, 1000) === socket}`)
      await happens(socket, 'connect')
      side.log(`chained ${socket.setNoDelay(false) === socket && socket.setKeepAlive(false) === socket}`)
      side.log(`chained ${socket.ref() === socket && socket.unref() === socket && socket.ref() === socket}`)
      socket.end('x')
    },
  },
  {
    name: 'the type of service',
    server: (side) => serveOne(side, {}, (socket) => watch(side, socket, 'socket')),
    async client(side) {
      // Node 26 has it.
      const options: object = { ...(await target(side)), typeOfService: 0x20 }
      const socket = side.net.connect(options as NetConnectOpts) as Socket & {
        setTypeOfService?(value: number): unknown
        getTypeOfService?(): number
      }
      watch(side, socket, 'socket')
      await happens(socket, 'connect')
      for (const value of [0x10, 0xff, 3]) {
        side.log(`was ${String(socket.getTypeOfService?.())}`)
        socket.setTypeOfService?.(value)
      }
      side.log(`is ${String(socket.getTypeOfService?.())}`)
      socket.end()
    },
  },
  {
    name: 'high water marks of a client decide about drain',
    server: (side) => serveOne(side, {}, (socket) => watch(side, socket, 'socket')),
    async client(side) {
      const where = await target(side)
      const options = { ...where, highWaterMark: 10, writableHighWaterMark: 5 }
      const socket = watch(side, side.net.connect(options), 'socket')
      await happens(socket, 'connect')
      side.log(`marks ${socket.readableHighWaterMark} ${socket.writableHighWaterMark}`)
      let drains = 0
      socket.on('drain', () => {
        drains += 1
      })
      for (const length of [1, 4, 5, 9, 10, 11, 100]) {
        const more = socket.write(Buffer.alloc(length))
        side.log(`${length}: ${more}, ${socket.writableNeedDrain}`)
        if (!more) await happens(socket, 'drain')
      }
      side.log(`${drains} drains`)
      socket.end()
    },
  },
  {
    name: 'a lookup of one own, good and bad',
    async server(side) {
      await serve(
        side,
        side.net.createServer((socket) => socket.resume()),
      )
    },
    async client(side) {
      const where = await target(side)
      for (const autoSelectFamily of [false, true]) {
        for (const [name, lookup] of Object.entries(lookups(side, where))) {
          side.log(`${name}, autoSelectFamily ${autoSelectFamily}`)
          const socket = side.net.connect({ host: 'name.test', port: where.port, lookup, autoSelectFamily })
          watch(side, socket, 'socket')
          socket.on('lookup', (error: Error | null, address: string, family: unknown, host: string) => {
            side.log(`lookup ${error ? describe(error) : 'good'} ${address} ${String(family)} ${host}`)
          })
          socket.on('connect', () => {
            side.log(
              `attempted ${String((socket as Partial<Socket>).autoSelectFamilyAttemptedAddresses?.length)}`,
            )
            socket.end()
          })
          await happens(socket, 'close')
        }
      }
      side.tell('over')
    },
  },
  {
    name: 'localhost by family',
    async server(side) {
      const server = side.net.createServer((socket) => socket.resume())
      const departed = departures(server)
      await listen(side, server, { host: '0.0.0.0' })
      await side.hear('over')
      await departed()
      server.close()
    },
    async client(side) {
      const { port } = await target(side)
      for (const family of [0, 4] as const) {
        const socket = watch(side, side.net.connect({ host: 'localhost', port, family }), `family ${family}`)
        socket.on('connect', () => socket.end())
        await happens(socket, 'close')
      }
      side.log(`autoSelectFamily ${getDefaultAutoSelectFamily()}`)
      side.tell('over')
    },
  },
  {
    name: 'ports that are none',
    connects: false,
    server(side) {
      for (const port of PORTS) {
        const server = side.net.createServer()
        server.on('error', (error) => {
          side.log(`listen emits ${codeOf(error)}`)
        })
        server.on('listening', () => server.close())
        side.log(`listen ${JSON.stringify(port)}: ${thrown(() => server.listen({ port: port as number }))}`)
      }
    },
    client(side) {
      for (const port of PORTS) {
        const socket = new side.net.Socket()
        socket.on('error', (error) => {
          side.log(`connect emits ${codeOf(error)}`)
        })
        const connect = (): unknown => socket.connect({ port: port as number, host: '127.0.0.1' })
        side.log(`connect ${JSON.stringify(port)}: ${thrown(connect)}`)
      }
    },
  },
  {
    name: 'listening twice, closing twice, listening again',
    connects: false,
    async server(side) {
      const server = side.net.createServer()
      for (const event of ['listening', 'close', 'error'])
        server.on(event, (error?: Error) => {
          side.log(`${event} ${error ? codeOf(error) : ''}`)
        })
      server.close((error) => {
        side.log(`close before listen: ${error ? codeOf(error) : 'good'}`)
      })
      server.listen(0, '127.0.0.1', 1, () => {
        side.log(`callback, listening ${server.listening}`)
      })
      side.log(`listening ${server.listening}, address ${server.address() !== null}`)
      side.log(`again: ${thrown(() => server.listen(0))}`)
      await happens(server, 'listening')
      side.log(`again: ${thrown(() => server.listen(0))}`)
      const where = server.address() as { port: number }
      const rival = side.net.createServer()
      rival.on('error', (error: NodeJS.ErrnoException & { address?: string; port?: number }) => {
        const { code, errno, syscall, address, port } = error
        side.log(`rival: ${String(code)} ${String(errno)} ${String(syscall)} ${String(address)}`)
        side.log(`its port ${port === where.port}, ${error.message.replace(String(where.port), 'PORT')}`)
      })
      rival.listen({ ...where, host: '127.0.0.1' })
      await happens(rival, 'error')
      side.log(`chained ${server.ref() === server && server.unref() === server && server.ref() === server}`)
      server.close(() => {
        side.log('close callback')
        server.close((error) => {
          side.log(`second close: ${error ? codeOf(error) : 'good'}`)
        })
        rival.listen({ ...where, host: '127.0.0.1' }, () => {
          side.log('the rival listens')
          rival.close()
        })
      })
      side.log(`closing: listening ${server.listening}, address ${JSON.stringify(server.address())}`)
    },
    client: () => undefined,
  },
  {
    name: 'closing a server before it listens',
    connects: false,
    async server(side) {
      const server = side.net.createServer()
      server.on('listening', () => {
        side.log('listening')
        // Node 20.11 listens nevertheless.
        server.close()
      })
      server.listen(0, '127.0.0.1')
      server.close((error) => {
        side.log(`close ${error ? codeOf(error) : 'good'}`)
      })
      await happens(server, 'close')
    },
    client: () => undefined,
  },
  {
    name: 'net.Stream, and sockets made first and connected later',
    server: (side) =>
      serveOne(side, { allowHalfOpen: true }, (socket) => {
        watch(side, socket, 'socket').on('end', () => socket.end('late'))
      }),
    async client(side) {
      const { net } = side
      side.log(`the same ${(net as unknown as { Stream: unknown }).Stream === net.Socket}`)
      const socket = new net.Socket({ allowHalfOpen: true })
      watch(side, socket, 'socket')
      side.log(`${socket.readyState} ${socket.pending} ${socket.connecting} ${String(socket.timeout)}`)
      const where = await target(side)
      socket.connect(where.port, where.host, () => {
        side.log(`callback ${socket.readyState} ${socket.pending} ${socket.connecting}`)
        socket.end('early')
      })
      side.log(`${socket.readyState} ${socket.pending} ${socket.connecting}`)
      await happens(socket, 'close')
      side.log(`${socket instanceof net.Socket}, allowHalfOpen ${socket.allowHalfOpen}`)
    },
  },
  {
    name: 'sockets at a path are left alone',
    connects: false,
    async server(side) {
      const server = side.net.createServer((socket) => {
        watch(side, socket, 'socket').pipe(socket)
        socket.on('close', () => server.close())
      })
      const path = `\0sockswitch-test-${process.pid}`
      await new Promise<void>((resolve) => server.listen(path, resolve))
      side.log(`address ${server.address() === path}`)
      side.tell('path', path)
    },
    async client(side) {
      const path = (await side.hear('path')) as string
      const socket: Socket = watch(side, side.net.connect(path), 'socket')
      const chunks: Buffer[] = []
      socket.on('data', (data) => chunks.push(data)).end('there and back')
      await happens(socket, 'close')
      side.log(`${digest(Buffer.concat(chunks))}, ${String(socket.remoteAddress)}`)
    },
  },
]
