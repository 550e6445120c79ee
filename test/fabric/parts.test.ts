import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { RangeSet } from '../../src/providers/fabric/range-set.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import { decodeRequest, encodeRequest } from '../../src/providers/fabric/messages.ts'
import { chosenSeed } from '../support/random.ts'

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
