// Sends every byte back, to any number of connections.
import { createServer } from 'node:net'
import { ENDPOINT, readOptions } from './control.ts'
import { listen } from './listen.ts'

const options = readOptions({ ...ENDPOINT, nodelay: 0 })

const server = createServer({ noDelay: options.nodelay === 1 }, (socket) => {
  socket.pipe(socket)
  // A client that vanishes takes only its own connection with it.
  socket.on('error', () => socket.destroy())
})
listen(server, options)
