import assert from 'node:assert/strict'

import { SPI_VERSION } from '../src/spi/index.ts'
import type { AddressFamily, SanProvider } from '../src/spi/index.ts'
import { assertFailure, assertStatus, clause, odd, resultName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { RecordedUpcalls } from './recorder.ts'

const SMALLEST_REGION_BYTES = 1216

function start(provider: SanProvider, upcalls: RecordedUpcalls): void {
  valueOf(provider.startup({ version: SPI_VERSION, upcalls }), 'startup')
}

/** Starting, stopping and what a provider says of itself. */
export const providerChecks: readonly Check[] = [
  clause('PROVIDER-1 startup with another major version starts nothing (WSD-START-8)', async (fixture) => {
    const { family } = await fixture.address('client')
    const provider = fixture.options.create()
    const upcalls = new RecordedUpcalls()
    for (const major of [SPI_VERSION.major + 1, SPI_VERSION.major - 1]) {
      const started = provider.startup({ version: { major, minor: 0 }, upcalls })
      assertFailure(started, 'WSAVERNOTSUPPORTED', `startup with version ${major}`)
      assertFailure(provider.socket({ family }), 'WSANOTINITIALISED', 'socket')
      assertStatus(provider.cleanup(), 'WSANOTINITIALISED', 'cleanup')
    }
    assert.deepEqual(upcalls.records, [])
    valueOf(
      provider.startup({ version: { ...SPI_VERSION, minor: 99 }, upcalls }),
      'startup with another minor',
    )
    assertStatus(provider.cleanup(), 'success', 'cleanup')
  }),

  clause('PROVIDER-2 each startup needs its own cleanup (WSD-START-15, WSD-CLEAN-3)', async (fixture) => {
    const { near } = fixture
    const socket = await fixture.client()
    start(near.provider, near.upcalls)
    assertStatus(near.provider.cleanup(), 'success', 'the first cleanup')
    assertStatus(socket.listen(1), 'success', 'listen after the first cleanup')
    assertStatus((await fixture.client()).close(), 'success', 'close')
    assertStatus(near.provider.cleanup(), 'success', 'the last cleanup')
    assertStatus(socket.close(), 'WSAENOTSOCK', 'close after the last cleanup')
  }),

  clause('PROVIDER-3 cleanup without startup answers WSANOTINITIALISED (WSD-CLEAN-5)', (fixture) => {
    const provider = fixture.options.create()
    assertStatus(provider.cleanup(), 'WSANOTINITIALISED', 'cleanup before startup')
    start(provider, new RecordedUpcalls())
    assertStatus(provider.cleanup(), 'success', 'cleanup')
    assertStatus(provider.cleanup(), 'WSANOTINITIALISED', 'one cleanup too many')
  }),

  clause('PROVIDER-4 the last cleanup closes every socket (WSD-CLEAN-2, WSD-CLEAN-4)', async (fixture) => {
    const { near } = fixture
    const pair = await fixture.connectPair()
    const accepted = await fixture.connectPair('acceptor')
    const listener = await fixture.listen()
    const overlapped = fixture.post(pair.near)
    assertStatus(near.provider.cleanup(), 'success', 'cleanup')

    assertStatus(await fixture.completion(overlapped), 'WSA_OPERATION_ABORTED', 'the posted receive')
    await fixture.closed(pair.handle)
    assert.deepEqual(
      near.upcalls.of(pair.handle).map((record) => record.call),
      ['createSocketHandle', 'completeOverlappedRequest', 'closeSocketHandle'],
    )
    await fixture.closed(accepted.handle)
    await fixture.closed(near.handleOf(listener.socket))
    for (const socket of [pair.near, accepted.near, listener.socket]) {
      assertStatus(socket.close(), 'WSAENOTSOCK', 'close after cleanup')
    }
    if (!fixture.isShared) await fixture.farEnds(pair.far)
  }),

  clause('PROVIDER-5 socket without startup answers WSANOTINITIALISED', async (fixture) => {
    const { family } = await fixture.address('client')
    const provider = fixture.options.create()
    const upcalls = new RecordedUpcalls()
    assertFailure(provider.socket({ family }), 'WSANOTINITIALISED', 'socket before startup')
    start(provider, upcalls)
    assertStatus(provider.cleanup(), 'success', 'cleanup')
    assertFailure(provider.socket({ family }), 'WSANOTINITIALISED', 'socket after cleanup')
    assert.deepEqual(upcalls.records, [])
    start(provider, upcalls)
    valueOf(provider.socket({ family }), 'socket after another startup')
    assertStatus(provider.cleanup(), 'success', 'cleanup')
  }),

  clause(
    'SOCKET-1 socket calls createSocketHandle before it returns (WSD-COMP-2, WSD-COMP-3)',
    async (fixture) => {
      const { near } = fixture
      const { family } = await fixture.address('client')
      const socket = near.socket(family)
      assert.deepEqual(
        near.upcalls.records.map((record) => record.call),
        ['createSocketHandle'],
      )
      const handle = near.handleOf(socket)
      assert.equal(typeof valueOf(near.upcalls.querySocketHandleContext(handle), 'the context'), 'object')
      assertStatus(socket.close(), 'success', 'close')
      await fixture.closed(handle)
    },
  ),

  clause(
    "SOCKET-2 socket returns the provider's own descriptor (WSD-COMP-3, WSD-COMP-4)",
    async (fixture) => {
      const { near } = fixture
      const { family } = await fixture.address('client')
      const sockets = [near.socket(family), near.socket(family)] as const
      const descriptors = new Set<object>([...sockets].map((socket) => near.rawOf(socket)))
      assert.equal(descriptors.size, 2, 'two sockets have one descriptor')
      for (const { handle } of near.upcalls.records) {
        assert.ok(!descriptors.has(handle), 'socket returned the switch descriptor')
      }
      assertStatus(sockets[0].close(), 'success', 'close of one')
      assertStatus(sockets[1].close(), 'success', 'close of the other')
    },
  ),

  odd('PROVIDER: startup tells what the session needs to know (WSD-MEM-6)', (fixture) => {
    const { provider, data } = fixture.near
    assert.match(provider.name, /^[a-z][a-z0-9-]*$/)
    assert.equal(data.version.major, SPI_VERSION.major)
    assert.match(data.description, /^[^\n]+$/)
    assert.ok(data.limits.regionBytes >= SMALLEST_REGION_BYTES, `regions of ${data.limits.regionBytes} bytes`)
    assert.ok(data.limits.pieceBytes > 0)
    assert.ok(data.limits.maxMemoryBytes >= 0)
  }),

  odd(
    'PROVIDER: addressList names subnets of the interface, not of the provider (WSD-ADDR-1)',
    async (fixture) => {
      const { family } = await fixture.address('client')
      const subnets = valueOf(fixture.near.provider.addressList(), 'addressList')
      assert.ok(subnets.some((subnet) => subnet.family === family))
      for (const subnet of subnets) {
        const bits = subnet.family === 'IPv4' ? 32 : 128
        assert.ok(
          subnet.prefixLength >= 0 && subnet.prefixLength <= bits,
          `a prefix of ${subnet.prefixLength} bits`,
        )
      }
    },
  ),

  odd('PROVIDER: socket refuses a family nobody knows', (fixture) => {
    const made = fixture.near.provider.socket({ family: 'AppleTalk' as AddressFamily })
    assertFailure(made, 'WSAEAFNOSUPPORT', 'socket')
    assert.deepEqual(fixture.near.upcalls.records, [])
  }),

  odd('PROVIDER: socket refuses a duplicate that nobody made (WSD-DUP-18)', async (fixture) => {
    const { family } = await fixture.address('client')
    const made = fixture.near.provider.socket({ family, duplicate: new Uint8Array([1, 2, 3]) })
    assert.notEqual(resultName(made), 'success')
  }),

  odd('PROVIDER: socket fails as createSocketHandle failed, and nothing is left', async (fixture) => {
    const { provider, upcalls } = fixture.near
    const { family } = await fixture.address('client')
    upcalls.refuseHandles = 10055
    assertFailure(provider.socket({ family }), 'WSAENOBUFS', 'socket')
    upcalls.refuseHandles = null
    await fixture.roundTrip()
    assert.equal(upcalls.violations.length, 0)
  }),
]
