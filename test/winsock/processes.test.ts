/** Programs of Winsock in processes of their own: what the command line shows of them, and how their end looks to peers. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'

import { reportOf } from '../integration/command-line.ts'
import { Program, pairOverShm } from '../integration/program.ts'
import type { ConnectionReport } from '../../src/switch/face.ts'
import { beside } from '../support/app.ts'

const WINSOCK = beside(import.meta.url, 'actor')

/** What carries a connection and why, the listener's port, and how much has come, or gone, through it. */
function shown(row: ConnectionReport): unknown[] {
  const [end, bytes] = row.direction === 'in' ? [row.local, row.bytesRead] : [row.remote, row.bytesWritten]
  return [row.direction, row.provider, row.reason, end?.port, bytes]
}

describe('Winsock in processes of its own', () => {
  for (const leave of ['exit', 'kill'] as const) {
    test(`a program that leaves by ${leave} ends its streams, and resets where bytes were unread`, async (t) => {
      for (const [unread, end] of [
        [0, 'graceful'],
        [1000, 'WSAECONNRESET'],
      ] as const) {
        const [server, client] = await pairOverShm(WINSOCK, t)
        await server.ask('send', { key: 'there', bytes: 1000 })
        if (unread > 0) await client.ask('send', { key: 'here', bytes: unread })
        if (leave === 'kill') server.kill()
        else void server.ask('exit', { code: 0 }).catch(() => undefined)
        await server.exit()
        const left = await client.ask('drain', { key: 'here' })
        assert.deepEqual([left['bytes'], left['end']], [1000, end])
      }
    })
  }

  test('a program that exits resets connections with SO_LINGER 0, which nobody but itself can tell its peer', async (t) => {
    const [server, client] = await pairOverShm(WINSOCK, t)
    await server.ask('abrupt', { key: 'there' })
    void server.ask('exit', { code: 0 }).catch(() => undefined)
    await server.exit()
    assert.equal((await client.ask('drain', { key: 'here' }))['end'], 'WSAECONNRESET')
  })

  test('sockswitch ls shows the listeners and connections of a Winsock program, what carries them, and why', async (t) => {
    const [server, client, port] = await pairOverShm(WINSOCK, t)
    const accepting = server.ask('accept', { key: 'stock' })
    const stock = connect(port as number, '127.0.0.1')
    t.after(() => stock.destroy())
    await Promise.all([accepting, once(stock, 'connect')])
    await client.ask('send', { key: 'here', bytes: 10 })
    await server.ask('receive', { key: 'there', bytes: 10 })

    const serving = await reportOf(server)
    assert.deepEqual(
      serving.listeners.map(({ local, providers }) => [local.port, providers]),
      [[port, ['tcpip', 'shm']]],
    )
    assert.deepEqual(serving.connections.map(shown), [
      ['in', 'shm', undefined, port, 10],
      ['in', 'tcpip', 'peer-not-switched', port, 0],
    ])
    const connecting = await reportOf(client)
    assert.deepEqual(connecting.listeners, [])
    assert.deepEqual(connecting.connections.map(shown), [['out', 'shm', undefined, port, 10]])
    await client.ask('close', { key: 'here' })
    assert.deepEqual((await reportOf(client)).connections, [])
  })

  test('a Winsock program that connects to a stock server is shown with the reason', async (t) => {
    const server = new Program(beside(import.meta.url, '../integration/actor'), { test: t, execArgv: [] })
    const client = new Program(WINSOCK, { test: t, execArgv: [] })
    const { port } = await server.ask('listen')
    assert.deepEqual(
      await client.ask('connect', { key: 'here', port }).then(({ provider, reason }) => [provider, reason]),
      ['tcpip', 'peer-not-switched'],
    )
  })
})
