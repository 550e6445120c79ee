/** Requests and responses of HTTP/2 as `http` has them, and other ways to a session. */
/* eslint-disable @typescript-eslint/no-deprecated, @typescript-eslint/no-unnecessary-condition -- members of every version of Node, not only of the one that is declared */
import http2 from 'node:http2'
import type { Readable } from 'node:stream'
import { CERT } from '../../support/certificate.ts'
import { describe, happens, listen, target } from '../side.ts'
import type { Scenario } from '../side.ts'
import { SERVER, SERVER_OPTIONS, bodyOf, lasting, serve } from './members-http2.ts'

export const HTTP2_MESSAGES: readonly Scenario[] = [
  {
    name: 'http2: every member of a request and its response',
    server: (side) => {
      class Request extends http2.Http2ServerRequest {}
      class Response extends http2.Http2ServerResponse {}
      const options = { ...SERVER_OPTIONS, Http2ServerRequest: Request, Http2ServerResponse: Response }
      const server = http2.createServer(options)
      const handle = (request: http2.Http2ServerRequest, response: http2.Http2ServerResponse): void => {
        const { aborted, complete, httpVersion, httpVersionMajor, httpVersionMinor, method, scheme, url } =
          request
        side.log(
          [aborted, complete, httpVersion, httpVersionMajor, httpVersionMinor, method, scheme, url].join(),
        )
        side.log(
          `${lasting(request.headers)} ${request.rawHeaders.length} ${request.authority.replace(/\d+$/, '')}`,
        )
        side.log(
          `${request.constructor.name}, ${request.socket.remoteFamily}, ${request.stream === response.stream}`,
        )
        side.log(
          `the same connection ${request.connection.localAddress === response.connection?.localAddress}`,
        )
        request.setTimeout(60_000)
        response.setTimeout(60_000)
        void bodyOf(request).then((body) => {
          side.log(`${body} ${lasting(request.trailers)} ${request.rawTrailers.join()}`)
          const newer = response as http2.Http2ServerResponse & {
            setTrailer(name: string, value: string): void
            flushHeaders(): void
            appendHeader?: (name: string, value: string) => void
            writeInformation?: (status: number) => void
          }
          newer.writeInformation?.(110)
          response.writeEarlyHints({ link: '</style.css>; rel=preload' })
          response.setHeader('x-set', 'one')
          // Node 20.12.
          newer.appendHeader?.('x-set', 'two')
          response.setHeader('x-removed', '1')
          response.removeHeader('x-removed')
          side.log(
            [response.getHeaderNames(), response.hasHeader('x-set'), response.getHeader('x-set')].join(),
          )
          side.log(`${lasting(response.getHeaders())} of the same request ${response.req === request}`)
          response.sendDate = false
          response.statusCode = 202
          response.statusMessage = ''
          response.addTrailers({ 'x-added': '1' })
          newer.setTrailer('x-trailer', '2')
          response.createPushResponse({ ':path': '/pushed' }, (error, pushed) => {
            side.log(`pushed ${String(error)}`)
            pushed.end('pushed')
          })
          newer.flushHeaders()
          response.cork()
          response.write('some ')
          response.uncork()
          const {
            finished,
            headersSent,
            writableCorked,
            writableEnded,
            writableFinished,
            writableHighWaterMark,
          } = response
          side.log([finished, headersSent, writableCorked, writableEnded, writableFinished].join())
          side.log(`${writableHighWaterMark} ${response.writableLength} ${response.writableObjectMode}`)
          side.log(`${String(response.writableNeedDrain)} ${response.socket?.remoteAddress}`)
          if (url === '/destroy') response.destroy()
          else response.end('more')
        })
      }
      server.on('checkContinue', (request, response: http2.Http2ServerResponse) => {
        side.log('checkContinue')
        response.writeContinue()
        handle(request, response)
      })
      server.on('request', (request, response) => {
        if (request.url !== '/head') handle(request, response)
        else response.writeHead(204, { 'x-head': 'written' }).end()
      })
      server.on('sessionError', (error: Error) => {
        side.log(`sessionError ${describe(error)}`)
      })
      return serve(side, server)
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`http://${host}:${port}`, {
        maxReservedRemoteStreams: 5,
        protocol: 'http:',
      })
      session.on('stream', (pushed) => pushed.resume())
      for (const path of ['/plain', '/expect', '/head', '/destroy']) {
        const expect = path === '/expect' ? { expect: '100-continue' } : {}
        const stream = session.request(
          { ':path': path, ':method': 'POST', ...expect },
          { waitForTrailers: true },
        )
        stream.on('wantTrailers', () => {
          stream.sendTrailers({ 'x-asked': '3' })
        })
        for (const event of ['continue', 'response', 'trailers'] as const) {
          stream.on(event, (headers?: object) => {
            side.log(`${path} ${event} ${lasting(headers)}`)
          })
        }
        stream.on('error', (error: Error) => {
          side.log(`${path} ${describe(error)}`)
        })
        stream.end('question')
        stream.resume()
        await happens(stream, 'close')
      }
      session.close()
      await happens(session, 'close')
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'http2: a secure server that speaks HTTP/1.1, too',
    server: (side) => {
      const server = http2.createSecureServer({ ...SERVER, allowHTTP1: true }, (request, response) => {
        side.log(`${request.httpVersion} ${request.url}`)
        response.end(request.httpVersion)
      })
      for (const event of ['session', 'unknownProtocol', 'timeout'] as const) {
        server.on(event, () => {
          side.log(event)
        })
      }
      return serve(side, server)
    },
    async client(side) {
      const https = await import('node:https')
      const { host, port } = await target(side)
      const request = https.get({ host, port, ca: CERT, servername: 'localhost', path: '/1', agent: false })
      const response = await new Promise<Readable>((resolve) => request.on('response', resolve))
      side.log(await bodyOf(response))
      const session = http2.connect(`https://${host}:${port}`, { ca: CERT, servername: 'localhost' })
      side.log(await bodyOf(session.request({ ':path': '/2' })))
      session.close()
      await happens(session, 'close')
      side.tell('over')
    },
  },
  {
    name: 'http2: a session on a connection that the program accepted itself',
    async server(side) {
      const { performServerHandshake } = http2 as typeof http2 & {
        performServerHandshake?: (socket: object) => http2.ServerHttp2Session
      }
      const answering = (stream: http2.ServerHttp2Stream): void => {
        stream.respond({})
        stream.end('answer')
      }
      const other = http2.createServer().on('stream', answering)
      const server = side.net.createServer((socket) => {
        // Node 20.12.
        if (performServerHandshake === undefined) other.emit('connection', socket)
        else performServerHandshake(socket).on('stream', answering)
        socket.on('close', () => server.close())
      })
      await listen(side, server)
      side.log('listening')
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`http://${host}:${port}`)
      side.log(await bodyOf(session.request({ ':path': '/' })))
      session.close()
      await happens(session, 'close')
    },
  },
]
