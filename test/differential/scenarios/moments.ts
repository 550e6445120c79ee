/** The same deed at every moment of a connection's life: destroying, ending, resetting. */
import type { Socket } from 'node:net'
import { bytes, describeLoss, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

type Deed = 'destroy' | 'end' | 'resetAndDestroy' | 'destroySoon'

const DEEDS: readonly Deed[] = ['destroy', 'end', 'resetAndDestroy', 'destroySoon']

interface Moment {
  readonly name: string
  /** Calls `act` once, when the moment has come. */
  wait(socket: Socket, act: () => void): void
  /** It comes to sockets that connect only. */
  readonly ofConnect?: true
}

const on =
  (event: string): Moment['wait'] =>
  (socket, act) => {
    socket.once(event, act)
  }

const MOMENTS: readonly Moment[] = [
  {
    name: 'at once',
    wait(_, act) {
      act()
    },
  },
  {
    name: 'in the next tick',
    wait(_, act) {
      process.nextTick(act)
    },
  },
  { name: 'in connect', ofConnect: true, wait: on('connect') },
  { name: 'in ready', ofConnect: true, wait: on('ready') },
  {
    name: 'after connect',
    ofConnect: true,
    wait(socket, act) {
      socket.once('connect', () => setImmediate(act))
    },
  },
  { name: 'in the first data', wait: on('data') },
  {
    name: 'in end',
    wait(socket, act) {
      socket.once('end', act).end()
    },
  },
  {
    name: 'in the callback of a write',
    wait(socket, act) {
      socket.write('ping', act)
    },
  },
  {
    name: 'in drain',
    wait(socket, act) {
      socket.once('drain', act).write(bytes(16_000_000))
    },
  },
]

/** What a stream says of itself. */
export function stateOf(socket: Socket): string {
  const { readyState, connecting, pending, destroyed, closed } = socket
  const flags = {
    connecting,
    pending,
    destroyed,
    closed,
    readable: socket.readable,
    ended: socket.readableEnded,
    aborted: socket.readableAborted,
    writable: socket.writable,
    ending: socket.writableEnded,
    finished: socket.writableFinished,
    errored: socket.errored !== null,
  }
  const set = Object.entries(flags).filter(([, value]) => value)
  return `${readyState}: ${set.map(([name]) => name).join(' ')}`
}

/** Does `deed` at `moment` to `socket`, and tells what it looks like before, after and at the end. */
async function doAt(side: Side, moment: Moment, deed: Deed, socket: Socket): Promise<void> {
  const log = (text: string): void => {
    side.log(`${moment.name}: ${text}`)
  }
  socket.resume().on('error', (error) => {
    log(`error ${describeLoss(error)}`)
  })
  socket.on('close', (hadError) => {
    log(`close (had error ${hadError}) ${stateOf(socket)}`)
  })
  moment.wait(socket, () => {
    log(`before ${stateOf(socket)}`)
    socket[deed]()
    log(`after ${stateOf(socket)}`)
  })
  await happens(socket, 'close')
}

function byClient(deed: Deed): Scenario {
  return {
    name: `${deed} by the client at every moment`,
    async server(side) {
      const server = side.net.createServer((socket) => {
        socket.on('error', () => undefined) // a peer that resets is what this is about
        socket.resume().write('hello')
      })
      await listen(side, server)
      await side.hear('over')
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const where = await target(side)
      for (const moment of MOMENTS) await doAt(side, moment, deed, side.net.connect(where))
      side.tell('over')
    },
  }
}

function byServer(deed: Deed): Scenario {
  return {
    name: `${deed} by the server at every moment`,
    async server(side) {
      const moments = MOMENTS.filter(({ ofConnect }) => ofConnect !== true)
      const arrived: Socket[] = []
      const server = side.net.createServer()
      await listen(side, server)
      side.tell('rounds', moments.length)
      for (const moment of moments) {
        side.tell('go')
        await new Promise<void>((resolve) => {
          server.once('connection', (socket: Socket) => {
            arrived.push(socket)
            void doAt(side, moment, deed, socket).then(resolve)
          })
        })
      }
      server.close(() => {
        side.log(`server close after ${arrived.length}`)
      })
    },
    async client(side) {
      const where = await target(side)
      for (let left = (await side.hear('rounds')) as number; left > 0; left -= 1) {
        await side.hear('go')
        const socket = side.net.connect(where)
        socket.on('error', () => undefined) // how the peer leaves is what this is about
        socket.resume().write('hello')
        await happens(socket, 'close')
      }
      side.log('over')
    },
  }
}

export const MOMENT_SCENARIOS: readonly Scenario[] = DEEDS.flatMap((deed) => [byClient(deed), byServer(deed)])
