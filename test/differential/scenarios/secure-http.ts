import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { CERT, KEY } from '../../support/certificate.ts'
import { bytes, describe, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

const SERVER = { key: KEY, cert: CERT }
const CLIENT = { ca: CERT, servername: 'localhost' }

/** Answers with what it is sent, until the client is over. */
async function serveEcho(
  side: Side,
  server: https.Server | http2.Http2SecureServer | http2.Http2Server,
): Promise<void> {
  await listen(side, server)
  await side.hear('over')
  if ('closeAllConnections' in server) server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  side.log('server close')
}

function echo(side: Side): (request: http.IncomingMessage, response: http.ServerResponse) => void {
  return (request, response) => {
    side.log(`${request.method} ${request.url} ${request.httpVersion}`)
    request.pipe(response)
  }
}

async function ask(options: https.RequestOptions, body: Buffer): Promise<string> {
  const request = https.request({ ...options, method: 'POST', headers: { 'content-length': body.length } })
  request.end(body)
  const [response] = (await happened(request, 'response')) as [http.IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return `${response.statusCode} ${digest(Buffer.concat(chunks))}`
}

async function happened(emitter: NodeJS.EventEmitter, event: string): Promise<unknown[]> {
  return await new Promise((resolve, reject) => {
    emitter.once(event, (...args: unknown[]) => {
      resolve(args)
    })
    emitter.once('error', reject)
  })
}

async function stream(session: http2.ClientHttp2Session, size: number): Promise<string> {
  const request = session.request({ ':path': `/${size}`, ':method': 'POST' })
  const chunks: Buffer[] = []
  request.on('data', (data: Buffer) => chunks.push(data))
  request.end(bytes(size))
  await happens(request, 'end')
  return digest(Buffer.concat(chunks))
}

/** HTTP over TLS, and HTTP/2. */
export const SECURE_HTTP: readonly Scenario[] = [
  {
    name: 'https: requests on one connection and on many',
    server: (side) => serveEcho(side, https.createServer(SERVER, echo(side))),
    async client(side) {
      const where = await target(side)
      for (const maxSockets of [1, 5]) {
        const agent = new https.Agent({ keepAlive: true, maxSockets })
        const sizes = [1, 1000, 100_000, 1_000_000]
        for (const size of sizes) {
          side.log(await ask({ ...where, ...CLIENT, agent, path: `/${maxSockets}/${size}` }, bytes(size)))
        }
        agent.destroy()
      }
      side.tell('over')
    },
  },
  {
    name: 'https: an agent resumes the session',
    server: (side) => {
      const server = https.createServer({ ...SERVER, maxVersion: 'TLSv1.2' }, echo(side))
      server.on('secureConnection', (socket: tls.TLSSocket) => {
        side.log(`resumed ${socket.isSessionReused()}`)
      })
      return serveEcho(side, server)
    },
    async client(side) {
      const where = await target(side)
      const agent = new https.Agent({ keepAlive: false })
      for (const round of [1, 2, 3])
        side.log(await ask({ ...where, ...CLIENT, agent, path: `/${round}` }, bytes(10)))
      side.tell('over')
    },
  },
  {
    name: 'https: fetch',
    server: (side) => serveEcho(side, https.createServer(SERVER, echo(side))),
    async client(side) {
      const { port } = await target(side)
      process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
      process.removeAllListeners('warning')
      process.on('warning', () => undefined)
      const response = await fetch(`https://127.0.0.1:${port}/fetch`, {
        method: 'POST',
        body: bytes(200_000),
        headers: { connection: 'close' },
      })
      side.log(`${response.status} ${digest(Buffer.from(await response.arrayBuffer()))}`)
      delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
      side.tell('over')
    },
  },
  {
    name: 'https: an upgraded connection, as WebSockets make them',
    async server(side) {
      const server = https.createServer(SERVER)
      server.on('upgrade', (request, socket, head) => {
        side.log(`upgrade ${request.headers.upgrade} ${digest(head)}`)
        socket.write('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n')
        socket.pipe(socket)
      })
      await serveEcho(side, server)
    },
    async client(side) {
      const request = https.request({
        ...(await target(side)),
        ...CLIENT,
        headers: { connection: 'upgrade', upgrade: 'echo' },
      })
      request.end()
      const [response, socket, head] = (await happened(request, 'upgrade')) as [
        http.IncomingMessage,
        tls.TLSSocket,
        Buffer,
      ]
      side.log(`${response.statusCode} ${digest(head)}`)
      const chunks: Buffer[] = []
      socket.on('data', (data: Buffer) => chunks.push(data))
      socket.end(bytes(500_000))
      await happens(socket, 'close')
      side.log(digest(Buffer.concat(chunks)))
      side.tell('over')
    },
  },
  {
    name: 'tls: through a CONNECT tunnel',
    async server(side) {
      const origin = https.createServer(SERVER, echo(side))
      await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
      const proxy = http.createServer()
      const open: Duplex[] = []
      proxy.on('connect', (_request, near, head) => {
        side.log(`tunnel ${digest(head)}`)
        const far = side.net.connect((origin.address() as AddressInfo).port, '127.0.0.1', () => {
          near.write('HTTP/1.1 200 Connection established\r\n\r\n')
          far.pipe(near)
          near.pipe(far)
        })
        open.push(near, far)
        // Whichever end leaves first may be written to once more.
        for (const socket of [near, far]) socket.on('error', () => undefined)
      })
      await listen(side, proxy)
      await side.hear('over')
      for (const socket of open) socket.destroy()
      for (const server of [proxy, origin]) {
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      }
      side.log('server close')
    },
    async client(side) {
      const request = http.request({ ...(await target(side)), method: 'CONNECT', path: 'origin:443' })
      request.end()
      const [response, socket] = (await happened(request, 'connect')) as [http.IncomingMessage, tls.TLSSocket]
      side.log(`${response.statusCode}`)
      const createConnection = (): tls.TLSSocket => tls.connect({ socket, ...CLIENT })
      side.log(await ask({ createConnection, path: '/tunnelled' }, bytes(300_000)))
      side.tell('over')
    },
  },
  {
    name: 'http2: streams over TLS',
    async server(side) {
      const server = http2.createSecureServer(SERVER, (request, response) => {
        request.pipe(response)
      })
      let gone: Promise<unknown> = Promise.resolve()
      server.on('session', (session) => {
        side.log(`session ${session.alpnProtocol} ${session.encrypted}`)
        gone = happens(session, 'close')
      })
      await serveEcho(side, server)
      // Which of the two closes first is open, on stock Node, too.
      await gone
      side.log('session close')
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`https://${host}:${port}`, CLIENT)
      session.on('connect', (_session, socket) => {
        side.log(`connect ${(socket as tls.TLSSocket).alpnProtocol} ${session.socket.remoteAddress}`)
      })
      const answers = await Promise.all([10, 100_000, 2_000_000].map((size) => stream(session, size)))
      for (const answer of answers) side.log(answer)
      session.close()
      await happens(session, 'close')
      side.log('close')
      side.tell('over')
    },
  },
  {
    name: 'http2: over a connected plain socket',
    server: (side) => {
      const server = http2.createServer((request, response) => {
        request.pipe(response)
      })
      return serveEcho(side, server)
    },
    async client(side) {
      const where = await target(side)
      const socket = side.net.connect(where)
      await happens(socket, 'connect')
      const session = http2.connect(`http://${where.host}:${where.port}`, { createConnection: () => socket })
      side.log(await stream(session, 700_000))
      session.close()
      await happens(session, 'close')
      side.log(`socket destroyed ${socket.destroyed}`)
      side.tell('over')
    },
  },
  {
    name: 'http2: a server that goes away',
    async server(side) {
      const server = http2.createSecureServer(SERVER)
      server.on('stream', (answer) => {
        answer.respond({ ':status': 200 })
        answer.write('some')
        answer.on('error', () => undefined)
      })
      server.on('secureConnection', (socket: tls.TLSSocket) => {
        void side.hear('read').then(() => socket.destroy())
      })
      server.on('sessionError', () => undefined)
      await serveEcho(side, server)
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`https://${host}:${port}`, CLIENT)
      session.on('error', (error: Error) => {
        side.log(`session ${describe(error)}`)
      })
      const request = session.request({ ':path': '/' })
      request.on('error', (error: Error) => {
        side.log(`stream ${describe(error)}`)
      })
      request.once('data', (data: Buffer) => {
        side.log(digest(data))
        // Nothing is under way any more.
        session.ping(() => {
          side.tell('read')
        })
      })
      await happens(session, 'close')
      side.tell('over')
    },
  },
]
