/** Many connections, several servers, and connects to servers that close. */
import type { AddressInfo, Server, Socket } from 'node:net'
import { departures, describe, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

/** How connects end: refused, or served and closed. */
async function endings(sockets: readonly Socket[]): Promise<string> {
  const counts = new Map<string, number>()
  await Promise.all(
    sockets.map(async (socket) => {
      let how = 'served'
      socket.on('error', (error) => {
        how = describe(error)
      })
      socket.resume()
      await happens(socket, 'close')
      counts.set(how, (counts.get(how) ?? 0) + 1)
    }),
  )
  return [...counts].map(([how, count]) => `${count} ${how}`).join(', ')
}

async function listenAt(server: Server, host: string, port = 0): Promise<number> {
  await new Promise<void>((resolve) => server.listen({ host, port }, resolve))
  return (server.address() as AddressInfo).port
}

function greeter(side: Side, name: string): Server {
  return side.net.createServer((socket) => socket.resume().end(name))
}

export const CROWDS: readonly Scenario[] = [
  {
    name: 'three hundred connects in one turn',
    async server(side) {
      const server = greeter(side, 'hello')
      let count = 0
      server.on('connection', () => {
        count += 1
      })
      const departed = departures(server)
      await listen(side, server)
      await side.hear('over')
      await departed()
      server.close(() => {
        side.log(`${count} served`)
      })
    },
    async client(side) {
      const where = await target(side)
      side.log(await endings(Array.from({ length: 300 }, () => side.net.connect(where))))
      side.tell('over')
    },
  },
  {
    name: 'connects in the turn in which a server closes',
    connects: false,
    arrangements: ['one process'],
    async server(side) {
      const server = greeter(side, 'hello')
      const where = { host: '127.0.0.1', port: await listenAt(server, '127.0.0.1') }
      const before = endings([side.net.connect(where)])
      server.close(() => {
        side.log('server close')
      })
      const after = endings([side.net.connect(where)])
      side.log(`before the close ${await before}, after it ${await after}`)
    },
    client: () => undefined,
  },
  {
    name: 'several servers of one process are told apart',
    async server(side) {
      const servers = ['first', 'second', 'third'].map((name) => greeter(side, name))
      const [first, second, third] = servers as [Server, Server, Server]
      const port = await listenAt(first, '127.0.0.1')
      // The same port on another address of this host.
      await listenAt(second, '127.0.0.2', port)
      side.tell('ports', [port, await listenAt(third, '127.0.0.1')])
      await side.hear('heard')
      await new Promise((resolve) => first.close(resolve))
      side.tell('closed')
      await side.hear('over')
      second.close()
      third.close()
    },
    async client(side) {
      const [port, other] = (await side.hear('ports')) as [number, number]
      const hear = async (host: string, at: number): Promise<void> => {
        const socket = side.net.connect({ host, port: at })
        socket.on('data', (data) => {
          side.log(`${host} ${at === port ? 'port' : 'other port'}: ${data.toString()}`)
        })
        side.log(await endings([socket]))
      }
      await hear('127.0.0.1', port)
      await hear('127.0.0.2', port)
      await hear('127.0.0.1', other)
      side.tell('heard')
      await side.hear('closed')
      await hear('127.0.0.1', port)
      await hear('127.0.0.2', port)
      await hear('127.0.0.1', other)
      side.tell('over')
    },
  },
]
