/**
 * A program that does as it is told and says what happened, over nothing but `node:net`. Runs as a program of its own, and
 * as a worker of {@link file://./worker-host.ts}.
 */
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { isMainThread, parentPort } from 'node:worker_threads'
import type { ProcessSwitch } from '../../src/compose/process-switch.ts'
import type { TcpHandle } from '../../src/faces/net/internals.ts'

type Order = Readonly<Record<string, unknown>>
type Reply = (answer: object) => void

const found = (
  globalThis as unknown as Record<symbol, ProcessSwitch | { readonly unavailable: string } | undefined>
)[Symbol.for('sockswitch.process.1')]
const whole = found === undefined || 'unavailable' in found ? undefined : found
const servers = new Map<number, net.Server>()
const sockets = new Map<string, Socket>()
const hoard: number[] = []

function say(message: object): void {
  if (parentPort === null) process.stdout.write(`${JSON.stringify(message)}\n`)
  else parentPort.postMessage(message)
}

/** Which way a connection goes: `san`, or why it does not; `tcpip` where the switch had no say. */
function wayOf(socket: Socket): string {
  const handle = (socket as Socket & { _handle: TcpHandle | null })._handle
  if (handle === null) return 'closed'
  return whole?.face.reasonOf(handle) ?? (handle.fd === -1 ? 'san' : 'tcpip')
}

function namesOf(socket: Socket): object {
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket
  return { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily }
}

const orders: Readonly<Record<string, (order: Order, reply: Reply) => void>> = {
  /** Listens, and echoes on whatever comes. */
  listen({ options }, reply) {
    const server = net.createServer({ allowHalfOpen: true }, (socket) => {
      say({ event: 'arrived', way: wayOf(socket), ...namesOf(socket) })
      let how = 'end'
      socket.on('error', (error: NodeJS.ErrnoException) => {
        how = error.code ?? error.message
      })
      socket.on('close', () => {
        say({ event: 'left', how })
      })
      socket.pipe(socket)
    })
    server.on('error', (error: NodeJS.ErrnoException) => {
      reply({ error: error.code })
    })
    server.listen({ port: 0, host: '127.0.0.1', ...(options as object) }, () => {
      const { port } = server.address() as AddressInfo
      servers.set(port, server)
      reply(server.address() as AddressInfo)
    })
  },
  unlisten({ port }, reply) {
    servers.get(port as number)?.close()
    reply({})
  },
  /** Connects; an error that is thrown is told apart from one that is emitted. */
  connect({ key, options }, reply) {
    let socket: Socket
    try {
      socket = net.connect({ host: '127.0.0.1', ...(options as net.TcpNetConnectOpts) })
    } catch (error) {
      reply({ thrown: (error as Error).message })
      return
    }
    sockets.set(key as string, socket)
    let how = 'end'
    socket.on('connect', () => {
      reply({ way: wayOf(socket), ...namesOf(socket) })
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      how = error.code ?? error.message
      reply({ error: how, message: error.message })
    })
    socket.on('close', () => {
      sockets.delete(key as string)
      say({ event: `closed ${String(key)}`, how })
    })
  },
  /** Sends `bytes` bytes over connection `key` and reads as many back. */
  echo({ key, bytes }, reply) {
    const socket = sockets.get(key as string)
    const out = Buffer.alloc(bytes as number, 'echo')
    const back: Buffer[] = []
    let left = out.length
    const onData = (chunk: Buffer): void => {
      back.push(chunk)
      left -= chunk.length
      if (left <= 0) done(Buffer.concat(back).equals(out) ? {} : { error: 'other bytes came back' })
    }
    const onClose = (): void => {
      done({ error: 'the connection ended' })
    }
    const done = (answer: object): void => {
      socket?.off('data', onData).off('close', onClose)
      reply(answer)
    }
    if (socket === undefined) {
      reply({ error: 'no such connection' })
      return
    }
    socket.on('data', onData).on('close', onClose)
    socket.write(out)
  },
  close({ key }, reply) {
    const socket = sockets.get(key as string)
    if (socket === undefined) reply({})
    socket?.once('close', () => {
      reply({})
    })
    socket?.destroy()
  },
  reset({ key }, reply) {
    sockets.get(key as string)?.resetAndDestroy()
    reply({})
  },
  /** Takes every descriptor that is left but `leave`. */
  hoard({ leave }, reply) {
    try {
      for (;;) hoard.push(openSync('/dev/null', 'r'))
    } catch {
      // That was the last one.
    }
    for (let left = leave as number; left > 0; left -= 1) closeSync(hoard.pop() as number)
    reply({ hoarded: hoard.length })
  },
  share(_, reply) {
    for (const fd of hoard.splice(0)) closeSync(fd)
    reply({})
  },
  state(_, reply) {
    const { user, system } = process.cpuUsage()
    reply({
      stats: whole?.switch.stats,
      reasons: whole?.switch.stats.reasons,
      observed: whole?.switch.stats.observed,
      shm: whole?.shm.stats,
      cpu: user + system,
    })
  },
  exit({ code }) {
    process.exit(code as number)
  },
}

function obey(order: Order): void {
  let replied = false
  orders[order['command'] as string]?.(order, (answer) => {
    if (!replied) say({ id: order['id'], ...answer })
    replied = true
  })
}

process.on('uncaughtException', (error) => {
  say({ event: 'uncaught', message: error.message, stack: error.stack })
})
if (isMainThread) {
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      obey(JSON.parse(line) as Order)
    })
    .on('close', () => process.exit(3))
} else {
  parentPort?.on('message', obey)
}
say({ event: 'ready', switched: whole !== undefined })
