import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import * as wsk from '../../src/faces/wsk/index.ts'
import { deferred, within } from '../support/waiting.ts'
import { CARRIERS, Station, overEach } from './station.ts'

describe('WSK for people who like TypeScript', () => {
  overEach('connections are accepted, read and closed with for await and await using', async (station) => {
    await using application = new wsk.WskApplication(station.wsk)
    await using listener = await application.listen()
    const serving = (async () => {
      for await (const connection of listener.accept()) {
        await using accepted = connection
        for await (const piece of accepted) await accepted.send(piece)
        await accepted.end()
      }
    })()
    for (const text of ['one', 'another']) {
      await using connection = await application.connect(listener.address)
      assert.deepEqual(await connection.remoteAddress(), listener.address)
      await connection.send(text)
      await connection.end()
      const pieces: Buffer[] = []
      for await (const piece of connection) pieces.push(piece)
      assert.equal(Buffer.concat(pieces).toString(), text)
    }
    await listener.close()
    await serving
  })

  overEach(
    'an inspector may take its time, and hears when nobody waits any more',
    async (station, { carrier }) => {
      await using application = new wsk.WskApplication(station.wsk)
      const asked: string[] = []
      let aborted: Promise<void> | undefined
      await using listener = await application.listen({
        inspect: ({ remote, signal }) => {
          asked.push(remote.address)
          if (asked.length === 1) return 'accept'
          if (asked.length === 2) return new Promise((resolve) => setImmediate(resolve, 'accept'))
          if (asked.length === 3) return Promise.resolve('reject')
          aborted = new Promise((resolve) => {
            signal.addEventListener('abort', () => {
              resolve()
            })
          })
          return new Promise(() => undefined)
        },
      })
      for (let i = 0; i < 2; i++) {
        const [near, far] = await Promise.all([application.connect(listener.address), listener.next()])
        await near.send('x')
        assert.equal(await far.receive(Buffer.alloc(1)), 1)
        await near.close()
        await far.close()
      }
      const refused = (async () => {
        await using connection = await application.connect(listener.address)
        await connection.receive(Buffer.alloc(1))
      })()
      const code = carrier === 'tcpip' ? 'STATUS_CONNECTION_RESET' : 'STATUS_CONNECTION_REFUSED'
      await assert.rejects(refused, { code })
      const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
      await station.bind(socket)
      socket.dispatch.WskConnect(socket, listener.address, 0, new wsk.Irp())
      while (aborted === undefined) await new Promise((resolve) => setImmediate(resolve))
      await station.close(socket)
      await aborted
    },
  )

  test('what cannot be done says what was tried, and why not', async (t) => {
    const station = new Station(t, CARRIERS[0])
    await using application = new wsk.WskApplication(station.wsk)
    const listener = await application.listen()
    const nobody = listener.address
    await listener.close()
    await assert.rejects(application.connect(nobody), {
      name: 'WskError',
      code: 'STATUS_CONNECTION_REFUSED',
      message: `Cannot connect to 127.0.0.1:${nobody.port}: the peer refused the connection`,
    })
    await assert.rejects(application.listen({ address: '203.0.113.1' }), {
      code: 'STATUS_INVALID_ADDRESS_COMPONENT',
    })
  })

  test('a listener that cannot inspect is not left behind: the application ends', async (t) => {
    const station = new Station(t, 'tcpip', { conditionalAccept: 'none' })
    const application = new wsk.WskApplication(station.wsk)
    await assert.rejects(application.listen({ inspect: () => 'accept' }), { code: 'STATUS_NOT_SUPPORTED' })
    await within(application[Symbol.asyncDispose](), 10_000, 'the end of the application')
  })

  overEach('an inspector hears when the listener closes', async (station) => {
    await using application = new wsk.WskApplication(station.wsk)
    const asked = deferred<AbortSignal>()
    const listener = await application.listen({
      inspect: ({ signal }) => {
        asked.resolve(signal)
        return new Promise(() => undefined)
      },
    })
    const socket = await station.socket(wsk.WSK_FLAG_CONNECTION_SOCKET)
    await station.bind(socket)
    socket.dispatch.WskConnect(socket, listener.address, 0, new wsk.Irp())
    const signal = await within(asked.promise, 10_000, 'the request')
    assert.equal(signal.aborted, false)
    await listener.close()
    assert.equal(signal.aborted, true)
  })
})
