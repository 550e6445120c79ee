/**
 * Programs between which a connection is sent about while data flow over it both ways: `client` connects, `host` listens and
 * starts a `child`, and host and child send the socket to each other. Each says what happened on stdout.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ProcessSwitch } from '../../src/compose/process-switch.ts'
import type { TcpHandle } from '../../src/faces/net/internals.ts'
import { Pattern } from '../support/pattern.ts'

type Order = Readonly<Record<string, unknown>>
type Reply = (answer: object) => void

/** What a process that takes the socket goes on from. */
interface Position {
  readonly sent: number
  readonly heard: number
}

const [role = 'client'] = process.argv.slice(2)
const PATTERNS = { client: new Pattern(1), host: new Pattern(2) }
const WRITE_BYTES = 30_011
const HOST = '127.0.0.1'

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function wayOf(socket: Socket): string {
  const found = (globalThis as unknown as Record<symbol, ProcessSwitch | undefined>)[
    Symbol.for('sockswitch.process.1')
  ]
  const { _handle: handle } = socket as Socket & { readonly _handle: TcpHandle | null }
  if (handle === null) return 'closed'
  const isSwitched = found !== undefined && 'face' in found
  return (isSwitched ? found.face.reasonOf(handle) : undefined) ?? (handle.fd === -1 ? 'san' : 'descriptor')
}

/** Writes one pattern without a pause, and compares what comes with another. */
class Flow {
  readonly socket: Socket
  sent: number
  heard: number
  #isPaused = false
  #waiting: { bytes: number; reply: Reply } | undefined
  readonly #side: 'client' | 'host'

  constructor(socket: Socket, side: 'client' | 'host', { sent, heard }: Position = { sent: 0, heard: 0 }) {
    this.socket = socket
    this.#side = side
    this.sent = sent
    this.heard = heard
    socket.on('data', this.#hear)
    socket.on('end', () => {
      // The client ends first; what it has not heard yet is on its way.
      if (this.#side === 'host') this.end()
    })
    let error = 'none'
    socket.on('error', (reason: NodeJS.ErrnoException) => {
      error = reason.code ?? reason.message
    })
    socket.on('close', () => {
      if (!this.#isPaused || this.socket.writableEnded)
        say({ event: `${side} over`, sent: this.sent, heard: this.heard, error })
    })
    this.#write()
  }

  readonly #write = (): void => {
    if (this.#isPaused || this.socket.writableEnded || this.socket.destroyed) return
    const pattern = PATTERNS[this.#side]
    this.socket.write(pattern.slice(this.sent, WRITE_BYTES), () => setImmediate(this.#write))
    this.sent += WRITE_BYTES
  }

  readonly #hear = (chunk: Buffer): void => {
    const pattern = PATTERNS[this.#side === 'client' ? 'host' : 'client']
    const damage = pattern.damageIn(chunk, this.heard)
    this.heard += chunk.length
    if (damage !== undefined) {
      say({ event: 'damage', side: this.#side, at: damage })
      process.exit(1)
    }
    if (this.#waiting !== undefined && this.heard >= this.#waiting.bytes) {
      this.#waiting.reply({ heard: this.heard })
      this.#waiting = undefined
    }
  }

  /** Answers when `bytes` more have come. */
  hear(bytes: number, reply: Reply): void {
    this.#waiting = { bytes: this.heard + bytes, reply }
  }

  end(): void {
    if (!this.socket.writableEnded) this.socket.end()
  }

  /** Leaves the socket to whoever gets it next. */
  leave(): Position {
    this.#isPaused = true
    this.socket.off('data', this.#hear)
    return { sent: this.sent, heard: this.heard }
  }

  goOn(): void {
    this.#isPaused = false
    this.socket.on('data', this.#hear)
    this.#write()
  }
}

let flow: Flow | undefined
let child: ChildProcess | undefined

/** What the other process sends: a position with the socket, or an order without. */
function receive(message: Order, socket?: Socket): void {
  if ('text' in message) {
    say({ event: 'text', text: message['text'], by: role })
    return
  }
  if (message['command'] !== undefined) {
    obey(message)
    return
  }
  const way = socket === undefined ? 'no socket' : wayOf(socket)
  const { localPort, remotePort } = socket ?? {}
  if (socket !== undefined) flow = new Flow(socket, 'host', message as unknown as Position)
  say({ event: 'held', by: role, way, localPort, remotePort })
}

const orders: Readonly<Record<string, (order: Order, reply: Reply) => void>> = {
  listen({ pauseOnConnect }, reply) {
    const server = net.createServer(
      { allowHalfOpen: true, pauseOnConnect: pauseOnConnect === true },
      (socket) => {
        say({ event: 'arrived', way: wayOf(socket) })
        flow = pauseOnConnect === true ? idle(socket) : new Flow(socket, 'host')
      },
    )
    server.listen(0, HOST, () => {
      reply(server.address() as AddressInfo)
    })
  },
  connect({ port }, reply) {
    const socket = net.connect({ port: port as number, host: HOST, allowHalfOpen: true }, () => {
      flow = new Flow(socket, role === 'client' ? 'client' : 'host')
      reply({ way: wayOf(socket), port: socket.localPort })
    })
  },
  /** Starts the child; with `limits`, of its shared memory. */
  raise({ env, limits }, reply) {
    const [script, args] =
      limits === undefined
        ? [import.meta.url, ['child']]
        : [
            import.meta.resolve(`./limited${import.meta.url.slice(-3)}`),
            [JSON.stringify(limits), 'carrier', 'child'],
          ]
    child = fork(fileURLToPath(script), args, {
      ...(limits !== undefined && { execArgv: [] }),
      env: { ...process.env, ...(env as object) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    child.on('message', receive)
    reply({ pid: child.pid })
  },
  /** Sends the socket to the other process, between two messages. */
  send({ keepOpen, closed }, reply) {
    const to = child ?? process
    const send = (): void => {
      const options = keepOpen === true ? { keepOpen } : undefined
      to.send?.({ text: 'before' })
      to.send?.(flow?.leave() ?? {}, flow?.socket, options, (error: Error | null) => {
        say({ event: 'sent', error: error?.message })
      })
      to.send?.({ text: 'after' })
      reply({ handle: (flow?.socket as unknown as { _handle: unknown })._handle !== null })
    }
    if (closed === true) flow?.socket.once('close', send)
    else send()
  },
  /** As `send`, with a message that cannot be sent: answers what is thrown. */
  sendNothing(_, reply) {
    const to = child ?? process
    flow?.leave()
    try {
      to.send?.(undefined as never, flow?.socket)
    } catch (error) {
      flow?.goOn()
      reply({ thrown: (error as NodeJS.ErrnoException).code })
    }
  },
  /** Sends a socket that was never switched: answers what comes first on its other end, as the pattern has it. */
  sendOther(_, reply) {
    const path = `\0carrier/${String(process.pid)}`
    const server = net.createServer((end) => {
      end.once('data', (chunk) => {
        reply({ damage: PATTERNS.host.damageIn(chunk, 0) ?? 'none' })
        end.destroy()
        server.close()
      })
    })
    server.listen(path, () => {
      const socket = net.connect(path, () => {
        child?.send({ sent: 0, heard: 0 }, socket)
      })
    })
  },
  hear({ bytes }, reply) {
    flow?.hear(bytes as number, reply)
  },
  end(_, reply) {
    flow?.end()
    reply({})
  },
  destroy(_, reply) {
    flow?.socket.destroy()
    reply({})
  },
  reasons(_, reply) {
    const found = (globalThis as unknown as Record<symbol, ProcessSwitch | undefined>)[
      Symbol.for('sockswitch.process.1')
    ]
    reply({ reasons: found !== undefined && 'switch' in found ? found.switch.stats.reasons : {} })
  },
}

/** A socket that nobody reads, to be sent on. */
function idle(socket: Socket): Flow {
  return { socket, leave: () => ({ sent: 0, heard: 0 }) } as unknown as Flow
}

function obey(order: Order): void {
  // The child answers on the same stdout.
  if (role === 'host' && order['at'] === 'child') {
    child?.send(order)
    return
  }
  orders[order['command'] as string]?.(order, (answer) => {
    say({ id: order['id'], ...answer })
  })
}

if (role === 'child') {
  process.on('message', receive)
  say({ event: 'child ready' })
} else {
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      obey(JSON.parse(line) as Order)
    })
    .on('close', () => process.exit(3))
  say({ event: 'ready' })
}
