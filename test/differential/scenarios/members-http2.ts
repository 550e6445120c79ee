/** Every member and event of HTTP/2's sessions and streams, and their options. */
import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { CERT, KEY } from '../../support/certificate.ts'
import { bytes, describe, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

export const SERVER = { key: KEY, cert: CERT }

/** What a session tells, as far as it is the same in every run. */
function noteSession(side: Side, when: string, session: http2.Http2Session): void {
  const { alpnProtocol, closed, connecting, destroyed, encrypted, originSet, pendingSettingsAck, type } =
    session
  side.log(
    `${when}: ${[alpnProtocol, closed, connecting, destroyed, encrypted, pendingSettingsAck, type].join()}`,
  )
  side.log(`${when}: ${String(originSet?.length)} ${JSON.stringify(session.localSettings)}`)
  side.log(`${when}: ${JSON.stringify(session.remoteSettings)} ${Object.keys(session.state).join()}`)
  side.log(
    `${when}: ${destroyed ? 'no socket' : `${session.socket.remoteAddress} ${session.socket.remoteFamily}`}`,
  )
}

function noteStream(side: Side, when: string, stream: http2.Http2Stream): void {
  const { aborted, bufferSize, closed, destroyed, endAfterHeaders, id, pending, rstCode } = stream
  side.log(
    `${when}: ${[aborted, bufferSize, closed, destroyed, endAfterHeaders, id, pending, rstCode].join()}`,
  )
  const { sentHeaders, sentInfoHeaders, sentTrailers } = stream
  side.log(`${when}: ${[sentHeaders, sentInfoHeaders, sentTrailers].map(lasting).join()}`)
  side.log(`${when}: ${Object.keys(stream.state).join()}, session ${stream.session !== undefined}`)
}

/** Headers without the date and the port. */
export function lasting(headers: unknown): string {
  if (Array.isArray(headers)) return headers.map(lasting).join()
  return JSON.stringify({ ...(headers as object | undefined), date: undefined, ':authority': undefined })
}

export async function bodyOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  stream.on('data', (data: Buffer) => chunks.push(data))
  await happens(stream, 'end')
  return digest(Buffer.concat(chunks))
}

/** Answers each path in its own way. */
function answer(side: Side, folder: string): (stream: http2.ServerHttp2Stream, headers: object) => void {
  const file = join(folder, 'file')
  writeFileSync(file, bytes(10_000))
  const ways: Readonly<Record<string, (stream: http2.ServerHttp2Stream) => void>> = {
    '/respond'(stream) {
      stream.additionalHeaders({ ':status': 103, link: 'early' })
      side.log(`headersSent ${stream.headersSent}, pushAllowed ${stream.pushAllowed}`)
      stream.respond({ 'x-one': '1' }, { waitForTrailers: true })
      stream.on('wantTrailers', () => {
        stream.sendTrailers({ 'x-trailer': '2' })
      })
      stream.end('body')
      noteStream(side, 'server', stream)
    },
    '/endStream'(stream) {
      stream.respond({}, { endStream: true })
    },
    '/pushStream'(stream) {
      stream.pushStream({ ':path': '/pushed' }, (error, pushed) => {
        side.log(`pushStream ${String(error)}`)
        pushed.respond({})
        pushed.end('pushed')
      })
      stream.respond({})
      stream.end('pushing')
    },
    '/respondWithFile'(stream) {
      const statCheck = (_stat: object, headers: http2.OutgoingHttpHeaders): void => {
        headers['x-stat'] = 'checked'
      }
      stream.respondWithFile(file, {}, { statCheck, offset: 10, length: 5000, waitForTrailers: false })
    },
    '/onError'(stream) {
      stream.respondWithFile(
        join(folder, 'none'),
        {},
        {
          onError(error) {
            side.log(`onError ${describe(error)}`)
            stream.respond({ ':status': 404 }, { endStream: true })
          },
        },
      )
    },
    '/respondWithFD'(stream) {
      stream.respondWithFD(openSync(file, 'r'), {})
    },
    '/close'(stream) {
      stream.respond({})
      stream.close(http2.constants.NGHTTP2_CANCEL)
    },
  }
  return (stream, headers) => {
    const path = (headers as Record<string, string>)[':path'] ?? ''
    side.log(`stream ${path}`)
    stream.on('error', (error: Error) => {
      side.log(`${path} ${describe(error)}`)
    })
    ways[path]?.(stream)
  }
}

const PATHS = [
  '/respond',
  '/endStream',
  '/pushStream',
  '/respondWithFile',
  '/onError',
  '/respondWithFD',
  '/close',
]

export async function serve(side: Side, server: http2.Http2Server | http2.Http2SecureServer): Promise<void> {
  await listen(side, server)
  await side.hear('over')
  await new Promise((resolve) => server.close(resolve))
  side.log('server close')
}

/** Options of newer versions of Node, too. */
const SESSION_OPTIONS: http2.ServerOptions & Record<string, unknown> = {
  ...{ maxDeflateDynamicTableSize: 2048, maxSettings: 20, maxSessionMemory: 5, maxHeaderListPairs: 64 },
  ...{
    maxOutstandingPings: 3,
    maxSendHeaderBlockLength: 50_000,
    paddingStrategy: http2.constants.PADDING_STRATEGY_MAX,
  },
  ...{ peerMaxConcurrentStreams: 10, settings: { maxConcurrentStreams: 20, initialWindowSize: 100_000 } },
  ...{ remoteCustomSettings: [5], unknownProtocolTimeout: 1000, strictFieldWhitespaceValidation: true },
  ...{ maxOriginSetSize: 10, strictSingleValueFields: true },
}

export const SERVER_OPTIONS: http2.ServerOptions & Record<string, unknown> = {
  ...SESSION_OPTIONS,
  ...{
    maxSessionInvalidFrames: 100,
    maxSessionRejectedStreams: 100,
    streamResetBurst: 100,
    streamResetRate: 10,
  },
}

export const HTTP2_MEMBERS: readonly Scenario[] = [
  {
    name: 'http2: every member of a session',
    server: (side) => {
      const server = http2.createSecureServer({ ...SERVER, ...SERVER_OPTIONS, origins: ['https://a.test'] })
      server.on('session', (session) => {
        session.setLocalWindowSize(200_000)
        session.setTimeout(60_000)
        session.altsvc('h2=":1"', 'https://b.test')
        session.origin('https://c.test')
        side.log(`of this server ${(session as unknown as { server: unknown }).server === server}`)
        for (const event of [
          'close',
          'goaway',
          'localSettings',
          'remoteSettings',
          'ping',
          'stream',
        ] as const) {
          session.on(event, () => {
            side.log(`server ${event}`)
          })
        }
      })
      server.on('stream', (stream) => {
        noteSession(side, 'server', stream.session as http2.Http2Session)
        stream.respond({})
        stream.end('answer')
      })
      return serve(side, server)
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`https://${host}:${port}`, {
        ca: CERT,
        servername: 'localhost',
        ...SESSION_OPTIONS,
      })
      const seen = new Set<string>()
      for (const event of ['altsvc', 'origin', 'remoteSettings', 'localSettings'] as const) {
        session.on(event, () => seen.add(event))
      }
      for (const event of [
        'connect',
        'close',
        'error',
        'frameError',
        'goaway',
        'timeout',
        'stream',
      ] as const) {
        session.on(event, () => {
          side.log(event)
        })
      }
      noteSession(side, 'connecting', session)
      // A request that does not wait races with the settings: the server may see either first.
      await happens(session, 'remoteSettings')
      side.log(await bodyOf(session.request({ ':path': '/' })))
      noteSession(side, 'connected', session)
      await new Promise((resolve) => {
        session.settings({ maxConcurrentStreams: 50 }, resolve)
      })
      const pinged = await new Promise((resolve) =>
        session.ping(Buffer.from('8 bytes.'), (...answer) => {
          resolve(answer)
        }),
      )
      side.log(`ping ${String((pinged as unknown[])[0])} ${String((pinged as unknown[])[2])}`)
      side.log([...seen].sort().join())
      session.unref()
      session.ref()
      session.goaway(http2.constants.NGHTTP2_NO_ERROR)
      session.close()
      await happens(session, 'close')
      noteSession(side, 'closed', session)
      const other = http2.connect(`https://${host}:${port}`, { ca: CERT, servername: 'localhost' })
      await happens(other, 'connect')
      other.destroy()
      await happens(other, 'close')
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'http2: every member of a stream',
    async server(side) {
      const folder = mkdtempSync(join(tmpdir(), 'sockswitch-http2-'))
      const server = http2.createServer(SERVER_OPTIONS)
      server.on('stream', answer(side, folder))
      await serve(side, server)
      rmSync(folder, { recursive: true })
    },
    async client(side) {
      const { host, port } = await target(side)
      const session = http2.connect(`http://${host}:${port}`)
      session.on('stream', (pushed, headers) => {
        side.log(`pushed ${headers[':path']}`)
        pushed.on('push', (given) => {
          side.log(`push ${lasting(given)}`)
        })
        pushed.resume()
      })
      for (const path of PATHS) {
        const stream = session.request(
          { ':path': path },
          { endStream: true, exclusive: false, parent: 0, weight: 16, waitForTrailers: false },
        )
        for (const event of ['headers', 'response', 'trailers'] as const) {
          stream.on(event, (headers: object) => {
            side.log(`${path} ${event} ${lasting(headers)}`)
          })
        }
        for (const event of [
          'aborted',
          'close',
          'continue',
          'frameError',
          'ready',
          'streamClosed',
          'timeout',
        ] as const) {
          stream.on(event, () => {
            side.log(`${path} ${event}`)
          })
        }
        stream.on('error', (error: Error) => {
          side.log(`${path} ${describe(error)}`)
        })
        stream.setTimeout(60_000)
        const { priority } = stream as { priority?: (this: object, options: object) => void }
        priority?.call(stream, { weight: 20 })
        const chunks: Buffer[] = []
        stream.on('data', (data: Buffer) => chunks.push(data))
        await happens(stream, 'close')
        side.log(`${path} ${digest(Buffer.concat(chunks))}`)
        noteStream(side, path, stream)
      }
      const controller = new AbortController()
      const stopped = session.request({ ':path': '/nothing' }, { signal: controller.signal })
      stopped.on('error', (error: Error) => {
        side.log(`signal ${describe(error)}`)
      })
      controller.abort()
      await happens(stopped, 'close')
      session.close()
      await happens(session, 'close')
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
]
