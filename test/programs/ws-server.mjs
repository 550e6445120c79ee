import { createServer } from 'node:http'
import { load, serve } from './support.mjs'

const { WebSocketServer } = await load('ws')
const server = createServer()
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: { threshold: 512 },
  maxPayload: 8 << 20,
})
sockets.on('connection', (socket, request) => {
  socket.send(`hello ${request.url} ${request.headers.origin ?? 'nobody'}`)
  socket.on('message', (data, isBinary) => {
    if (!isBinary && data.toString() === 'close me') socket.close(4000, 'as asked')
    else socket.send(data, { binary: isBinary })
  })
})
serve(server)
