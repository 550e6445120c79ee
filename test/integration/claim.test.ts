/** Sockets and servers that others have made are carried where they are claimed, and only there. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import http2 from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import https from 'node:https'
import type { AddressInfo, LookupFunction } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import tls from 'node:tls'
import { processSwitch } from '../../src/compose/process-switch.ts'
import { claim } from '../../src/net.ts'
import { CERT, KEY } from '../support/certificate.ts'
import { within } from '../support/waiting.ts'

const PATIENCE_MS = 30_000
const SERVER = { key: KEY, cert: CERT }
const CLIENT = { host: '127.0.0.1', ca: CERT, servername: 'localhost' }

const bothFamilies: LookupFunction = (_name, _options, told) => {
  told(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ])
}

function connects(): number {
  const whole = processSwitch()
  assert.ok('switch' in whole, 'the switch is there')
  return whole.switch.stats.connects
}

/** As `once`, but not for ever. */
function next(emitter: EventEmitter, event: string): Promise<unknown[]> {
  return within(once(emitter, event), PATIENCE_MS, `'${event}'`)
}

async function portOf(t: TestContext, server: https.Server | http2.Http2SecureServer): Promise<number> {
  t.after(() => {
    server.close()
  })
  server.listen(0, '127.0.0.1')
  await next(server, 'listening')
  return (server.address() as AddressInfo).port
}

test('a claimed https server carries a claimed client, and not another', async (t) => {
  const server = claim(https.createServer(SERVER, (_request, response) => response.end('hello')))
  const port = await portOf(t, server)
  t.after(() => {
    server.closeAllConnections()
  })
  const ask = async (createConnection?: () => tls.TLSSocket): Promise<void> => {
    const request = https.get({ ...CLIENT, port, ...(createConnection && { createConnection }) })
    const [response] = (await next(request, 'response')) as [IncomingMessage]
    response.resume()
    await next(response, 'end')
  }
  const before = connects()
  await ask(() => claim(tls.connect({ ...CLIENT, port })))
  assert.equal(connects(), before + 1)
  await ask()
  assert.equal(connects(), before + 1)
  // Nobody listens at the first address: Node makes another handle for the second.
  await ask(() => claim(tls.connect({ ...CLIENT, host: 'localhost', port, lookup: bothFamilies })))
  assert.equal(connects(), before + 2)
})

test('a claimed http2 server carries a claimed client', async (t) => {
  const server = claim(http2.createSecureServer(SERVER))
  server.on('stream', (stream) => {
    stream.respond({ ':status': 204 }, { endStream: true })
  })
  const port = await portOf(t, server)
  const before = connects()
  const session: ClientHttp2Session = http2.connect(`https://127.0.0.1:${port}`, {
    createConnection: () => claim(tls.connect({ ...CLIENT, port, ALPNProtocols: ['h2'] })),
  })
  t.after(() => {
    session.destroy()
  })
  const request = session.request({ ':path': '/' })
  await next(request, 'response')
  assert.equal(connects(), before + 1)
  session.close()
  await next(session, 'close')
})

test('what cannot be claimed is an error', async (t) => {
  for (const owner of [undefined, null, 5, {}, https.globalAgent]) {
    assert.throws(() => claim(owner as never), {
      name: 'TypeError',
      message: 'Cannot claim: it is neither a server nor a socket of node:net',
    })
  }
  const server = https.createServer(SERVER)
  await portOf(t, server)
  assert.throws(() => claim(server), { message: 'Cannot claim: the server listens already' })
})
