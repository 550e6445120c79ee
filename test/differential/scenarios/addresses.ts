/** Addresses and ports: never as values, which differ from run to run, but as what one end knows of the other. */
import type { AddressInfo, Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

interface Ends {
  readonly local: string
  readonly remote: string
  readonly families: string
}

function endsOf(socket: Socket): Ends {
  return {
    local: `${socket.localAddress ?? ''} ${socket.localPort ?? ''}`,
    remote: `${socket.remoteAddress ?? ''} ${socket.remotePort ?? ''}`,
    families: `${socket.localFamily ?? ''} ${socket.remoteFamily ?? ''}`,
  }
}

/** Both ends compare what they know; the server listens as `options` say, the client connects to `host`. */
function compares(name: string, options: { host: string; ipv6Only?: boolean }, host: string): Scenario {
  return {
    name: `addresses: ${name}`,
    async server(side) {
      const server = side.net.createServer((socket) => {
        watch(side, socket, 'socket')
        side.tell('server ends', endsOf(socket))
        side.log(`server sees ${endsOf(socket).families}`)
        socket.on('close', () => server.close())
      })
      await listen(side, server, options)
      const { port, ...rest } = server.address() as AddressInfo
      side.log(`server address ${JSON.stringify(rest)}, a port ${port > 0}`)
    },
    async client(side) {
      const { port } = await target(side)
      const socket = watch(side, side.net.connect({ host, port }), 'socket')
      await happens(socket, 'connect')
      const mine = endsOf(socket)
      const theirs = (await side.hear('server ends')) as Ends
      compare(side, mine, theirs)
      side.log(`client sees ${mine.families}, remote port right ${socket.remotePort === port}`)
      const { port: local, ...rest } = socket.address() as AddressInfo
      side.log(`client address ${JSON.stringify(rest)}, its port ${local === socket.localPort}`)
      socket.end()
      await happens(socket, 'close')
      side.log(`after close ${JSON.stringify({ ...socket.address(), port: 0 })}`)
      side.log(
        `the same ends after close: local ${endsOf(socket).local === mine.local}, remote ${endsOf(socket).remote === mine.remote}`,
      )
    },
  }
}

function compare(side: Side, mine: Ends, theirs: Ends): void {
  const plain = (text: string): string => text.replace(/^::ffff:/, '')
  side.log(`my local is their remote: ${plain(mine.local) === plain(theirs.remote)}`)
  side.log(`my remote is their local: ${plain(mine.remote) === plain(theirs.local)}`)
  side.log(`they write it as ${theirs.remote.replace(/ \d+$/, '')}, I as ${mine.local.replace(/ \d+$/, '')}`)
}

/** The first IPv4 address of this host that is not a loopback one, if there is any. */
const OUTWARD = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .filter(({ family, internal }) => family === 'IPv4' && !internal)
  .map(({ address }) => address)
  .slice(0, 1)

export const ADDRESSES: readonly Scenario[] = [
  compares('127.0.0.1', { host: '127.0.0.1' }, '127.0.0.1'),
  compares('::1', { host: '::1' }, '::1'),
  compares('any IPv4 address', { host: '0.0.0.0' }, '127.0.0.1'),
  compares('another loopback address', { host: '0.0.0.0' }, '127.0.0.7'),
  compares('any address, from IPv4', { host: '::' }, '127.0.0.1'),
  compares('any address, from IPv6', { host: '::' }, '::1'),
  compares('any IPv6 address only', { host: '::', ipv6Only: true }, '::1'),
  compares('a mapped address, to any address', { host: '::' }, '::ffff:127.0.0.1'),
  compares('a mapped address, to any IPv4 address', { host: '0.0.0.0' }, '::ffff:127.0.0.1'),
  compares('a mapped address, to an IPv4 address', { host: '127.0.0.1' }, '::ffff:127.0.0.1'),
  compares('a mapped address at both', { host: '::ffff:127.0.0.1' }, '::ffff:127.0.0.1'),
  compares('a mapped address listened to', { host: '::ffff:127.0.0.1' }, '127.0.0.1'),
  compares('no address, to any IPv4 address', { host: '0.0.0.0' }, '0.0.0.0'),
  compares('no address, to any address', { host: '::' }, '::'),
  ...OUTWARD.map((host) => compares('an address that others see', { host }, host)),
  ...OUTWARD.map((host) => compares('any address, from one that others see', { host: '::' }, host)),
  {
    name: 'IPv4 does not reach a server for IPv6 only',
    connects: false,
    async server(side) {
      const server = side.net.createServer(() => {
        side.log('connection')
      })
      await listen(side, server, { host: '::', ipv6Only: true })
      await side.hear('refused')
      server.close()
    },
    async client(side) {
      const { port } = await target(side)
      const socket = watch(side, side.net.connect({ host: '127.0.0.1', port }), 'socket')
      await happens(socket, 'close')
      side.tell('refused')
    },
  },
  {
    name: 'a server on one loopback address is not reached by another',
    connects: false,
    async server(side) {
      const server = side.net.createServer(() => {
        side.log('connection')
      })
      await listen(side, server, { host: '127.0.0.1' })
      await side.hear('refused')
      server.close()
    },
    async client(side) {
      const { port } = await target(side)
      const socket = watch(side, side.net.connect({ host: '127.0.0.2', port }), 'socket')
      await happens(socket, 'close')
      side.tell('refused')
    },
  },
  {
    name: 'a local address and port of one own choice',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket')
        side.tell('server ends', endsOf(socket))
      }),
    async client(side) {
      const where = await target(side)
      const reservation = side.net.createServer()
      await new Promise<void>((resolve) => reservation.listen({ host: '127.0.0.3', port: 0 }, resolve))
      const { port: localPort } = reservation.address() as AddressInfo
      await new Promise((resolve) => reservation.close(resolve))
      const socket = watch(
        side,
        side.net.connect({ ...where, localAddress: '127.0.0.3', localPort }),
        'socket',
      )
      await happens(socket, 'connect')
      const theirs = (await side.hear('server ends')) as Ends
      side.log(
        `as chosen ${theirs.remote === `127.0.0.3 ${localPort}` && theirs.remote === endsOf(socket).local}`,
      )
      socket.end()
    },
  },
  {
    name: 'addresses before connecting and while closed',
    connects: false,
    server: () => undefined,
    client(side) {
      const socket = new side.net.Socket()
      side.log(JSON.stringify([socket.address(), endsOf(socket), socket.readyState]))
      side.log(JSON.stringify(side.net.createServer().address()))
    },
  },
  {
    name: 'two connections from one end have two ports',
    async server(side) {
      const seen: string[] = []
      let ended = 0
      const server = side.net.createServer((socket) => {
        seen.push(endsOf(socket).remote)
        socket.resume().on('end', () => {
          if ((ended += 1) < 2) return
          side.log(`different ${seen[0] !== seen[1]}`)
          server.close()
        })
      })
      await listen(side, server)
    },
    async client(side) {
      const where = await target(side)
      const [first, second] = [side.net.connect(where), side.net.connect(where)]
      await Promise.all([happens(first, 'connect'), happens(second, 'connect')])
      side.log(`different ${first.localPort !== second.localPort}`)
      first.end()
      await happens(first, 'close')
      second.end()
    },
  },
]
