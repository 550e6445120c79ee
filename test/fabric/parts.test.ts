import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { Heartbeat } from '../../src/providers/fabric/heartbeat.ts'
import { decodeHello, decodeRefusal, encodeHello, encodeRefusal } from '../../src/providers/fabric/hello.ts'
import { RangeSet } from '../../src/providers/fabric/range-set.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import { decodeRequest, encodeRequest, refusalCode } from '../../src/providers/fabric/messages.ts'
import { Routes } from '../../src/providers/fabric/routes.ts'
import { WSA } from '../../src/spi/index.ts'
import type { SocketAddress, WsaCode } from '../../src/spi/index.ts'
import { chosenSeed } from '../support/random.ts'
import { FakeClock } from '../switch/fake-clock.ts'

const seed = chosenSeed()
const PLAIN = { noNullPrototype: true }

test('every TCP port has a service of its own in its own class, and the way back is the same', () => {
  const services = new Set<number>()
  for (let port = 0; port < 65_536; port++) {
    const service = serviceOf('tcp', port)
    services.add(service)
    assert.equal(serviceOf('tcp', service), port)
    assert.notEqual(service, port)
    assert.equal(service < 1024, port < 1024)
    assert.equal(service < 32_768, port < 32_768)
    assert.equal(serviceOf('verbs', port), port)
  }
  assert.equal(services.size, 65_536)
})

test(`ranges cover what was added, and are few (seed ${String(seed)})`, () => {
  const range = fc.tuple(fc.nat(2000), fc.nat(300))
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (added) => {
      const set = new RangeSet()
      for (const [from, length] of added) set.add(from, from + length)
      assert.ok(set.count <= 4)
      const covered = (at: number): boolean => {
        for (let i = 0; i < set.count; i++) if (set.start(i) <= at && at < set.end(i)) return true
        return false
      }
      for (const [from, length] of added) for (let at = from; at < from + length; at++) assert.ok(covered(at))
      let bytes = 0
      for (let i = 0; i < set.count; i++) {
        bytes += set.end(i) - set.start(i)
        for (let j = 0; j < i; j++)
          assert.ok(set.end(j) < set.start(i) || set.end(i) < set.start(j), 'they touch')
      }
      assert.equal(set.bytes, bytes)
    }),
    { seed },
  )
})

test(`a request reads as it was written, and noise does not throw (seed ${String(seed)})`, () => {
  const endpoint = fc.oneof(
    fc.record({ family: fc.constant('IPv4' as const), address: fc.ipV4(), port: fc.nat(65_535) }, PLAIN),
    fc.record(
      {
        family: fc.constant('IPv6' as const),
        address: fc.constantFrom('::1', 'fd00::17'),
        port: fc.nat(65_535),
      },
      PLAIN,
    ),
  )
  const request = fc.record(
    {
      remote: endpoint,
      local: endpoint,
      callerData: fc.uint8Array({ maxLength: 256 }),
    },
    PLAIN,
  )
  fc.assert(
    fc.property(request, (asked) => {
      assert.deepEqual(decodeRequest(encodeRequest(asked)), asked)
    }),
    { seed },
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => {
      const read = decodeRequest(noise)
      assert.ok(read === undefined || read.callerData.length <= 256)
    }),
    { seed },
  )
})

test('a hello reads as it was written, with padding behind it, and nothing less or else is one', () => {
  const hello = { address: 0x1234_5678_9abc_def0n, key: 0xffff_ffff_ffff_fffen }
  const bytes = encodeHello(hello)
  assert.deepEqual(decodeHello(Uint8Array.of(...bytes, 1, 2, 3)), hello)
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decodeHello(bytes.subarray(0, length)), WSA.WSAEFAULT)
  }
  for (const [at, code] of [
    [0, WSA.WSAEFAULT], // magic
    [4, WSA.WSAVERNOTSUPPORTED],
    [6, WSA.WSAEFAULT], // kind
    [8, WSA.WSAVERNOTSUPPORTED], // bytes of the arena
    [12, WSA.WSAVERNOTSUPPORTED], // bytes of a message
    [14, WSA.WSAVERNOTSUPPORTED], // messages
  ] as const) {
    const other = bytes.slice()
    other[at] = (other[at] ?? 0) ^ 64
    assert.equal(decodeHello(other), code, `byte ${at}`)
  }
})

test('a refusal is one of those that are known, or "not final"', () => {
  assert.equal(decodeRefusal(encodeRefusal(WSA.WSAEPROCLIM)), WSA.WSAEPROCLIM)
  assert.equal(decodeRefusal(encodeRefusal(WSA.WSAECONNREFUSED)), WSA.WSAENETDOWN)
  assert.equal(decodeRefusal(encodeHello({ address: 0n, key: 0n })), undefined)
  assert.equal(decodeRefusal(new Uint8Array(32)), undefined)
  assert.equal(refusalCode(WSA.WSAECONNREFUSED), WSA.WSAECONNREFUSED)
  for (const code of [0, 1, 10_004, 0xffffffff]) assert.equal(refusalCode(code), WSA.WSAENETDOWN)
})

test('who did not answer is left alone so long and no longer; who answered or refused is not', () => {
  const clock = new FakeClock()
  const routes = new Routes(clock, 100)
  const local: SocketAddress = { family: 'IPv4', address: '10.0.0.1', port: 0 }
  const to = (port: number): SocketAddress => ({ ...local, address: '10.0.0.2', port })
  const end = (port: number, code: WsaCode, promising = false): boolean => {
    const link = { promising, state: 'down' } as const
    routes.add(local, to(port), link)
    assert.equal(routes.find(local, to(port)), link)
    routes.closed(link, code)
    assert.equal(routes.find(local, to(port)), undefined)
    return routes.isSilent(to(port))
  }
  assert.equal(end(1, WSA.WSAEACCES), false)
  assert.equal(end(2, WSA.WSAETIMEDOUT, true), false)
  assert.equal(end(3, WSA.WSAETIMEDOUT), true)
  clock.advance(99)
  assert.equal(routes.isSilent(to(3)), true)
  clock.advance(1)
  assert.equal(routes.isSilent(to(3)), false)
  assert.equal(end(4, WSA.WSAETIMEDOUT), true)
  routes.tryAgain()
  assert.equal(routes.isSilent(to(4)), false)
})

test('a peer is asked after each silent heartbeat, and is dead when it has not answered three times', () => {
  const clock = new FakeClock()
  const said: string[] = []
  const heart = new Heartbeat(clock, 10, {
    beat: () => true,
    ask: () => said.push('ask') > 0,
    dead: () => said.push('dead'),
  })
  heart.start()
  heart.heard()
  clock.advance(10)
  assert.deepEqual(said, [])
  clock.advance(30)
  assert.deepEqual(said.splice(0), ['ask', 'ask', 'ask'])
  heart.heard()
  clock.advance(10)
  assert.deepEqual(said, [])
  clock.advance(39)
  assert.deepEqual(said, ['ask', 'ask', 'ask'])
  clock.advance(1)
  assert.deepEqual(said, ['ask', 'ask', 'ask', 'dead'])
  assert.equal(clock.pending, 0)
})

test('a heart that beats for the last time asks nobody, and stops', () => {
  const clock = new FakeClock()
  const heart = new Heartbeat(clock, 10, {
    beat: () => false,
    ask: () => assert.fail('somebody was asked'),
    dead: () => assert.fail('somebody is dead'),
  })
  heart.start()
  clock.advance(10)
  assert.equal(clock.pending, 0)
})
