/** What `npm run test:programs` runs; the programs themselves are in test/programs. */
export interface ProgramEntry {
  readonly name: string
  /** What is exercised, for the table. */
  readonly exercised: string
  readonly packages: readonly string[]
  /** A file of test/programs, or a real server, which is not switched. */
  readonly server: string | { readonly real: RealServer }
  readonly client: string
}

export type RealServer = 'redis' | 'postgresql'

const WEB = 'routes, JSON, 1 MB posts, 3 MB answers, redirects, errors, fetch, 50 at once'

export const PROGRAMS: readonly ProgramEntry[] = [
  {
    name: 'Express',
    exercised: WEB,
    packages: ['express'],
    server: 'express-server',
    client: 'web-client',
  },
  {
    name: 'Fastify',
    exercised: WEB,
    packages: ['fastify'],
    server: 'fastify-server',
    client: 'web-client',
  },
  {
    name: 'Koa',
    exercised: WEB,
    packages: ['koa'],
    server: 'koa-server',
    client: 'web-client',
  },
  {
    name: 'ws',
    exercised: 'text, binary up to 2 MB, deflate, ping, close codes, the built-in WebSocket',
    packages: ['ws'],
    server: 'ws-server',
    client: 'ws-client',
  },
  {
    name: 'undici',
    exercised: 'request, fetch, stream, pipeline, pipelining, cut answers, abort, timeouts',
    packages: ['undici'],
    server: 'http-server',
    client: 'undici-client',
  },
  {
    name: 'axios',
    exercised: 'get, post, streams, redirects, gzip, cut answers, abort, timeouts',
    packages: ['axios'],
    server: 'http-server',
    client: 'axios-client',
  },
  {
    name: 'got',
    exercised: 'JSON, streams, redirects, retries, cut answers, timeouts, timings',
    packages: ['got'],
    server: 'http-server',
    client: 'got-client',
  },
  {
    name: 'socket.io',
    exercised: 'polling, upgrade, WebSocket; acknowledgements, binary, rooms',
    packages: ['socket.io', 'socket.io-client'],
    server: 'socketio-server',
    client: 'socketio-client',
  },
  {
    name: '@grpc/grpc-js',
    exercised: 'unary, 3 MB, server, client and two-way streams, cancel, deadline',
    packages: ['@grpc/grpc-js', '@grpc/proto-loader'],
    server: 'grpc-server',
    client: 'grpc-client',
  },
  {
    name: 'ioredis, server in Node',
    exercised: 'commands, 1 MB values, pipelines, publish and subscribe',
    packages: ['ioredis'],
    server: 'resp-server',
    client: 'ioredis-client',
  },
  {
    name: 'ioredis, Redis',
    exercised: 'the same against redis-server',
    packages: ['ioredis'],
    server: { real: 'redis' },
    client: 'ioredis-client',
  },
  {
    name: 'pg, PostgreSQL',
    exercised: 'queries, bytea up to 2 MB, transactions, notifications, prepared statements',
    packages: ['pg'],
    server: { real: 'postgresql' },
    client: 'pg-client',
  },
]
