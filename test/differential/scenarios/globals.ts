/** What needs no import: `fetch` and its requests and responses, and WebSockets; and the agent of `https`. */
import { createHash } from 'node:crypto'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { CERT, KEY } from '../../support/certificate.ts'
import { describe, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'
import { ask, bodyOf, serveUntilOver } from './http.ts'
import { answerTo, noteCalls } from './members-http.ts'

const SERVER = { key: KEY, cert: CERT }
const CLIENT = { ca: CERT, servername: 'localhost' }
/** What a server of WebSockets appends to the key of a client. @source RFC 6455, 4.2.2 */
const ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Answers each path of a fetch. */
async function serveFetch(side: Side): Promise<void> {
  const server = side.http.createServer((request, response) => {
    const { url = '', method, headers } = request
    if (url === '/redirect') response.writeHead(302, { location: '/echo' }).end()
    else if (url === '/wait') side.tell('waiting')
    else
      void bodyOf(request).then((body) => {
        const said = [
          headers['x-one'],
          headers['content-type']?.split(';')[0],
          headers.referer !== undefined,
        ].join()
        side.log(`${method} ${url} ${said} ${body.length < 100 ? digest(body) : body.length}`)
        response.setHeader(
          'content-type',
          url === '/form' ? 'application/x-www-form-urlencoded' : 'application/json',
        )
        response.end(url === '/form' ? 'a=1&b=2' : '{"answer":1}')
      })
  })
  await listen(side, server)
  await side.hear('over')
  // How many connections there were is the business of undici's pool.
  server.closeAllConnections()
  server.close()
}

function noteRequest(side: Side, request: Request): void {
  const { method, destination, referrer, referrerPolicy, mode, credentials, cache, redirect } = request
  const { integrity, keepalive, isReloadNavigation, isHistoryNavigation, duplex, bodyUsed } =
    request as Request & {
      isReloadNavigation: unknown
      isHistoryNavigation: unknown
    }
  const facts = [method, destination, referrer, referrerPolicy, mode, credentials, cache, redirect, integrity]
  side.log(`request ${facts.join()} ${new URL(request.url).pathname} ${[...request.headers.keys()].join()}`)
  side.log(
    `${[keepalive, isReloadNavigation, isHistoryNavigation, duplex, bodyUsed].join()} ${request.signal.aborted}`,
  )
}

function noteResponse(side: Side, response: Response): void {
  const { type, redirected, status, ok, statusText, bodyUsed } = response
  side.log(
    `response ${[type, redirected, status, ok, statusText, bodyUsed].join()} ${new URL(response.url).pathname}`,
  )
  side.log(`${String(response.headers.get('content-type'))} ${response.body?.constructor.name}`)
}

/** Each way to the body, of requests and of responses. */
const BODIES: Readonly<Record<string, (from: Request | Response) => Promise<unknown>>> = {
  arrayBuffer: async (from) => (await from.arrayBuffer()).byteLength,
  blob: async (from) => (await from.blob()).size,
  // Node 22; a body that nobody reads would hold up its other half.
  async bytes(from) {
    const { bytes } = from as { bytes?: () => Promise<Uint8Array> }
    return bytes === undefined ? (await from.text()).length : (await bytes.call(from)).length
  },
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- old, and there
  formData: async (from) => [...(await from.formData()).keys()].join(),
  json: async (from) => JSON.stringify(await from.json()),
  text: (from) => from.text(),
  // Node 26.
  async textStream(from) {
    const { textStream } = from as { textStream?: () => AsyncIterable<string> }
    if (textStream === undefined) return from.text()
    let text = ''
    for await (const part of textStream.call(from)) text += part
    return text
  },
}

/** One short frame of a WebSocket, without a mask. @source RFC 6455, 5.2 */
function frame(opcode: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | opcode, body.length]), body])
}

/** Sends every short frame of a client back, and ends when told. */
function echoFrames(side: Side, socket: Duplex): void {
  let data = Buffer.alloc(0)
  socket.on('data', (more: Buffer) => {
    data = Buffer.concat([data, more])
    while (data.length >= 6 && data.length >= 6 + ((data[1] ?? 0) & 0x7f)) {
      const [opcode, length, mask] = [(data[0] ?? 0) & 0x0f, (data[1] ?? 0) & 0x7f, data.subarray(2, 6)]
      const body = Buffer.from(data.subarray(6, 6 + length).map((byte, at) => byte ^ (mask[at % 4] ?? 0)))
      data = data.subarray(6 + length)
      side.log(`frame ${opcode} ${digest(body)}`)
      socket.write(frame(opcode, body))
      if (opcode === 8) socket.end()
    }
  })
}

async function talk(side: Side, url: string): Promise<void> {
  const socket = new WebSocket(url, ['one', 'two'])
  const note = (what: string): void => {
    const { binaryType, bufferedAmount, extensions, protocol, readyState } = socket
    side.log(
      `${what}: ${[binaryType, bufferedAmount, extensions, protocol, readyState].join()} ${socket.url === `${url}/`}`,
    )
  }
  socket.binaryType = 'arraybuffer'
  note('new')
  side.log([WebSocket.CONNECTING, socket.OPEN, socket.CLOSING, socket.CLOSED, socket.CONNECTING].join())
  socket.onerror = () => {
    note('error')
  }
  const closed = new Promise<void>((resolve) => {
    socket.onclose = ({ code, reason, wasClean }) => {
      note(`close ${code} ${reason} ${wasClean}`)
      resolve()
    }
  })
  socket.onopen = () => {
    note('open')
    socket.send('text')
  }
  socket.onmessage = ({ data }: { readonly data: unknown }) => {
    note(`message ${typeof data}`)
    if (typeof data === 'string') socket.send(Buffer.from('binary'))
    else socket.close(1000, 'done')
  }
  await closed
}

export const GLOBALS: readonly Scenario[] = [
  {
    name: 'fetch: every member of a request and its response',
    server: serveFetch,
    async client(side) {
      const { host, port } = await target(side)
      const init: RequestInit & { readonly cache: string } = {
        ...{
          method: 'POST',
          body: '{"a":1}',
          redirect: 'follow',
          keepalive: true,
          integrity: '',
          cache: 'no-store',
        },
        ...{
          credentials: 'omit',
          mode: 'cors',
          referrer: 'about:client',
          referrerPolicy: 'no-referrer',
          duplex: 'half',
        },
        ...{
          headers: new Headers({ 'x-one': '1', connection: 'close', 'content-type': 'application/json' }),
        },
        signal: new AbortController().signal,
      }
      for (const [name, read] of Object.entries(BODIES)) {
        const path = name === 'formData' ? '/form' : '/echo'
        const request = new Request(`http://${host}:${port}${path}`, init)
        noteRequest(side, request)
        if (name !== 'formData') side.log(`${name} ${String(await read(request.clone()))}`)
        const response = await fetch(request)
        noteResponse(side, response)
        side.log(`${name} ${String(await read(response.clone()))}, used ${response.bodyUsed}`)
        await response.body?.cancel()
      }
      const form = new FormData()
      form.append('field', 'value')
      form.append('file', new Blob(['content']), 'name')
      const headers = { connection: 'close' }
      await (await fetch(`http://${host}:${port}/multipart`, { method: 'POST', body: form, headers })).text()
      for (const redirect of ['follow', 'manual', 'error'] as const) {
        try {
          const response = await fetch(`http://${host}:${port}/redirect`, { redirect, headers })
          noteResponse(side, response)
          await response.text()
        } catch (error) {
          side.log(describe(error as Error))
        }
      }
      const controller = new AbortController()
      const aborted = fetch(`http://${host}:${port}/wait`, { signal: controller.signal, headers })
      await side.hear('waiting')
      controller.abort()
      side.log(await aborted.then(String, (error: unknown) => (error as Error).name))
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
  {
    name: 'a WebSocket, where Node has one',
    async server(side) {
      const server = side.http.createServer((_request, response) => {
        response.end('answer')
      })
      server.on('upgrade', (request, socket) => {
        const key = createHash('sha1')
          .update(`${request.headers['sec-websocket-key']}${ACCEPT}`)
          .digest('base64')
        const answer = ['HTTP/1.1 101 Switching Protocols', 'upgrade: websocket', 'connection: upgrade']
        socket.write(
          [...answer, `sec-websocket-accept: ${key}`, 'sec-websocket-protocol: two', '', ''].join('\r\n'),
        )
        echoFrames(side, socket)
      })
      await serveUntilOver(side, server)
    },
    async client(side) {
      const { host, port } = await target(side)
      await ask(side, { host, port, agent: false })
      if (typeof WebSocket === 'undefined') side.log('this Node has none')
      else await talk(side, `ws://${host}:${port}`)
      side.tell('over')
    },
  },
  {
    name: 'https: every member of an agent and a server',
    async server(side) {
      const server = https.createServer(SERVER, (request, response) => {
        response.end(request.url)
      })
      side.log(`${server instanceof https.Server}`)
      server.setTimeout(60_000)
      await listen(side, server)
      await side.hear('over')
      server.closeIdleConnections()
      server.closeAllConnections()
      server.close()
      await happens(server, 'close')
      side.log('server close')
    },
    async client(side) {
      const where = await target(side)
      const agent = new https.Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 1 })
      noteCalls(side, 'agent', agent, ['createConnection', 'keepSocketAlive', 'reuseSocket'])
      const { options } = agent as https.Agent & { options: object }
      side.log(Object.keys(options).sort().join())
      side.log(agent.getName({ ...CLIENT, host: 'a', port: 1 }).replace(CERT, 'certificate'))
      for (const path of ['/1', '/2']) {
        const request = https.get({ ...where, ...CLIENT, agent, path })
        // Told when the socket is the agent's again: the body may be read before that, or after.
        const free = happens(agent, 'free')
        const body = await bodyOf(await answerTo(request))
        await free
        side.log(`${digest(body)} reused ${request.reusedSocket}`)
      }
      agent.destroy()
      side.log(`global ${https.globalAgent.constructor.name}`)
      side.tell('over')
    },
  },
]
