// The server of every Node.js tutorial, by any of the protocols of the web.
import { createServer } from 'node:http'
import type { OutgoingHttpHeaders } from 'node:http'
import { createServer as createH2cServer, createSecureServer } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { Server } from 'node:net'
import { CERT, KEY } from '../../test/support/certificate.ts'
import { ENDPOINT, fail, readOptions } from './control.ts'
import { listen } from './listen.ts'

const options = readOptions({ ...ENDPOINT, body: 'Hello, world!\n', protocol: 'http' })
const secure = { key: KEY, cert: CERT }

function answer(
  _request: unknown,
  response: { writeHead(status: number, headers: OutgoingHttpHeaders): unknown; end(body: string): unknown },
): void {
  response.writeHead(200, {
    'content-type': 'text/plain',
    'content-length': Buffer.byteLength(options.body),
  })
  response.end(options.body)
}

const SERVERS: Record<string, () => Server> = {
  http: () => createServer(answer),
  https: () => createHttpsServer(secure, answer),
  http2: () => createSecureServer(secure, answer),
  h2c: () => createH2cServer(answer),
}

const make = SERVERS[options.protocol]
listen(make === undefined ? fail(`no protocol is called "${options.protocol}"`) : make(), options)
