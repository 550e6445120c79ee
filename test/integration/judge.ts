/** A server that judges who may connect, as it is told: `accept`, `reject`, `throw`, `odd`, or `hold` until a verdict comes. */
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { createServer, setInspect } from '../../src/net.ts'
import type { InspectRequest, Inspection } from '../../src/net.ts'

type Order = Readonly<Record<string, unknown>>

const held = new Map<number, (inspection: Inspection) => void>()
let mode = 'accept'
let later = false
let asked = 0

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function answer(): Inspection {
  if (mode === 'throw') throw new Error('no idea')
  return mode as Inspection
}

const numbers = new Map<InspectRequest, number>()

function inspect(request: InspectRequest): Inspection | Promise<Inspection> {
  const number = (asked += 1)
  numbers.set(request, number)
  const { remoteAddress, remotePort, localPort, provider, signal } = request
  say({ event: 'asked', number, remoteAddress, remotePort, localPort, provider })
  signal.addEventListener('abort', () => {
    say({ event: 'aborted', number })
  })
  if (mode === 'hold') return new Promise((resolve) => held.set(number, resolve))
  // eslint-disable-next-line @typescript-eslint/require-await -- a promise that rejects with what is thrown
  return later ? (async () => answer())() : answer()
}

const server =
  process.argv[2] === 'http' ? http.createServer() : createServer({ inspect, allowHalfOpen: true })
if (server instanceof http.Server) setInspect(server, inspect)
server.on('connection', (socket: Socket) => {
  const { remotePort, bytesRead } = socket
  say({ event: 'connected', remotePort, bytesRead })
  socket.on('error', () => undefined)
  if (!(server instanceof http.Server)) socket.pipe(socket)
})
server.on('inspectAbort', (request: InspectRequest) => {
  say({ event: 'abandoned', number: numbers.get(request) })
})
server.on('error', (error) => {
  say({ event: 'error', message: error.message })
})
server.on('close', () => {
  say({ event: 'closed' })
})

const orders: Readonly<Record<string, (order: Order, reply: (answer: object) => void) => void>> = {
  listen(_, reply) {
    server.listen(0, '127.0.0.1', () => {
      reply(server.address() as AddressInfo)
    })
  },
  judge(order, reply) {
    mode = order['mode'] as string
    later = order['later'] === true
    reply({})
  },
  decide({ number, verdict }, reply) {
    held.get(number as number)?.(verdict as Inspection)
    reply({})
  },
  close(_, reply) {
    server.close()
    reply({})
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line) as Order
    orders[order['command'] as string]?.(order, (reply) => {
      say({ id: order['id'], ...reply })
    })
  })
  .on('close', () => process.exit(3))
say({ event: 'ready' })
