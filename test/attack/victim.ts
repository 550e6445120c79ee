/**
 * An honest, switched program: echoes on the connections that it accepts, makes connections, and does as the test asks.
 * Everything goes through `node:net`; `sockswitch.process.1` is only looked at.
 */
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { ProcessSwitch } from '../../src/compose/process-switch.ts'
import type { TcpHandle } from '../../src/faces/net/internals.ts'
import { onHeard, say, stay } from '../support/app-side.ts'

type Request = Readonly<Record<string, unknown>>

const whole = (globalThis as unknown as Record<symbol, ProcessSwitch | undefined>)[
  Symbol.for('sockswitch.process.1')
]
const servers = new Map<number, net.Server>()
const sockets = new Map<string, Socket>()
/** Accepted connections by the port of their peer. */
const accepted = new Map<number, Socket>()
let arrivals = 0
let reading = true

function serve(socket: Socket): void {
  const port = socket.remotePort ?? 0
  accepted.set(port, socket)
  arrivals += 1
  const { localAddress, localPort, remoteAddress, remoteFamily } = socket
  say({ arrived: port, way: wayOf(socket), localAddress, localPort, remoteAddress, remoteFamily })
  let how = 'end'
  socket.on('error', (error: NodeJS.ErrnoException) => {
    how = error.code ?? error.message
  })
  socket.on('close', () => {
    accepted.delete(port)
    say({ left: port, how })
  })
  if (reading) socket.pipe(socket)
}

/** Which way a connection goes: `san`, or why it does not. */
function wayOf(socket: Socket): string {
  const handle = (socket as Socket & { _handle: TcpHandle | null })._handle
  if (handle === null) return 'closed'
  return whole?.face.reasonOf(handle) ?? (handle.fd === -1 ? 'san' : 'tcpip')
}

const commands: Readonly<Record<string, (request: Request, reply: (answer: object) => void) => void>> = {
  listen({ host, port, backlog }, reply) {
    const server = net.createServer({ allowHalfOpen: true }, serve)
    server.on('error', (error) => {
      reply({ error: error.message })
    })
    server.listen(
      {
        host: host as string,
        port: (port as number | undefined) ?? 0,
        backlog: backlog as number | undefined,
      },
      () => {
        const at = (server.address() as AddressInfo).port
        servers.set(at, server)
        reply({ port: at })
      },
    )
  },
  unlisten({ port }, reply) {
    servers.get(port as number)?.close()
    reply({})
  },
  /** Connections accepted from now on are read, or are not. */
  read({ on }, reply) {
    reading = on as boolean
    reply({})
  },
  connect({ port, host, key }, reply) {
    const socket = net.connect({ port: port as number, host: host as string })
    sockets.set(key as string, socket)
    let how = 'end'
    socket.once('connect', () => {
      reply({ way: wayOf(socket), localPort: socket.localPort })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code ?? error.message
      reply({ error: how })
    })
    socket.on('close', () => {
      sockets.delete(key as string)
      say({ closed: key, how })
    })
  },
  /** Sends `bytes` bytes and reads as many back. */
  echo({ key, bytes }, reply) {
    const socket = sockets.get(key as string)
    if (socket === undefined) {
      reply({ error: 'no such connection' })
      return
    }
    const out = Buffer.alloc(bytes as number, String(bytes))
    const back: Buffer[] = []
    let left = out.length
    const onData = (chunk: Buffer): void => {
      back.push(chunk)
      left -= chunk.length
      if (left > 0) return
      done(Buffer.concat(back).equals(out) ? {} : { error: 'other bytes came back' })
    }
    const onClose = (): void => {
      done({ error: 'the connection ended' })
    }
    const done = (answer: object): void => {
      socket.off('data', onData).off('close', onClose)
      reply(answer)
    }
    socket.on('data', onData).on('close', onClose)
    socket.write(out)
  },
  /** Writes without waiting for anything. */
  write({ key, bytes }, reply) {
    const taken = sockets.get(key as string)?.write(Buffer.alloc(bytes as number, 'x'))
    reply({ taken })
  },
  close({ key }, reply) {
    const socket = sockets.get(key as string)
    socket?.once('close', () => {
      reply({})
    })
    socket?.destroy()
  },
  /** Writes to the accepted connection from `port` until it says that it has enough; tells how much that was. */
  flood({ port }, reply) {
    const piece = Buffer.alloc(64 << 10, 'f')
    let bytes = 0
    for (let more = true; more && bytes < 1 << 30; bytes += piece.length) {
      more = accepted.get(port as number)?.write(piece) ?? false
    }
    reply({ bytes })
  },
  /** Closes the accepted connection from `port`. */
  drop({ port }, reply) {
    accepted.get(port as number)?.destroy()
    reply({})
  },
  state(_, reply) {
    reply({
      accepted: accepted.size,
      arrivals,
      reasons: whole?.switch.stats.reasons,
      shm: whole?.shm.stats,
    })
  },
  /** In how many turns of the event loop, of those in the next 50 ms, links had something to say. */
  turns(_, reply) {
    const turns = (): number => whole?.shm.stats.poller?.turns ?? 0
    const before = turns()
    setTimeout(() => {
      reply({ turns: turns() - before })
    }, 50)
  },
}

onHeard((request) => {
  const { id, command } = request
  let replied = false
  commands[command as string]?.(request, (answer) => {
    if (!replied) say({ id, ...answer })
    replied = true
  })
})
stay()
process.on('uncaughtException', (error) => {
  say({ uncaught: error.stack })
  process.exit(70)
})
say({ switched: whole !== undefined })
