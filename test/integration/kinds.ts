/**
 * A cluster whose workers serve in several ways at once, and a client that visits them. The host does as it is told on stdin;
 * so does the client.
 */
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import https from 'node:https'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import tls from 'node:tls'
import type { ProcessSwitch } from '../../src/compose/process-switch.ts'
import { createServer, setInspect } from '../../src/net.ts'
import type { Inspection } from '../../src/net.ts'
import { CERT, KEY } from '../support/certificate.ts'
import { obey } from './orders.ts'
import type { Order, Orders } from './orders.ts'

const HOST = '127.0.0.1'

function statsOf(): object {
  const found = (globalThis as unknown as Record<symbol, ProcessSwitch | undefined>)[
    Symbol.for('sockswitch.process.1')
  ]
  if (found === undefined || !('switch' in found)) return {}
  const { connects, accepts, reasons } = found.switch.stats
  return { connects, accepts, reasons }
}

// --- a worker -------------------------------------------------------------------------------------------------------

async function beWorker(): Promise<void> {
  let verdict: Inspection = 'accept'
  const counts = { tls: 0, https: 0, inspect: 0, 'inspect tls': 0, asked: 0 }
  const echo =
    (kind: keyof typeof counts) =>
    (socket: Socket): void => {
      counts[kind] += 1
      socket.on('error', () => undefined)
      socket.pipe(socket)
    }
  const inspect = (): Inspection => {
    counts.asked += 1
    return verdict
  }
  const servers = {
    tls: tls.createServer({ key: KEY, cert: CERT }, echo('tls')),
    https: https.createServer({ key: KEY, cert: CERT }, (_, response) => {
      counts.https += 1
      response.end('ping')
    }),
    inspect: createServer({ inspect }, echo('inspect')),
    'inspect tls': tls.createServer({ key: KEY, cert: CERT }, echo('inspect tls')),
  }
  setInspect(servers['inspect tls'], inspect)
  const ports: Record<string, number> = {}
  // A cluster tells listeners at any port apart by their order.
  for (const [kind, server] of Object.entries(servers)) {
    await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
    ports[kind] = (server.address() as AddressInfo).port
  }
  process.on('message', (order: Order) => {
    if (order['verdict'] !== undefined) verdict = order['verdict'] as Inspection
    process.send?.({ counts, ...statsOf() })
  })
  process.send?.({ ports })
}

// --- the host and the client ----------------------------------------------------------------------------------------

const workers: Worker[] = []

function heard(worker: Worker): Promise<Order> {
  return new Promise((resolve) => worker.once('message', resolve))
}

/** What a visitor of a server of that kind gets back, or the code of the error. */
function visit(kind: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      resolve(error.code ?? error.message)
    }
    if (kind === 'https') {
      https
        .get({ host: HOST, port, rejectUnauthorized: false, agent: false }, (response) => {
          response.setEncoding('utf8').on('data', resolve)
        })
        .on('error', failed)
      return
    }
    const socket = kind.endsWith('tls')
      ? tls.connect({ host: HOST, port, rejectUnauthorized: false })
      : net.connect({ host: HOST, port })
    socket.on('error', failed).on('close', () => {
      resolve('closed')
    })
    socket.setEncoding('utf8').on('data', (data: unknown) => {
      resolve(data as string)
      socket.end()
    })
    socket.write('ping')
  })
}

const orders: Orders = {
  async start({ policy, count }) {
    cluster.schedulingPolicy = policy === 'shared' ? cluster.SCHED_NONE : cluster.SCHED_RR
    for (let i = 0; i < (count as number); i += 1) workers.push(cluster.fork())
    const [first] = await Promise.all(workers.map(heard))
    return first ?? {}
  },
  /** What each worker has seen; with a verdict, what it answers from now on. */
  async ask({ verdict }) {
    const answers = await Promise.all(
      workers.map((worker) => {
        const answer = heard(worker)
        worker.send({ verdict })
        return answer
      }),
    )
    return { workers: answers }
  },
  async visit({ kind, port }) {
    return { got: await visit(kind as string, port as number), ...statsOf() }
  },
}

function endWorkers(): void {
  for (const worker of workers) worker.process.kill('SIGKILL')
}

if (cluster.isWorker) await beWorker()
else obey(orders, endWorkers)
