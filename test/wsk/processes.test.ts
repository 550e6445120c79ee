/** Programs of Winsock Kernel in processes of their own, with each other, with switched programs of `node:net`, and with stock ones. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'

import { reportOf } from '../integration/command-line.ts'
import { ATTEMPTS, Program, pairOverShm } from '../integration/program.ts'
import { beside } from '../support/app.ts'

const WSK = beside(import.meta.url, 'actor')
const NET = beside(import.meta.url, '../integration/actor')
const MUCH = 3_000_000

const wskProgram = (t: TestContext): Program => new Program(WSK, { test: t, execArgv: [] })

describe('WSK in processes of its own', () => {
  test('C1 WSK with WSK over shared memory: bytes both ways, both ends, and a clean stop', async (t) => {
    const [server, client] = await pairOverShm(WSK, t)
    for (const [from, to, key] of [
      [client, server, ['here', 'there']],
      [server, client, ['there', 'here']],
    ] as const) {
      const sending = from.ask('send', { key: key[0], bytes: MUCH })
      const got = await to.ask('receive', { key: key[1], bytes: MUCH })
      assert.deepEqual([got['length'], got['same']], [MUCH, true])
      await sending
      await from.ask('end', { key: key[0] })
      const { bytes, end } = await to.ask('drain', { key: key[1] })
      assert.deepEqual([bytes, end], [0, 'graceful'])
    }
    for (const [program, key] of [
      [client, 'here'],
      [server, 'there'],
    ] as const) {
      await program.ask('close', { key })
      assert.equal((await program.ask('stop'))['error'], undefined)
    }
  })

  test('C1 a WSK listener serves WSK, switched node:net and stock node:net at once', async (t) => {
    const [server, client, port] = await pairOverShm(WSK, t)
    const echoing = server.ask('echo', { key: 'there' })
    const accepting = server.ask('accept', { key: 'net' })
    const net = new Program(NET, { test: t })
    const connected = await net.connect('net', port)
    assert.equal(connected['way'], 'san')
    assert.equal((await accepting)['provider'], 'shm')
    const echoingNet = server.ask('echo', { key: 'net' })
    const acceptingStock = server.ask('accept', { key: 'stock' })
    const stock = connect(port as number, '127.0.0.1')
    assert.deepEqual(
      [(await acceptingStock)['provider'], (await acceptingStock)['reason']],
      ['tcpip', 'peer-not-switched'],
    )
    const echoingStock = server.ask('echo', { key: 'stock' })

    const sending = client.ask('send', { key: 'here', bytes: MUCH })
    assert.equal((await client.ask('receive', { key: 'here', bytes: MUCH }))['same'], true)
    await sending
    await client.ask('end', { key: 'here' })
    assert.equal((await echoing)['bytes'], MUCH)
    assert.equal((await client.ask('drain', { key: 'here' }))['end'], 'graceful')

    assert.equal((await net.ask('echo', { key: 'net', bytes: MUCH }))['error'], undefined)
    await net.ask('close', { key: 'net' })
    assert.equal((await echoingNet)['bytes'], MUCH)

    stock.end('stock')
    assert.equal(String(await readAll(stock)), 'stock')
    assert.equal((await echoingStock)['bytes'], 5)
  })

  test('C1 a WSK client with a switched server of node:net, and with a stock one', async (t) => {
    const client = wskProgram(t)
    const net = new Program(NET, { test: t })
    const { port } = await net.ask('listen')
    let carried: unknown
    for (let left = ATTEMPTS; left > 0 && carried !== 'shm'; left -= 1) {
      carried = (await client.ask('connect', { key: 'net', port }))['provider']
    }
    assert.equal(carried, 'shm')
    const server = createServer((socket) => socket.pipe(socket))
    t.after(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const stock = await client.ask('connect', { key: 'stock', port: (server.address() as AddressInfo).port })
    assert.deepEqual([stock['provider'], stock['reason']], ['tcpip', 'peer-not-switched'])
    for (const key of ['net', 'stock']) {
      const sending = client.ask('send', { key, bytes: MUCH })
      assert.equal((await client.ask('receive', { key, bytes: MUCH }))['same'], true)
      await sending
      await client.ask('end', { key })
      assert.equal((await client.ask('drain', { key }))['end'], 'graceful')
      await client.ask('close', { key })
    }
  })

  test('a WSK program that exits ends its streams; so does one that is killed', async (t) => {
    for (const leave of ['exit', 'kill'] as const) {
      const [server, client] = await pairOverShm(WSK, t)
      await server.ask('send', { key: 'there', bytes: 1000 })
      if (leave === 'kill') server.kill()
      else void server.ask('exit', { code: 0 }).catch(() => undefined)
      await server.exited
      const { bytes, end } = await client.ask('drain', { key: 'here' })
      assert.deepEqual([bytes, end], [1000, 'graceful'], leave)
    }
  })

  test('a WSK program that ends with bytes unread resets, whichever way it ends', async (t) => {
    for (const leave of ['exit', 'kill'] as const) {
      const [server, client] = await pairOverShm(WSK, t)
      await client.ask('send', { key: 'here', bytes: 1000 })
      if (leave === 'kill') server.kill()
      else void server.ask('exit', { code: 0 }).catch(() => undefined)
      await server.exited
      assert.equal((await client.ask('drain', { key: 'here' }))['end'], 'STATUS_CONNECTION_RESET', leave)
    }
  })

  test('a switched program of node:net sees the end of a WSK peer that exits', async (t) => {
    const server = wskProgram(t)
    const net = new Program(NET, { test: t })
    const { port } = await server.ask('listen')
    const accepting = server.ask('accept', { key: 'there' })
    assert.equal((await net.connect('here', port))['way'], 'san')
    await accepting
    void server.ask('exit', { code: 0 }).catch(() => undefined)
    assert.equal((await net.event('closed here'))['how'], 'end')
  })

  test('sockswitch ls shows the listeners and connections of a WSK program, what carries them, and why', async (t) => {
    const [server, client, port] = await pairOverShm(WSK, t)
    const accepting = server.ask('accept', { key: 'stock' })
    const stock = connect(port as number, '127.0.0.1')
    t.after(() => stock.destroy())
    await accepting
    await client.ask('send', { key: 'here', bytes: 10 })
    await server.ask('receive', { key: 'there', bytes: 10 })

    const serving = await reportOf(server)
    assert.match(serving.command, /test\/wsk\/actor\.js$/)
    assert.deepEqual(
      serving.listeners.map(({ local, providers }) => [local.port, providers]),
      [[port, ['tcpip', 'shm']]],
    )
    const shown = serving.connections.map(({ direction, provider, reason, local, bytesRead }) => [
      direction,
      provider,
      reason,
      local?.port,
      bytesRead,
    ])
    assert.deepEqual(shown, [
      ['in', 'shm', undefined, port, 10],
      ['in', 'tcpip', 'peer-not-switched', port, 0],
    ])
    const connecting = await reportOf(client)
    const [out] = connecting.connections
    assert.deepEqual(
      [connecting.connections.length, out?.direction, out?.provider, out?.remote?.port, out?.bytesWritten],
      [1, 'out', 'shm', port, 10],
    )
    await client.ask('close', { key: 'here' })
    assert.deepEqual((await reportOf(client)).connections, [])
  })
})

async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of socket as AsyncIterable<Buffer>) pieces.push(piece)
  return Buffer.concat(pieces)
}
