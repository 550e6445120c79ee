/**
 * A web server and a client over nothing but `node:http`: `web.js server HOST` sends patterns and echoes what is posted;
 * `web.js client HOST PORT` makes the requests it is told to, and verifies every byte of the answers.
 */
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { onHeard, say, stay } from '../support/app-side.ts'
import { Pattern } from '../support/pattern.ts'

export interface Order {
  readonly id: number
  readonly method: 'GET' | 'POST'
  readonly bytes: number
  /** Requests with the same number share kept connections; 0: one of its own, closed afterwards. */
  readonly pool: number
}

const [role, host = '', port = ''] = process.argv.slice(2)
const pattern = new Pattern(6)
const pools = [new http.Agent()]

function serve(): void {
  const server = http.createServer((request, response) => {
    response.setHeader('x-seen-from', request.socket.remoteAddress ?? '')
    if (request.method === 'POST') request.pipe(response)
    else response.end(pattern.copy(0, Number(request.url?.slice(1))))
  })
  server.listen(0, host, () => {
    say({ event: 'listening', port: (server.address() as AddressInfo).port })
  })
}

async function ask({ method, bytes, pool }: Order): Promise<object> {
  const request = http.request({
    host,
    port,
    method,
    path: `/${bytes}`,
    agent: (pools[pool] ??= new http.Agent({ keepAlive: true })),
  })
  if (method === 'POST')
    for (let at = 0; at < bytes; at += 50_000) request.write(pattern.copy(at, Math.min(50_000, bytes - at)))
  request.end()
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const { fd } = (response.socket as Socket & { readonly _handle: { readonly fd: number } })._handle
  let received = 0
  for await (const data of response as AsyncIterable<Buffer>) {
    const damage = pattern.damageIn(data, received)
    if (damage !== undefined) return { error: `wrong byte at ${damage}` }
    received += data.length
  }
  const seenFrom = response.headers['x-seen-from']
  return {
    status: response.statusCode,
    received,
    seenFrom,
    reused: request.reusedSocket,
    switched: fd === -1,
  }
}

if (role === 'server') serve()
else {
  say({ event: 'ready' })
  onHeard((order) => {
    const { id } = order
    ask(order as unknown as Order).then(
      (answer) => {
        say({ id, ...answer })
      },
      (error: unknown) => {
        say({ id, error: String(error) })
      },
    )
  })
  stay()
}
