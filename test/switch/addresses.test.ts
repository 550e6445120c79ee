import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { SocketAddress } from '../../src/spi/index.ts'
import { destinationOf, shownIn } from '../../src/switch/addresses.ts'

const four = (address: string): SocketAddress => ({ family: 'IPv4', address, port: 7 })
const six = (address: string): SocketAddress => ({ family: 'IPv6', address, port: 7 })

test('WSD-ADDR-1 where a connect goes: this host for the wildcard, the IPv4 address for a mapped one', () => {
  const table: readonly (readonly [from: SocketAddress, to: SocketAddress])[] = [
    [four('0.0.0.0'), four('127.0.0.1')],
    [six('::'), six('::1')],
    [six('::ffff:10.1.2.3'), four('10.1.2.3')],
    // Mapped, but not written so: the kernel understands it.
    [six('::ffff:7f00:1'), six('::ffff:7f00:1')],
    [six('::ffff:1.2.3'), six('::ffff:1.2.3')],
    [six('::ffff:'), six('::ffff:')],
    [six('2001:db8::1'), six('2001:db8::1')],
    [four('10.1.2.3'), four('10.1.2.3')],
  ]
  for (const [from, to] of table) assert.deepEqual(destinationOf(from), to)
})

test('an IPv6 socket shows IPv4 peers as mapped addresses, and no socket anything else', () => {
  assert.deepEqual(shownIn('IPv6', four('10.1.2.3')), six('::ffff:10.1.2.3'))
  assert.deepEqual(shownIn('IPv6', six('::1')), six('::1'))
  assert.deepEqual(shownIn('IPv4', four('10.1.2.3')), four('10.1.2.3'))
})
