import assert from 'node:assert/strict'
import { test } from 'node:test'

import { processSwitch } from '../../src/compose/process-switch.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import type { SocketAddress, Status, Stream, TcpipArrival } from '../../src/spi/index.ts'
import { deferred } from '../support/waiting.ts'

test('the face under node:net leaves the sockets of the TCP/IP provider alone', async () => {
  const whole = processSwitch()
  if ('unavailable' in whole) assert.fail(whole.unavailable)
  whole.install(true)
  const provider = tcpip()
  const arrived = deferred<TcpipArrival>()
  const connected = deferred<{ status: Status; stream: Stream | undefined }>()
  const address: SocketAddress = { family: 'IPv4', address: '127.0.0.1', port: 0 }
  const listener = provider.socket('IPv4', {
    connected: () => assert.fail(),
    arrived: (arrival) => {
      arrived.resolve(arrival)
    },
  })
  assert.deepEqual([listener.bind(address), listener.listen(1)], [0, 0])
  const local = listener.localAddress()
  assert.ok(local.ok)
  const client = provider.socket('IPv4', {
    connected(status, stream) {
      connected.resolve({ status, stream })
    },
    arrived: () => assert.fail(),
  })
  assert.equal(client.connect(local.value), 0)
  const { status, stream } = await connected.promise
  assert.equal(status, 0)
  const arrival = await arrived.promise
  assert.deepEqual([whole.switch.stats.connects, whole.switch.stats.accepts], [0, 0])
  assert.deepEqual(whole.switch.stats.reasons, {})
  assert.deepEqual(whole.face.listeners(), [])
  stream?.reset()
  arrival.stream.reset()
  listener.close()
})
