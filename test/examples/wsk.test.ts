import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { App } from '../support/app.ts'
import { Program } from '../integration/program.ts'

const ACTOR = fileURLToPath(new URL('../integration/actor.js', import.meta.url))
const CROWD = fileURLToPath(new URL('crowd.js', import.meta.url))
const exampleOf = (name: string): string =>
  fileURLToPath(new URL(`../../examples/wsk/${name}.js`, import.meta.url))

async function start(t: TestContext, name: string, args: string[] = []): Promise<{ app: App; port: number }> {
  const app = new App(exampleOf(name), { switched: false, args, test: t })
  const { port } = await app.next()
  return { app, port: port as number }
}

/** Somebody who knows nothing of the switch: Node's own `net` in this process. */
async function stockEcho(port: number, text: string): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end(text)
  const pieces: Buffer[] = []
  for await (const piece of socket as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces).toString()
}

/** A switched program of `node:net`. */
async function switchedEcho(t: TestContext, port: number): Promise<void> {
  const client = new Program(ACTOR, { test: t })
  const connected = await client.ask('connect', { key: 'one', options: { port } })
  assert.equal(connected['way'], 'san')
  const echoed = await client.ask('echo', { key: 'one', bytes: 100_000 })
  assert.equal(echoed['error'], undefined)
  await client.ask('close', { key: 'one' })
}

/** How a connect that the client rejects ends for a switched program. */
async function switchedRefusal(t: TestContext, port: number): Promise<unknown> {
  const client = new Program(ACTOR, { test: t })
  return (await client.ask('connect', { key: 'one', options: { port } }))['error']
}

describe("the seed's samples, ported line by line", () => {
  test('WSK-ACCEPT-2 WSK-ACCEPT-4 WskAccept with an IRP serves stock and switched peers', async (t) => {
    const { port } = await start(t, 'accept-with-irp')
    assert.equal(await stockEcho(port, 'stock'), 'stock')
    await switchedEcho(t, port)
    assert.equal(await stockEcho(port, 'again'), 'again')
  })

  test('WSK-ACCEPT-8 WSK-ACCEPT-9 WskAcceptEvent takes sockets, and refuses one too many', async (t) => {
    const { port } = await start(t, 'accept-event', ['2'])
    assert.equal(await stockEcho(port, 'stock'), 'stock')
    await switchedEcho(t, port)
    await assert.rejects(stockEcho(port, 'one too many'), { code: 'ECONNRESET' })
  })

  test('WSK-INSP-3 WSK-INSP-4 WSK-INSP-5 WskInspectEvent accepts, pends and completes', async (t) => {
    for (const verdict of ['accept', 'later']) {
      const { port } = await start(t, 'inspect', [verdict])
      assert.equal(await stockEcho(port, 'inspected'), 'inspected')
      await switchedEcho(t, port)
    }
  })

  test('WSK-INSP-4 a rejected switched peer is refused; a stock one is reset', async (t) => {
    const { port } = await start(t, 'inspect', ['reject'])
    assert.equal(await switchedRefusal(t, port), 'ECONNREFUSED')
    await assert.rejects(stockEcho(port, 'unwanted'), { code: 'ECONNRESET' })
  })

  test('WSK-INSP-7 WskAbortEvent is called for whoever gives up while it is pended', async (t) => {
    const { app, port } = await start(t, 'inspect', ['never'])
    const stock: Socket = connect(port, '127.0.0.1')
    await once(stock, 'connect')
    assert.equal((await app.next())['event'], 'inspected')
    stock.destroy()
    assert.equal((await app.next())['event'], 'aborted')
    const client = new Program(ACTOR, { test: t })
    void client.ask('connect', { key: 'one', options: { port } }).catch(() => undefined)
    assert.equal((await app.next())['event'], 'inspected')
    client.kill()
    assert.equal((await app.next())['event'], 'aborted')
  })
})

describe('the echo server', () => {
  test('C1 WSK-REG-14 it serves 1,000 connections, stock and switched at once, and stops when the last peer has left', async (t) => {
    const { app, port } = await start(t, 'echo-server')
    const crowds = [false, true].map((switched) => {
      const args = [String(port), '500', '3000']
      return new App(CROWD, { switched, args, test: t })
    })
    for (const crowd of crowds) assert.deepEqual(await crowd.next(), { event: 'connected', connections: 500 })
    for (const crowd of crowds) crowd.tell({})
    for (const crowd of crowds) assert.deepEqual(await crowd.next(), { event: 'verified', bytes: 500 * 3000 })
    // The barrier waits for peers that are still there.
    app.endInput()
    for (const crowd of crowds) crowd.tell({})
    for (const crowd of crowds) assert.equal((await crowd.exited).code, 0)
    // On a busy machine some give up waiting for the answer, and go on over TCP/IP.
    const { san, tcpip } = crowds[1]!.reports()[0]!
    assert.ok(san.connect > 0)
    assert.equal(san.connect + (tcpip['handshake-timeout'] ?? 0), 500)
    assert.deepEqual(await app.next(), { event: 'stopped', accepted: 1000 })
    assert.deepEqual(await app.exited, { code: 0, signal: null })
  })
})
