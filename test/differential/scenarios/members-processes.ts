/** Every member of workers of a cluster and of child processes, and what becomes of sockets and servers that are sent. */
/* eslint-disable @typescript-eslint/no-deprecated -- every member, old ones too */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side, Where } from '../side.ts'

const CHILD = fileURLToPath(new URL('../child.js', import.meta.url))

/** Counts events; which of those of two emitters comes first is left to chance. */
function counting(
  side: Side,
  what: string,
  emitter: NodeJS.EventEmitter,
  events: readonly string[],
): () => void {
  const counts = new Map(events.map((event) => [event, 0]))
  for (const event of events) emitter.on(event, () => counts.set(event, (counts.get(event) ?? 0) + 1))
  return () => {
    side.log(`${what}: ${JSON.stringify(Object.fromEntries(counts))}`)
  }
}

function noteWorker(side: Side, when: string, worker: Worker): void {
  const { id, exitedAfterDisconnect } = worker
  const facts = [id, exitedAfterDisconnect, worker.isConnected(), worker.isDead(), worker.process.killed]
  side.log(`${when}: ${facts.join()}`)
}

function noteChild(side: Side, when: string, child: ChildProcess): void {
  const { killed, connected, exitCode, signalCode, spawnargs, spawnfile, stdin, stdout, stderr, stdio } =
    child
  side.log(`${when}: ${[killed, connected, exitCode, signalCode, spawnargs.length].join()}`)
  side.log(
    `${spawnfile === process.execPath} ${[stdin, stdout, stderr].every((each) => each === null)} ${stdio.length}`,
  )
  side.log(`${typeof child.pid} ${child.channel?.constructor.name}`)
}

/** Reads from the server, asks when it is time, and reads to the end. */
async function converse(side: Side, where: Where, time: Promise<unknown> = Promise.resolve()): Promise<void> {
  const socket = side.net.connect(where)
  const chunks: Buffer[] = []
  socket.on('data', (data) => {
    if (chunks.push(data) === 1) void time.then(() => socket.write('question'))
  })
  socket.on('error', (error) => {
    side.log(error.message)
  })
  await happens(socket, 'close')
  side.log(digest(Buffer.concat(chunks)))
}

export const PROCESS_MEMBERS: readonly Scenario[] = [
  {
    name: 'cluster: every member and event of a worker',
    async server(side) {
      const events = ['disconnect', 'exit', 'fork', 'listening', 'message', 'online', 'setup']
      const ofCluster = counting(side, 'cluster', cluster, events)
      cluster.schedulingPolicy = cluster.SCHED_RR
      cluster.setupPrimary({ exec: CHILD, args: ['unused'], silent: true, serialization: 'json' })
      cluster.setupMaster()
      const { isMaster, isPrimary, isWorker, schedulingPolicy, SCHED_NONE, SCHED_RR, settings } = cluster
      side.log(
        [isMaster, isPrimary, isWorker, schedulingPolicy, SCHED_NONE, SCHED_RR, settings.silent].join(),
      )
      const worker = cluster.fork()
      const ofWorker = counting(side, 'worker', worker, [
        'disconnect',
        'error',
        'exit',
        'listening',
        'message',
        'online',
      ])
      noteWorker(side, 'forked', worker)
      const [{ port }] = await new Promise<[{ port: number }]>((resolve) => {
        worker.on('listening', (address) => {
          resolve([address])
        })
      })
      noteWorker(side, 'listening', worker)
      side.log(`${worker.constructor.name}, workers ${Object.keys(cluster.workers ?? {}).join()}`)
      side.tell('listening', { host: '127.0.0.1', port })
      await side.hear('over')
      worker.send('hello')
      await happens(worker, 'message')
      worker.disconnect()
      await happens(worker, 'exit')
      noteWorker(side, 'disconnected', worker)
      for (const end of ['kill', 'destroy'] as const) {
        const other = cluster.fork()
        await happens(other, 'online')
        other[end]()
        await happens(other, 'exit')
        noteWorker(side, end, other)
      }
      await new Promise<void>((resolve) => {
        cluster.disconnect(resolve)
      })
      ofWorker()
      ofCluster()
    },
    async client(side) {
      const where = await target(side)
      for (let at = 0; at < 3; at += 1) await converse(side, where)
      side.tell('over')
    },
    needsPreload: true, // the primary listens
    arrangements: ['two processes'],
  },
  {
    name: 'child_process: a socket and a server sent to a child, and every member of it',
    async server(side) {
      const child = fork(CHILD, ['unused'], { serialization: 'json' })
      const events = ['close', 'disconnect', 'error', 'exit', 'message', 'spawn']
      const count = counting(side, 'child', child, events)
      const closed = new Promise<void>((resolve) => {
        child.on('message', (message) => {
          if ('closed' in (message as object)) resolve()
        })
      })
      child.on('message', (message) => {
        side.log(JSON.stringify(message))
        if ((message as { received?: unknown }).received === 'socket') side.tell('taken')
      })
      noteChild(side, 'forked', child)
      const server = side.net.createServer((socket) => {
        socket.write('from the parent ')
        child.send('socket', socket, { keepOpen: false }, (error) => {
          side.log(`sent ${String(error)}`)
        })
      })
      await listen(side, server)
      await Promise.all([side.hear('over'), closed])
      server.close()
      noteChild(side, 'sent', child)
      child.unref()
      child.ref()
      child.send('leave')
      await happens(child, 'close')
      noteChild(side, 'closed', child)
      const other = fork(CHILD)
      await happens(other, 'spawn')
      side.log(`kill ${other.kill('SIGKILL')}`)
      await happens(other, 'exit')
      noteChild(side, 'killed', other)
      count()
    },
    async client(side) {
      // Until the child has it, the parent reads what comes, and drops it.
      await converse(side, await target(side), side.hear('taken'))
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
]
