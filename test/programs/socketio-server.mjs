import { createServer } from 'node:http'
import { load, serve } from './support.mjs'

const { Server } = await load('socket.io')
const server = createServer()
const io = new Server(server, { maxHttpBufferSize: 4 << 20 })
io.on('connection', (socket) => {
  socket.on('echo', (data, answer) => answer(data))
  socket.on('join', (room, answer) => {
    socket.join(room)
    answer([...socket.rooms].length)
  })
  socket.on('shout', (room, text) => io.to(room).emit('heard', text))
  socket.on('transport', (answer) => answer(socket.conn.transport.name))
})
serve(server)
