/** HTTP exchanges that one end breaks off. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { bytes, closedPort, describe, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'
import { ask, serveUntilOver } from './http.ts'

function watchRequest(side: Side, request: ClientRequest): void {
  request.on('error', (error) => {
    side.log(`request error ${describe(error)}: ${error.message}`)
  })
  request.on('close', () => {
    side.log('request close')
  })
}

function watchMessage(side: Side, message: IncomingMessage, label: string): void {
  const events: NodeJS.EventEmitter = message // as IncomingMessage its 'aborted' is deprecated, and still heard by many
  events.on('aborted', () => {
    side.log(`${label} aborted`)
  })
  message.on('error', (error) => {
    side.log(`${label} error ${describe(error)}`)
  })
  message.on('end', () => {
    side.log(`${label} end`)
  })
  message.on('close', () => {
    side.log(`${label} close (complete ${message.complete})`)
  })
}

export const HTTP_ENDINGS: readonly Scenario[] = [
  {
    name: 'http: the server hangs up before it answers',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request) => {
          side.log(request.url ?? '')
          request.socket.destroy()
        }),
      ),
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false, path: '/hang-up' })
      watchRequest(side, request)
      await happens(request, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: the server breaks off in the middle of a body',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((_request, response) => {
          response.writeHead(200, { 'content-length': 1000 })
          response.write('only this')
          void side.hear('first part').then(() => response.destroy())
        }),
      ),
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false })
      watchRequest(side, request)
      const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      watchMessage(side, response, 'response')
      response.once('data', () => {
        side.tell('first part')
      })
      await happens(response, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: the client goes away in the middle of a body',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          watchMessage(side, request, 'request')
          response.on('close', () => {
            side.log(`response close (finished ${response.writableFinished})`)
          })
          response.write('a beginning')
        }),
      ),
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false })
      watchRequest(side, request)
      const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      watchMessage(side, response, 'response')
      response.once('data', () => request.destroy())
      await happens(response, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: the client goes away while it uploads',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          watchMessage(side, request, 'request')
          response.on('close', () => {
            side.log('response close')
          })
          request.once('data', () => {
            side.tell('uploading')
          })
        }),
      ),
    async client(side) {
      const request = side.http.request({ ...(await target(side)), method: 'POST', agent: false })
      watchRequest(side, request)
      request.write(bytes(10_000))
      await side.hear('uploading')
      request.destroy(new Error('changed my mind'))
      await happens(request, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: aborting by signal before there is an answer',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          watchMessage(side, request, 'request')
          response.on('close', () => {
            side.log('response close')
          })
          side.tell('asked')
        }),
      ),
    async client(side) {
      const controller = new AbortController()
      const request = side.http.get({ ...(await target(side)), agent: false, signal: controller.signal })
      watchRequest(side, request)
      await side.hear('asked')
      controller.abort()
      await happens(request, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: what is no HTTP',
    async server(side) {
      const server = side.http.createServer()
      server.on('clientError', (error: Error, socket: Socket) => {
        side.log(`clientError ${describe(error)}, writable ${socket.writable}`)
        socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const socket = side.net.connect(await target(side))
      const chunks: Buffer[] = []
      socket.on('data', (data) => chunks.push(data))
      socket.write('this is not HTTP\r\n\r\n')
      await happens(socket, 'end')
      side.log(Buffer.concat(chunks).toString().trim())
      await happens(socket, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: the default answer to what is no HTTP',
    server: (side) => serveUntilOver(side, side.http.createServer()),
    async client(side) {
      const socket = side.net.connect(await target(side))
      const chunks: Buffer[] = []
      socket.on('data', (data) => chunks.push(data))
      socket.write('GET / HTTP/9.9\r\n\r\n')
      await happens(socket, 'end')
      side.log(Buffer.concat(chunks).toString().split('\r\n')[0] ?? '')
      side.tell('over')
    },
  },
  {
    name: 'http: a response that is no HTTP',
    async server(side) {
      const server = side.net.createServer((socket) => {
        socket.once('data', () => socket.end('+PONG\r\n'))
        socket.on('error', (error) => {
          side.log(describe(error))
        })
        server.close(() => {
          side.log('server close')
        })
      })
      await listen(side, server)
    },
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false })
      watchRequest(side, request)
      await happens(request, 'close')
    },
  },
  {
    name: 'http: a request timeout',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((_request, response) => {
          void side.hear('timeout').then(() => response.end('at last'))
        }),
      ),
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false, timeout: 30 })
      watchRequest(side, request)
      await happens(request, 'timeout')
      side.log('timeout')
      side.tell('timeout')
      const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      response.resume()
      await happens(request, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: a timeout of the server',
    async server(side) {
      const server = side.http.createServer()
      server.setTimeout(30, (socket) => {
        side.log('timeout')
        socket.destroy()
      })
      server.on('request', (request: IncomingMessage) => {
        watchMessage(side, request, 'request')
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false })
      watchRequest(side, request)
      await happens(request, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http: nobody listens',
    connects: false,
    server: () => undefined,
    async client(side) {
      const request = side.http.get({ ...(await closedPort(side)), agent: false })
      request.on('error', (error) => {
        side.log(describe(error))
      })
      request.on('close', () => {
        side.log('close')
      })
    },
  },
  {
    name: 'http: server.close ends idle keep-alive connections',
    async server(side) {
      const server = side.http.createServer((_request, response) => response.end('kept'))
      await listen(side, server)
      await side.hear('answered')
      server.close(() => {
        side.log('server close')
      })
    },
    async client(side) {
      const agent = new side.http.Agent({ keepAlive: true })
      const where = await target(side)
      await ask(side, { ...where, agent })
      const socket = Object.values(agent.freeSockets)[0]?.[0]
      side.log(`kept ${socket !== undefined && !socket.destroyed}`)
      side.tell('answered')
      socket?.ref() // a kept connection does not hold the process
      if (socket !== undefined) await happens(socket, 'close')
      side.log('socket close')
    },
  },
  {
    name: 'http: closeAllConnections',
    async server(side) {
      const server = side.http.createServer((request, response) => {
        response.write('going on')
        request.socket.on('close', () => {
          side.log('socket close')
        })
      })
      await listen(side, server)
      await side.hear('open')
      server.close(() => {
        side.log('server close')
      })
      server.closeAllConnections()
    },
    async client(side) {
      const request = side.http.get({ ...(await target(side)), agent: false })
      watchRequest(side, request)
      const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      watchMessage(side, response, 'response')
      response.once('data', () => {
        side.tell('open')
      })
      await happens(response, 'close')
    },
  },
]
