/** Every member of requests and responses of `http`, and every event. */
/* eslint-disable @typescript-eslint/no-deprecated -- every member, old ones too */
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'
import { describe, digest, happens, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'
import { bodyOf, serveUntilOver } from './http.ts'

const CHANGING = /^(date|host)$/

/** Headers and the like, without what changes from run to run. */
export function lasting(headers: object): string {
  const rows = Object.entries(headers).filter(([name]) => !CHANGING.test(name))
  return JSON.stringify(Object.fromEntries(rows))
}

function rawWithoutDate(raw: readonly string[]): string {
  const pairs = raw.flatMap((name, at) => (at % 2 === 0 ? [[name, raw[at + 1]] as const] : []))
  return JSON.stringify(pairs.filter(([name]) => !CHANGING.test(name.toLowerCase())))
}

function noteIncoming(side: Side, when: string, message: IncomingMessage): void {
  const { aborted, complete, httpVersion, httpVersionMajor, httpVersionMinor, method, url } = message
  const { statusCode, statusMessage } = message
  const facts = { aborted, complete, httpVersion, httpVersionMajor, httpVersionMinor, method, url }
  side.log(`${when}: ${JSON.stringify({ ...facts, statusCode, statusMessage })}`)
  side.log(`${when}: ${lasting(message.headers)} ${lasting(message.headersDistinct)}`)
  side.log(`${when}: ${rawWithoutDate(message.rawHeaders)} ${rawWithoutDate(message.rawTrailers)}`)
  // Whoever asks earlier gets what there is, for good.
  if (complete) side.log(`${when}: ${lasting(message.trailers)} ${lasting(message.trailersDistinct)}`)
  // Node 26 has it.
  const { signal } = message as IncomingMessage & { signal?: AbortSignal }
  side.log(
    `${when}: the socket ${message.socket === message.connection}, aborted by signal ${signal?.aborted}`,
  )
}

function noteOutgoing(side: Side, when: string, message: ClientRequest | ServerResponse): void {
  const { headersSent, sendDate, chunkedEncoding, shouldKeepAlive, useChunkedEncodingByDefault, finished } =
    message
  const { errored, closed, destroyed, writableEnded, writableFinished, writableObjectMode, writableLength } =
    message
  const { writableHighWaterMark, writableCorked, writableNeedDrain } = message
  side.log(
    `${when}: ${JSON.stringify({
      ...{ headersSent, sendDate, chunkedEncoding, shouldKeepAlive, useChunkedEncodingByDefault, finished },
      ...{ errored, closed, destroyed, writableEnded, writableFinished, writableObjectMode },
      ...{ writableLength, writableHighWaterMark, writableCorked, writableNeedDrain },
      socket: message.socket === message.connection,
    })}`,
  )
}

/** Notes when a method is called, and does it. */
export function noteCalls(side: Side, what: string, owner: object, methods: readonly string[]): void {
  const record = owner as Record<string, ((...args: unknown[]) => unknown) | undefined>
  for (const method of methods) {
    const before = record[method]
    if (before === undefined) continue
    record[method] = (...args: unknown[]): unknown => {
      side.log(`${what}.${method}`)
      return before.apply(owner, args)
    }
  }
}

export async function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => request.on('response', resolve).on('error', reject))
}

export const HTTP_MEMBERS: readonly Scenario[] = [
  {
    name: 'http: every member of a request and its response',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          noteIncoming(side, 'request', request)
          noteOutgoing(side, 'response', response)
          request.setTimeout(60_000)
          void bodyOf(request).then((body) => {
            noteIncoming(side, `request with ${digest(body)}`, request)
            response.setHeader('x-set', 'one').appendHeader('x-set', 'two')
            response.setHeaders(new Map([['x-map', 'three']]))
            response.setHeader('x-removed', '1').removeHeader('x-removed')
            side.log(
              [response.getHeaderNames(), response.hasHeader('X-Set'), response.getHeader('x-set')].join(),
            )
            side.log(JSON.stringify(response.getHeaders()))
            response.sendDate = false
            response.strictContentLength = true
            response.statusCode = 201
            response.statusMessage = 'Made'
            response.setTimeout(60_000)
            side.log(`of the same request ${response.req === request}`)
            response.flushHeaders()
            noteOutgoing(side, 'response with headers', response)
            response.cork()
            response.write('some ')
            response.uncork()
            noteOutgoing(side, 'response written', response)
            response.addTrailers({ 'x-trailer': 'four' })
            response.end('more', () => {
              noteOutgoing(side, 'response finished', response)
            })
          })
        }),
      ),
    async client(side) {
      const request = side.http.request({
        ...(await target(side)),
        method: 'POST',
        path: '/path',
        agent: false,
      })
      noteCalls(side, 'request', request, ['onSocket'])
      noteOutgoing(side, 'request', request)
      const { method, path, host, protocol, reusedSocket, maxHeadersCount, aborted } = request
      side.log(JSON.stringify({ method, path, host, protocol, reusedSocket, maxHeadersCount, aborted }))
      request.setHeader('X-Case', 'kept')
      side.log(
        request
          .getRawHeaderNames()
          .filter((name) => name !== 'Host')
          .join(),
      )
      request.setNoDelay(true)
      request.setSocketKeepAlive(true, 1000)
      request.setTimeout(60_000)
      // Node's own `setTimeout` of the request, taken back.
      ;(request as unknown as { clearTimeout(): void }).clearTimeout()
      request.on('finish', () => {
        noteOutgoing(side, 'request finished', request)
      })
      request.end('question')
      // In the very event: later more may have come, or not.
      request.once('response', (response: IncomingMessage) => {
        noteIncoming(side, 'response', response)
      })
      const response = await answerTo(request)
      const body = await bodyOf(response)
      noteIncoming(side, `response with ${digest(body)}`, response)
      side.tell('over')
    },
  },
  {
    name: 'http: what servers rarely call',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          noteCalls(side, 'response', response, ['detachSocket', 'assignSocket'])
          const old = response as ServerResponse & {
            writeHeader?: (status: number, headers: object) => void
            writeInformation?: (status: number, headers: object) => void
          }
          old.writeInformation?.(110, { 'x-told': 'early' })
          response.writeProcessing()
          response.on('error', (error: Error) => {
            side.log(`piped: ${describe(error)}`)
          })
          if (request.url === '/pipe') response.pipe(response)
          // Gone from Node 26.
          if (old.writeHeader === undefined) response.writeHead(203, { 'x-head': 'written' })
          else old.writeHeader(203, { 'x-head': 'written' })
          if (request.url === '/destroy') request.destroy()
          else response.end(request.url)
        }),
      ),
    async client(side) {
      const where = await target(side)
      const { OutgoingMessage, Server } = side.http
      side.log(`${new OutgoingMessage().headersSent} ${new Server().listening}`)
      for (const path of ['/plain', '/pipe', '/destroy']) {
        const request = side.http.request({ ...where, path, agent: false })
        request.on('information', ({ statusCode }) => {
          side.log(`information ${statusCode < 110 ? statusCode : 'of Node 26'}`)
        })
        request.end()
        try {
          side.log(`${path}: ${digest(await bodyOf(await answerTo(request)))}`)
        } catch (error) {
          side.log(`${path}: ${describe(error as Error)}`)
        }
      }
      side.tell('over')
    },
  },
  {
    name: 'http: every event of a request',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          if (request.url === '/wait') side.tell('waiting')
          else response.end('answer')
        }),
      ),
    async client(side) {
      const where = await target(side)
      const events = [
        'abort',
        'close',
        'continue',
        'drain',
        'error',
        'finish',
        'information',
        'pipe',
        'response',
      ]
      for (const path of ['/answer', '/wait']) {
        const request = side.http.request({ ...where, path, method: 'POST', agent: false })
        for (const event of [...events, 'socket', 'timeout', 'unpipe', 'upgrade', 'connect']) {
          request.on(event, () => {
            side.log(`${path} ${event}, aborted ${request.aborted}, destroyed ${request.destroyed}`)
          })
        }
        request.on('response', (response: IncomingMessage) => response.resume())
        if (path === '/wait') {
          request.end()
          await side.hear('waiting')
          request.abort()
        } else {
          const { Readable } = await import('node:stream')
          Readable.from([Buffer.from('piped')]).pipe(request)
        }
        await happens(request, 'close')
      }
      side.tell('over')
    },
  },
]
