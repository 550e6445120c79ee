/** Errors: their fields, their order, and that none is lost. */
import type { LookupFunction, Socket } from 'node:net'
import { closedPort, describe, happens, listen, ownPort, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

/** Everything an error shows, with the port, which differs from run to run, by name. */
function anatomy(error: Error, port: number): string {
  const own = Object.entries(error).map(([key, value]) => [key, value === port ? 'PORT' : (value as unknown)])
  return `${error.constructor.name} "${error.message.replaceAll(String(port), 'PORT')}" ${JSON.stringify(own)}`
}

function watchAnatomy(side: Side, socket: Socket, port: number): void {
  socket.on('error', (error) => {
    side.log(anatomy(error, port))
    for (const part of error instanceof AggregateError ? error.errors : [])
      side.log(`of it: ${anatomy(part as Error, port)}`)
  })
}

/** Answers every name with the two loopback addresses, the one in `first` before the other. */
function lookupBoth(first: 4 | 6): LookupFunction {
  const four = { address: '127.0.0.1', family: 4 }
  const six = { address: '::1', family: 6 }
  return (_name, options, callback) => {
    const all = first === 4 ? [four, six] : [six, four]
    if (options.all === true) callback(null, all)
    else callback(null, all[0]?.address ?? '', all[0]?.family)
  }
}

const ATTEMPTS = ['connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout'] as const

function watchAttempts(side: Side, socket: Socket): void {
  for (const event of ATTEMPTS) {
    socket.on(event, (address: string, _port: number, family: number) => {
      side.log(`${event} ${address} ${family}`)
    })
  }
  socket.on('lookup', (error: Error | null, address: string, family: unknown, host: string) => {
    side.log(`lookup ${error ? describe(error) : 'good'} ${address} ${String(family)} ${host}`)
  })
}

export const ERRORS: readonly Scenario[] = [
  {
    name: 'connect refused',
    connects: false,
    server: () => undefined,
    async client(side) {
      const where = await closedPort(side)
      const socket = watch(side, side.net.connect(where), 'socket')
      watchAnatomy(side, socket, where.port)
    },
  },
  {
    name: 'connect refused over IPv6',
    connects: false,
    server: () => undefined,
    async client(side) {
      const where = await closedPort(side, '::1')
      watchAnatomy(side, watch(side, side.net.connect(where), 'socket'), where.port)
    },
  },
  {
    name: 'connect to a port that the other end has closed',
    async server(side) {
      const server = side.net.createServer((socket) => watch(side, socket, 'socket').end())
      await listen(side, server, { port: ownPort() })
      await side.hear('first is over')
      server.close(() => {
        side.tell('closed')
      })
    },
    async client(side) {
      const where = await target(side)
      await happens(watch(side, side.net.connect(where), 'first'), 'close')
      side.tell('first is over')
      await side.hear('closed')
      watchAnatomy(side, watch(side, side.net.connect(where), 'second'), where.port)
    },
  },
  {
    name: 'every address refused',
    connects: false,
    server: () => undefined,
    async client(side) {
      const { port } = await closedPort(side)
      const options = { host: 'both.test', port, lookup: lookupBoth(6), autoSelectFamily: true }
      const socket = watch(side, side.net.connect(options), 'socket')
      watchAttempts(side, socket)
      watchAnatomy(side, socket, port)
    },
  },
  {
    name: 'the first address refused, the second answers',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end('over IPv4')
      }),
    async client(side) {
      const { port } = await target(side)
      const options = { host: 'both.test', port, lookup: lookupBoth(6), autoSelectFamily: true }
      const socket = watch(side, side.net.connect(options), 'socket')
      watchAttempts(side, socket)
      socket.on('connect', () => {
        side.log(`${socket.remoteAddress ?? ''} ${socket.remoteFamily ?? ''}`)
        side.log(
          `attempted ${JSON.stringify(socket.autoSelectFamilyAttemptedAddresses.map((at) => at.replace(/\d+$/, 'PORT')))}`,
        )
      })
    },
  },
  {
    name: 'the first address answers, the second is not needed',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end('at once')
      }),
    async client(side) {
      const { port } = await target(side)
      const options = { host: 'both.test', port, lookup: lookupBoth(4), autoSelectFamily: true }
      const socket = watch(side, side.net.connect(options), 'socket')
      watchAttempts(side, socket)
    },
  },
  {
    name: 'localhost',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').end(socket.remoteAddress ?? 'nobody')
      }),
    async client(side) {
      const { port } = await target(side)
      watch(side, side.net.connect({ host: 'localhost', port, autoSelectFamily: true }), 'socket')
    },
  },
  {
    name: 'a name that cannot be looked up',
    connects: false,
    server: () => undefined,
    client(side) {
      const failure = Object.assign(new Error('no such name'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' })
      const socket = side.net.connect({
        host: 'none.test',
        port: 80,
        lookup: (_name, _options, done) => {
          done(failure, '')
        },
      })
      watchAttempts(side, socket)
      watch(side, socket, 'socket')
    },
  },
  {
    name: 'arguments that make no sense',
    connects: false,
    server: () => undefined,
    client(side) {
      const attempt = (what: string, action: () => unknown): void => {
        try {
          action()
          side.log(`${what}: accepted`)
        } catch (error) {
          side.log(`${what}: ${describe(error as Error)}`)
        }
      }
      attempt('port out of range', () => side.net.connect({ port: 65_536 }))
      attempt('port of another kind', () => side.net.connect({ port: 'eighty' as unknown as number }))
      attempt('local address', () => side.net.connect({ port: 80, localAddress: 'here' }))
      attempt('local port', () => side.net.connect({ port: 80, localPort: 'there' as unknown as number }))
      attempt('write null', () => new side.net.Socket().write(null as unknown as string))
      attempt('write number', () => new side.net.Socket().write(5 as unknown as string))
      attempt('timeout', () => new side.net.Socket().setTimeout('soon' as unknown as number))
    },
  },
  {
    name: 'write after end',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.end('the end')
      side.log(
        `write returns ${socket.write('more', (error) => {
          side.log(`write: ${error ? describe(error) : 'good'}`)
        })}`,
      )
    },
  },
  {
    name: 'write after destroy',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.destroy()
      socket.write('a', (error) => {
        side.log(`write: ${error ? describe(error) : 'good'}`)
      })
      socket.end('b', (error?: Error) => {
        side.log(`end: ${error ? describe(error) : 'good'}`)
      })
    },
  },
  {
    name: 'writes pending when destroyed',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        socket.pause()
        socket.on('error', (error) => {
          side.log(describe(error))
        })
        void side.hear('destroyed').then(() => socket.destroy())
        side.tell('accepted')
      }),
    async client(side) {
      const { bytes } = await import('../side.ts')
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await Promise.all([side.hear('accepted'), happens(socket, 'connect')])
      for (const name of ['first', 'second']) {
        socket.write(bytes(16_000_000), (error) => {
          side.log(`${name}: ${error ? describe(error) : 'good'}`)
        })
      }
      socket.destroy()
      side.tell('destroyed')
    },
  },
  {
    name: 'an address in use',
    connects: false,
    async server(side) {
      const server = side.net.createServer()
      await listen(side, server)
      await side.hear('seen')
      server.close()
    },
    async client(side) {
      const where = await target(side)
      const second = side.net.createServer()
      second.on('error', (error) => {
        side.log(anatomy(error, where.port))
        side.log(`listening ${second.listening}`)
        side.tell('seen')
      })
      second.listen(where)
    },
  },
  {
    name: 'an address that is not of this host',
    connects: false,
    server: () => undefined,
    client(side) {
      const server = side.net.createServer()
      server.on('error', (error) => {
        side.log(anatomy(error, 0))
      })
      server.listen({ host: '192.0.2.1', port: 0 })
      const options = { host: '127.0.0.1', port: 9, localAddress: '192.0.2.1' }
      watchAnatomy(side, side.net.connect(options), 9)
    },
  },
  {
    name: 'AbortSignal before and after connecting',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
      }),
    async client(side) {
      const where = await target(side)
      const early = new AbortController()
      const late = new AbortController()
      const signalled = (signal: AbortSignal): Socket => side.net.connect({ ...where, signal } as never)
      const first = watch(side, signalled(early.signal), 'early')
      early.abort()
      await happens(first, 'close')
      const second = watch(side, signalled(late.signal), 'late')
      await happens(second, 'connect')
      late.abort()
    },
  },
]
