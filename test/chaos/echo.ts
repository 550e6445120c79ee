/**
 * The peer that chaos tests kill and stop. It sends back what it receives, on connections that it
 * accepts (`echo.js server`) or makes (`echo.js client PORT CONNECTIONS`).
 */
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { onHeard, say, stay } from '../support/app-side.ts'

function echo(socket: Socket): void {
  socket.on('error', () => undefined)
  socket.pipe(socket)
}

onHeard(() => undefined)
stay()

const [role, port, connections] = process.argv.slice(2)
if (role === 'server') {
  const server = net.createServer({ allowHalfOpen: true }, echo)
  server.listen(0, '127.0.0.1', () => {
    say({ port: (server.address() as AddressInfo).port })
  })
} else {
  say({ connecting: Number(connections) })
  for (let made = 0; made < Number(connections); made += 1) {
    echo(net.connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true }))
  }
}
