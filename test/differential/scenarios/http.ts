/** HTTP over the connections: requests and responses that go well. */
import type { Agent, IncomingMessage, RequestOptions, Server } from 'node:http'
import type { Socket } from 'node:net'
import { bytes, departures, digest, happens, listen, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

export async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of message) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Listens until the client tells that it is 'over'. */
export async function serveUntilOver(side: Side, server: Server): Promise<void> {
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  const departed = departures(server)
  await listen(side, server)
  await side.hear('over')
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeIdleConnections()
  await Promise.all([closed, departed()])
  side.log(`server close after ${connections} connections`)
}

/** One request, and its response as one line of the log. */
export async function ask(side: Side, options: RequestOptions, body?: Buffer | string): Promise<void> {
  const request = side.http.request(options)
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
  })
  request.end(body)
  const response = await answered
  const content = await bodyOf(response)
  const how = `${options.method ?? 'GET'} ${options.path ?? '/'}`
  side.log(`${how}: ${response.statusCode ?? 0} ${digest(content)}, reused ${request.reusedSocket}`)
}

function agentOf(side: Side, maxSockets: number): Agent {
  return new side.http.Agent({ keepAlive: true, maxSockets })
}

export const HTTP: readonly Scenario[] = [
  {
    name: 'http: one keep-alive connection for five requests',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          side.log(`${request.method ?? ''} ${request.url ?? ''} ${request.headers.connection ?? ''}`)
          response.setHeader('content-type', 'text/plain')
          response.end(`answer to ${request.url ?? ''}`)
        }),
      ),
    async client(side) {
      const where = await target(side)
      const agent = agentOf(side, 1)
      for (let at = 0; at < 5; at += 1) await ask(side, { ...where, agent, path: `/${at}` })
      agent.destroy()
      side.tell('over')
    },
  },
  {
    name: 'http: without keep-alive',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          response.end(request.headers.connection)
        }),
      ),
    async client(side) {
      const where = await target(side)
      for (let at = 0; at < 3; at += 1) await ask(side, { ...where, agent: false })
      side.tell('over')
    },
  },
  {
    name: 'http: ten requests through two sockets',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          void bodyOf(request).then((body) => response.end(body))
        }),
      ),
    async client(side) {
      const where = await target(side)
      const agent = agentOf(side, 2)
      let good = 0
      await Promise.all(
        Array.from({ length: 10 }, async (_, at) => {
          const sent = bytes(10_000 + at)
          const request = side.http.request({ ...where, agent, method: 'POST' })
          request.end(sent)
          const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
          if ((await bodyOf(response)).equals(sent)) good += 1
        }),
      )
      side.log(`${good} good answers`)
      agent.destroy()
      side.tell('over')
    },
  },
  {
    name: 'http: pipelined requests are answered in order',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          side.log(request.url ?? '')
          // The first answer comes last, and still goes out first.
          const answer = (): void => {
            response.end(`<${request.url ?? ''}>`)
          }
          if (request.url === '/0') setTimeout(answer, 20)
          else answer()
        }),
      ),
    async client(side) {
      const socket = side.net.connect(await target(side))
      const requests = [0, 1, 2, 3].map((at) => {
        const last = at === 3 ? 'Connection: close\r\n' : ''
        return `GET /${at} HTTP/1.1\r\nHost: test\r\n${last}\r\n`
      })
      const chunks: Buffer[] = []
      socket.on('data', (data) => chunks.push(data))
      socket.write(requests.join(''))
      await happens(socket, 'end')
      side.log(
        (
          Buffer.concat(chunks)
            .toString()
            .match(/<\/\d>|HTTP\/1.1 \d+|Connection: \S+/g) ?? []
        ).join(' '),
      )
      side.tell('over')
    },
  },
  {
    name: 'http: large bodies both ways at once',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          request.pipe(response)
        }),
      ),
    async client(side) {
      await ask(side, { ...(await target(side)), method: 'POST', agent: false }, bytes(12_000_000))
      side.tell('over')
    },
  },
  {
    name: 'http: a large body of known length, answered at its end',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          void bodyOf(request).then((body) => {
            side.log(`${digest(body)}, complete ${request.complete}`)
            const answer = bytes(5_000_000)
            response.writeHead(200, { 'content-length': answer.length })
            response.end(answer, () => {
              side.log('answered')
            })
          })
        }),
      ),
    async client(side) {
      const body = bytes(7_000_000)
      const headers = { 'content-length': body.length }
      await ask(side, { ...(await target(side)), method: 'PUT', headers, agent: false }, body)
      side.tell('over')
    },
  },
  {
    name: 'http: Expect 100-continue',
    async server(side) {
      const server = side.http.createServer()
      server.on('checkContinue', (request: IncomingMessage, response) => {
        side.log(`checkContinue ${request.headers.expect ?? ''}`)
        if (request.url === '/no') {
          response.writeHead(417)
          response.end('no')
          return
        }
        response.writeContinue()
        void bodyOf(request).then((body) => response.end(`got ${digest(body)}`))
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const where = await target(side)
      for (const path of ['/yes', '/no']) {
        const request = side.http.request({
          ...where,
          path,
          method: 'POST',
          headers: { expect: '100-continue' },
          agent: false,
        })
        request.on('continue', () => {
          side.log('continue')
          request.end('the body')
        })
        request.flushHeaders()
        const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
        side.log(`${response.statusCode ?? 0} ${digest(await bodyOf(response))}`)
        request.destroy()
      }
      side.tell('over')
    },
  },
  {
    name: 'http: upgrade',
    async server(side) {
      const server = side.http.createServer()
      server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        side.log(`upgrade ${request.headers.upgrade ?? ''} ${digest(head)}`)
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello')
        watch(side, socket, 'upgraded', { noData: true })
        socket.pipe(socket)
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const headers = { connection: 'Upgrade', upgrade: 'echo' }
      const request = side.http.request({ ...(await target(side)), headers, agent: false })
      request.end()
      request.on('upgrade', (response, socket, head) => {
        side.log(`upgrade ${response.statusCode ?? 0}`)
        const chunks = [head]
        socket.on('data', (data: Buffer<ArrayBuffer>) => chunks.push(data))
        socket.on('end', () => {
          side.log(digest(Buffer.concat(chunks)))
        })
        socket.end(bytes(300_000))
        socket.on('close', () => {
          side.tell('over')
        })
      })
      await happens(request, 'close')
    },
  },
  {
    name: 'http: a CONNECT tunnel',
    async server(side) {
      const server = side.http.createServer()
      server.on('connect', (request: IncomingMessage, socket: Socket, head: Buffer) => {
        side.log(`connect ${request.url ?? ''} ${digest(head)}`)
        socket.write('HTTP/1.1 200 Connected\r\n\r\n')
        socket.on('data', (data) => socket.write(data))
        socket.on('end', () => {
          side.log('end')
          socket.end()
        })
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const request = side.http.request({ ...(await target(side)), method: 'CONNECT', path: 'far.test:443' })
      request.end()
      request.on('connect', (response, socket, head) => {
        side.log(`connect ${response.statusCode ?? 0} ${digest(head)}`)
        watch(side, socket, 'tunnel')
        socket.once('data', () => socket.end())
        socket.write('through the tunnel')
        socket.on('close', () => {
          side.tell('over')
        })
      })
      await happens(request, 'close')
    },
  },
  {
    name: 'http: chunks, trailers, early hints',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          void bodyOf(request).then((body) => {
            side.log(`${digest(body)} trailers ${JSON.stringify(request.trailers)}`)
            response.writeEarlyHints({ link: '</style.css>; rel=preload' })
            response.writeHead(200, { trailer: 'x-after' })
            response.write('part one ')
            response.write('part two')
            response.addTrailers({ 'x-after': 'all' })
            response.end()
          })
        }),
      ),
    async client(side) {
      const headers = { trailer: 'x-last' }
      const request = side.http.request({ ...(await target(side)), method: 'POST', headers, agent: false })
      request.on('information', (info) => {
        side.log(`information ${info.statusCode} ${String(info.headers['link'])}`)
      })
      request.write('a')
      request.write('b')
      request.addTrailers({ 'x-last': 'yes' })
      request.end()
      const response = await new Promise<IncomingMessage>((resolve) => request.on('response', resolve))
      side.log(`${digest(await bodyOf(response))} trailers ${JSON.stringify(response.trailers)}`)
      side.tell('over')
    },
  },
  {
    name: 'http: responses without a body',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          response.statusCode = Number(request.url?.slice(1))
          response.end(response.statusCode === 200 ? 'only for GET' : undefined)
        }),
      ),
    async client(side) {
      const where = await target(side)
      const agent = agentOf(side, 1)
      await ask(side, { ...where, agent, method: 'HEAD', path: '/200' })
      await ask(side, { ...where, agent, path: '/204' })
      await ask(side, { ...where, agent, path: '/304' })
      await ask(side, { ...where, agent, path: '/200' })
      agent.destroy()
      side.tell('over')
    },
  },
  {
    name: 'fetch',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          void bodyOf(request).then((body) => {
            side.log(`${request.method ?? ''} ${request.url ?? ''} ${digest(body)}`)
            response.end(bytes(400_000))
          })
        }),
      ),
    async client(side) {
      const { host, port } = await target(side)
      for (const [path, body] of [
        ['/get', undefined],
        ['/post', bytes(200_000)],
      ] as const) {
        const options = body === undefined ? {} : { method: 'POST', body }
        const response = await fetch(`http://${host}:${port}${path}`, {
          ...options,
          headers: { connection: 'close' },
        })
        side.log(`${response.status} ${digest(Buffer.from(await response.arrayBuffer()))}`)
      }
      side.tell('over')
    },
  },
  {
    name: 'http2 without TLS',
    async server(side) {
      const http2 = await import('node:http2')
      const server = http2.createServer((request, response) => {
        side.log(`${request.method} ${request.url}`)
        request.pipe(response)
      })
      server.on('session', () => {
        side.log('session')
      })
      await listen(side, server)
      await side.hear('over')
      await new Promise((resolve) => server.close(resolve))
      side.log('server close')
    },
    async client(side) {
      const http2 = await import('node:http2')
      const { host, port } = await target(side)
      const session = http2.connect(`http://${host}:${port}`)
      const answers = await Promise.all(
        [10, 100_000, 600_000].map(async (size) => {
          const stream = session.request({ ':path': `/${size}`, ':method': 'POST' })
          const chunks: Buffer[] = []
          stream.on('data', (data: Buffer) => chunks.push(data))
          stream.end(bytes(size))
          await happens(stream, 'end')
          return digest(Buffer.concat(chunks))
        }),
      )
      for (const answer of answers) side.log(answer)
      session.close()
      await happens(session, 'close')
      side.tell('over')
    },
  },
]
