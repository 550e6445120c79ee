// The server of every Node.js tutorial.
import { createServer } from 'node:http'
import { ENDPOINT, readOptions } from './control.ts'
import { listen } from './listen.ts'

const options = readOptions({ ...ENDPOINT, body: 'Hello, world!\n' })

const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': Buffer.byteLength(options.body) })
  response.end(options.body)
})
listen(server, options)
