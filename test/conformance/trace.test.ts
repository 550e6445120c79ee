import assert from 'node:assert/strict'
import { test } from 'node:test'

import { Fixture } from '../../conformance/fixture.ts'
import { providerConformance } from '../../conformance/index.ts'
import { publish } from '../../conformance/peer.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { trace } from '../../src/providers/wrap/index.ts'
import type { TraceRecord } from '../../src/providers/wrap/index.ts'

providerConformance('trace over loopback', {
  create: () =>
    trace(loopback(), (record) => {
      // A record that cannot be printed fails the call that made it.
      JSON.stringify(record)
    }),
})

/** A fixture whose two ends are one traced provider. */
async function traced(): Promise<{ fixture: Fixture; records: TraceRecord[] }> {
  const records: TraceRecord[] = []
  const fixture = await Fixture.open({ create: () => trace(loopback(), (record) => records.push(record)) })
  return { fixture, records }
}

function line({ direction, name, socket, depth, result }: TraceRecord): string {
  const arrow = direction === 'down' ? '>' : '<'
  return `${'  '.repeat(depth)}${arrow} ${socket} ${name} ${typeof result === 'string' ? result : 'value'}`
}

test('trace tells of each call down and up, inner calls first', async () => {
  const { fixture, records } = await traced()
  const pair = await fixture.connectPair('acceptor')
  fixture.post(pair.near)
  assert.equal(pair.near.close(), 0)
  await fixture.closed(pair.handle)
  assert.deepEqual(records.map(line), [
    '> 0 startup value',
    '  < 1 createSocketHandle success',
    '> 0 socket value',
    '> 1 bind success',
    '> 1 listen success',
    '> 1 eventSelect success',
    '  < 2 createSocketHandle success',
    '> 0 socket value',
    '> 2 bind success',
    '> 2 eventSelect success',
    '  < 1 set success',
    '> 2 connect WSAEWOULDBLOCK',
    '  < 1 reset success',
    '> 1 enumNetworkEvents value',
    '  < 1 condition value',
    '  < 1 reset success',
    '  < 3 createSocketHandle success',
    '  < 2 set success',
    '> 1 accept value',
    '  < 2 reset success',
    '> 2 enumNetworkEvents value',
    '> 2 calleeData value',
    '> 1 close success',
    '> 3 receive WSA_IO_PENDING',
    '> 3 close success',
    '< 1 closeSocketHandle success',
    '< 3 completeOverlappedRequest success',
    '< 3 closeSocketHandle success',
  ])
})

test('a record is plain data with the arguments as they were at the call', async () => {
  const { fixture, records } = await traced()
  const pair = await fixture.connectPair()
  assert.equal(publish(pair.near, 8, Uint8Array.of(1, 2)), 0)
  fixture.post(pair.near, { silent: true })
  for (const record of records) assert.deepEqual(JSON.parse(JSON.stringify(record)), record)

  const find = (name: string): TraceRecord | undefined => records.find((record) => record.name === name)
  const [address, callerData] = find('connect')?.args ?? []
  assert.deepEqual(address, { family: 'IPv4', address: '127.0.0.1', port: 40001 })
  assert.deepEqual(callerData, { byteLength: 0 })
  const views = { bytes: { byteLength: 8192 }, words: { byteLength: 8192 } }
  const send = { ...views, offset: 4096, length: 4096, descriptor: 0 }
  assert.deepEqual(find('rdmaWrite')?.args, [send, 8, 2, null])
  assert.deepEqual(find('receive')?.args, [{ silent: true, status: 'success' }])
  assert.deepEqual(find('eventSelect')?.args, ['event', 8])
  fixture.near.stop()
})

test('trace hands memory through as it is', async () => {
  const { fixture } = await traced()
  const pair = await fixture.connectPair()
  const [one, other] = [pair.near.memory(), fixture.near.rawOf(pair.near).memory()]
  assert.ok(one.ok && other.ok)
  assert.equal(one.value, other.value)
  assert.equal(one.value.send.bytes.buffer, one.value.receive.bytes.buffer)
  fixture.near.stop()
})

test('a failure is recorded by its name', async () => {
  const { fixture, records } = await traced()
  const socket = await fixture.client()
  socket.listen(0)
  socket.getSockOpt('TCP_NODELAY')
  assert.deepEqual(
    records.slice(-2).map(({ name, result }) => [name, result]),
    [
      ['listen', 'WSAEINVAL'],
      ['getSockOpt', 'WSAENOPROTOOPT'],
    ],
  )
  fixture.near.stop()
})
