/**
 * A process that a scenario starts: as a cluster worker it serves, as a forked child it takes the sockets that it is sent. It
 * comes by the same door as whoever starts it.
 */
import cluster from 'node:cluster'
import net from 'node:net'
import type { Server } from 'node:net'
import { netOfDoor } from './door.ts'

const { createServer } = await netOfDoor()

function beWorker(): void {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.resume().end('from a worker')
  })
  server.listen(0, '127.0.0.1')
  process.on('message', (message) => process.send?.({ answer: message }))
}

function take(socket: net.Socket): void {
  socket.on('error', (error) => process.send?.({ error: error.message }))
  socket.on('data', (data) => {
    process.send?.({ data: String(data) })
    socket.end('from a child')
  })
  socket.on('close', () => process.send?.({ closed: true }))
}

if (cluster.isWorker) beWorker()
else {
  process.on('message', (message, handle) => {
    if (handle instanceof net.Socket) take(handle)
    else if (handle !== undefined) (handle as Server).on('connection', take)
    if (message === 'leave') process.disconnect()
    else process.send?.({ received: message, handle: handle?.constructor.name })
  })
}
