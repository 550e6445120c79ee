// Reads a one-way stream to its end, checks every byte, and answers with what it saw.
import { createServer } from 'node:net'
import { ENDPOINT, readOptions } from './control.ts'
import { listen } from './listen.ts'
import { PatternReader } from './pattern.ts'

const options = readOptions(ENDPOINT)

const server = createServer({ allowHalfOpen: true }, (socket) => {
  const reader = new PatternReader()
  socket.on('data', (chunk) => {
    reader.read(chunk)
  })
  socket.on('end', () => {
    socket.end(JSON.stringify({ bytes: reader.bytes, firstWrongByte: reader.firstWrongByte }))
  })
  socket.on('error', () => socket.destroy())
})
listen(server, options)
