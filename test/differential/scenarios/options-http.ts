/** What agents do, and every option of agents, requests and servers of `http`. */
import type { Agent, AgentOptions, RequestOptions } from 'node:http'
import { departures, describe, digest, happens, listen, target } from '../side.ts'
import type { Scenario, Side } from '../side.ts'
import { bodyOf, serveUntilOver } from './http.ts'
import { answerTo, lasting, noteCalls } from './members-http.ts'

/** Methods that Node calls on an agent; each is noted and done. */
const AGENT_METHODS = [
  'addRequest',
  'createSocket',
  'createConnection',
  'keepSocketAlive',
  'reuseSocket',
  'removeSocket',
]

function noteAgent(side: Side, when: string, agent: Agent): void {
  const count = (lists: NodeJS.ReadOnlyDict<unknown[]>): number =>
    Object.values(lists).reduce((all, list) => all + (list?.length ?? 0), 0)
  const { maxFreeSockets, maxSockets, maxTotalSockets, freeSockets, sockets, requests } = agent
  const counts = [freeSockets, sockets, requests].map(count).join()
  side.log(`${when}: ${[maxFreeSockets, maxSockets, maxTotalSockets].join()} and ${counts}`)
}

/** What `options` make of one request. */
async function tryOptions(side: Side, options: RequestOptions): Promise<void> {
  try {
    const request = side.http.request(options)
    request.end()
    const response = await answerTo(request)
    side.log(`${response.statusCode} ${lasting(response.headers)} ${digest(await bodyOf(response))}`)
  } catch (error) {
    side.log(describe(error as Error))
  }
}

/** Sends `text` as it is, and notes what is answered until the end. */
async function sendRaw(side: Side, port: number, what: string, text: string): Promise<void> {
  const socket = side.net.connect({ port, host: '127.0.0.1' })
  const chunks: Buffer[] = []
  socket.on('data', (data) => chunks.push(data))
  socket.write(text)
  await happens(socket, 'close')
  const answer = Buffer.concat(chunks)
    .toString('latin1')
    .replace(/date: .*\r\n/gi, '')
  side.log(`${what}: ${JSON.stringify(answer)}`)
}

const REQUEST = 'GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n'

/** What is sent to a server with options of each kind. */
const RAW: Readonly<Record<string, string>> = {
  joinDuplicateHeaders: `${REQUEST}x-one: 1\r\nx-one: 2\r\n\r\n`,
  requireHostHeader: 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n',
  maxHeaderSize: `${REQUEST}x-long: ${'x'.repeat(3000)}\r\n\r\n`,
  maxHeadersCount: `${REQUEST}${'x-many: 1\r\n'.repeat(30)}\r\n`,
  'insecureHTTPParser, httpValidation': `${REQUEST}x-bad: a\u0001b\r\n\r\n`,
  headersTimeout: 'GET / HTTP/1.1\r\nhost: a\r\n',
  requestTimeout: 'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n123',
  keepAliveTimeout: 'GET / HTTP/1.1\r\nhost: a\r\n\r\n',
  maxRequestsPerSocket: 'GET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\r\nhost: a\r\n\r\n',
  checkExpectation: `${REQUEST}expect: something\r\n\r\n`,
  'upgrade, shouldUpgradeCallback': 'GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n',
  optimizeEmptyRequests: `${REQUEST}content-length: 0\r\n\r\n`,
}

export const HTTP_OPTIONS: readonly Scenario[] = [
  {
    name: 'http: what an agent keeps and calls',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          response.end(request.url)
        }),
      ),
    async client(side) {
      const { host, port } = await target(side)
      // `agentKeepAliveTimeoutBuffer`, `proxyEnv`, `defaultPort` and `protocol` are newer than the declarations.
      const options: AgentOptions & Record<string, unknown> = {
        ...{ keepAlive: true, keepAliveMsecs: 500, maxSockets: 1, maxFreeSockets: 1, maxTotalSockets: 2 },
        ...{ scheduling: 'fifo', timeout: 60_000, noDelay: true, keepAliveInitialDelay: 500 },
        ...{ agentKeepAliveTimeoutBuffer: 500, proxyEnv: {}, defaultPort: 80, protocol: 'http:' },
      }
      const agent = new side.http.Agent(options)
      noteCalls(side, 'agent', agent, AGENT_METHODS)
      agent.on('free', () => {
        side.log('free')
      })
      side.log(agent.getName({ host, port: 1, localAddress: '127.0.0.1', family: 4 }))
      noteAgent(side, 'new', agent)
      const requests = [1, 2, 3].map((at) => side.http.get({ host, port, agent, path: `/${at}` }))
      noteAgent(side, 'asked', agent)
      const answers = requests.map(async (request) => {
        const body = await bodyOf(await answerTo(request))
        side.log(`${digest(body)}, reused ${request.reusedSocket}`)
      })
      await Promise.all(answers)
      await new Promise((resolve) => setImmediate(resolve))
      noteAgent(side, 'answered', agent)
      const gone = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])
      agent.destroy()
      for (const socket of gone) if (!socket.closed) await happens(socket, 'close')
      noteAgent(side, 'destroyed', agent)
      side.tell('over')
    },
  },
  {
    name: 'http: how an agent and a request connect',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          response.setHeader('x-from', String(request.socket.remoteAddress))
          response.end(request.headers.host?.replace(/\d{4,}/, 'port') ?? 'no host')
        }),
      ),
    async client(side) {
      const { host, port } = await target(side)
      const lookup: RequestOptions['lookup'] = (_name, options, callback) => {
        if (options.all === true) callback(null, [{ address: host, family: 4 }])
        else callback(null, host, 4)
      }
      const { BlockList } = side.net
      const blockList = new BlockList()
      blockList.addAddress('127.0.0.9')
      const ways: Record<string, object> = {
        'host and port': { host, port },
        localAddress: { host, port, localAddress: '127.0.0.2', localPort: 0 },
        'lookup, family, hints': { host: 'a.test', port, lookup, family: 4, hints: 0 },
        autoSelectFamily: {
          host: 'a.test',
          port,
          lookup,
          autoSelectFamily: true,
          autoSelectFamilyAttemptTimeout: 500,
        },
        onread: { host, port, onread: undefined },
        'noDelay, keepAliveInitialDelay': {
          host,
          port,
          noDelay: false,
          keepAlive: true,
          keepAliveInitialDelay: 9,
        },
        blockList: { host, port, blockList },
      }
      for (const [name, options] of Object.entries(ways)) {
        side.log(name)
        await tryOptions(side, { ...options, agent: false })
        const agent = new side.http.Agent(options)
        await tryOptions(side, { ...options, agent })
        agent.destroy()
      }
      side.tell('over')
    },
  },
  {
    name: 'http: every option of a request',
    server: (side) =>
      serveUntilOver(
        side,
        side.http.createServer((request, response) => {
          side.log(
            `${request.method} ${request.url} ${lasting(request.headers)} ${'host' in request.headers}`,
          )
          if (request.url === '/long') response.setHeader('x-long', 'x'.repeat(3000))
          if (request.url === '/twice') response.setHeader('x-twice', ['1', '2'])
          if (request.url === '/bad')
            request.socket.end('HTTP/1.1 200 OK\r\nx-bad: a\u0001b\r\ncontent-length: 0\r\n\r\n')
          else response.end()
        }),
      ),
    async client(side) {
      const { host, port } = await target(side)
      const connection = { agent: false, port } as const
      const tries: readonly (RequestOptions & Record<string, unknown>)[] = [
        { ...connection, host, auth: 'user:secret', path: '/auth' },
        { ...connection, hostname: host, method: 'PUT', path: '/method' },
        { agent: false, host, defaultPort: port, path: '/defaultPort' },
        {
          ...connection,
          host,
          headers: { 'x-list': ['1', '2'] },
          uniqueHeaders: ['x-list'],
          path: '/headers',
        },
        { ...connection, host, setHost: false, headers: { host: 'set' }, path: '/setHost' },
        {
          ...connection,
          host,
          setDefaultHeaders: false,
          headers: { host: 'a', connection: 'close' },
          path: '/none',
        },
        { ...connection, host, protocol: 'http:', path: '/protocol' },
        { ...connection, host, protocol: 'gopher:', path: '/gopher' },
        { ...connection, host, path: '/not allowed' },
        { ...connection, host, maxHeaderSize: 2000, path: '/long' },
        { ...connection, host, joinDuplicateHeaders: true, path: '/twice' },
        { ...connection, host, path: '/bad' },
        { ...connection, host, insecureHTTPParser: true, path: '/bad' },
        { ...connection, host, httpValidation: 'strict', path: '/bad' },
        { createConnection: () => side.net.connect({ host, port }), path: '/createConnection' },
        { ...connection, socketPath: '/nowhere', path: '/socketPath' },
      ]
      for (const options of tries) await tryOptions(side, options)
      side.tell('over')
    },
  },
  {
    name: 'http: every option of a server',
    async server(side) {
      const { IncomingMessage, ServerResponse } = side.http
      class Request extends IncomingMessage {}
      class Response extends ServerResponse {}
      const options: object = {
        ...{
          IncomingMessage: Request,
          ServerResponse: Response,
          joinDuplicateHeaders: true,
          requireHostHeader: true,
        },
        ...{
          connectionsCheckingInterval: 50,
          headersTimeout: 200,
          requestTimeout: 200,
          keepAliveTimeout: 100,
        },
        ...{ keepAliveTimeoutBuffer: 0, highWaterMark: 4096, insecureHTTPParser: false, maxHeaderSize: 2000 },
        ...{ noDelay: true, keepAlive: true, keepAliveInitialDelay: 100, uniqueHeaders: ['x-unique'] },
        ...{ rejectNonStandardBodyWrites: true, httpValidation: undefined, optimizeEmptyRequests: true },
        shouldUpgradeCallback: () => false,
      }
      const server = side.http.createServer(options, (request, response) => {
        const kinds = [request, response].map((each) => each.constructor.name).join()
        side.log(
          `${kinds} ${request.url} ${lasting(request.headers)}, high water ${response.writableHighWaterMark}`,
        )
        response.setHeader('x-unique', ['1', '2'])
        // Node 24 says at once that there is no body.
        if (request.readableEnded) response.end('answer')
        else request.resume().on('end', () => response.end('answer'))
      })
      server.maxHeadersCount = 20
      server.maxRequestsPerSocket = 1
      server.on('dropRequest', (request) => {
        side.log(`dropRequest ${request.url}`)
      })
      server.on('checkExpectation', (_request, response) => {
        side.log('checkExpectation')
        response.writeHead(417).end()
      })
      const { timeout, headersTimeout, keepAliveTimeout, requestTimeout } = server
      const { keepAliveTimeoutBuffer } = server as unknown as { keepAliveTimeoutBuffer: unknown }
      side.log([timeout, headersTimeout, keepAliveTimeout, requestTimeout, keepAliveTimeoutBuffer].join())
      const departed = departures(server)
      await listen(side, server)
      await side.hear('over')
      await departed()
      server.close()
    },
    async client(side) {
      const { port } = await target(side)
      for (const [what, text] of Object.entries(RAW)) await sendRaw(side, port, what, text)
      side.tell('over')
    },
    arrangements: ['two processes'],
  },
]
