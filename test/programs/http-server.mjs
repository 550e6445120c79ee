// A server over node:http for the clients: undici, axios, got.
import { createServer } from 'node:http'
import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { bytes, serve } from './support.mjs'

let failures = 0
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, 'http://host')
  if (pathname === '/json') response.setHeader('content-type', 'application/json').end('{"hello":"world"}')
  else if (pathname === '/large') response.end(bytes(3_000_000))
  else if (pathname === '/gzip')
    response.setHeader('content-encoding', 'gzip').end(gzipSync(bytes(300_000).toString('hex')))
  else if (pathname === '/moved') response.writeHead(301, { location: '/json' }).end()
  else if (pathname === '/missing') response.writeHead(404).end('missing')
  else if (pathname === '/flaky')
    response.writeHead((failures += 1) % 2 === 1 ? 503 : 200, { 'retry-after': '0' }).end('flaky')
  else if (pathname === '/cut')
    response.writeHead(200, { 'content-length': 100 }).write('half', () => request.socket.destroy())
  else if (pathname === '/never') request.resume()
  else if (pathname === '/upload') {
    const body = await buffer(request).catch(() => undefined)
    if (body === undefined) return
    const sha1 = createHash('sha1').update(body).digest('hex')
    response.end(JSON.stringify({ method: request.method, length: body.length, sha1 }))
  } else response.writeHead(400).end()
})
server.keepAliveTimeout = 60_000
serve(server)
