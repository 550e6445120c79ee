import assert from 'node:assert/strict'

import type { SocketAddress, SocketOption } from '../src/spi/index.ts'
import { assertFailure, assertRefused, assertStatus, clause, odd, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { ACCEPT, NO_DATA } from './fixture.ts'
import { startConnect, startListening } from './station.ts'

function wildcardAt(address: SocketAddress): SocketAddress {
  return { ...address, address: address.family === 'IPv4' ? '0.0.0.0' : '::' }
}

/** Local addresses and options. */
export const bindingChecks: readonly Check[] = [
  clause('BIND-1 a full address, or the wildcard with a port (WSD-COMP-6 to -8)', async (fixture) => {
    const { listener, address } = await fixture.farListen()
    const local = await fixture.address('client')
    startConnect(fixture.near.bound(local), address, NO_DATA)
    const { request } = await fixture.farAccept(listener)
    assert.deepEqual(request.remote, local)
    assert.deepEqual(request.local, address)

    const full = await fixture.address('wildcard')
    const wildcard = fixture.near.bound(wildcardAt(full))
    const event = startListening(wildcard, 1)
    const far = await fixture.farConnect(full)
    await fixture.events('the request', wildcard, event)
    const { local: asked } = valueOf(
      wildcard.accept(() => ACCEPT),
      'accept at the wildcard',
    )
    assert.deepEqual(asked, full)
    assertStatus((await fixture.farOutcome(far)).status, 'success', "the peer's connect")
  }),

  clause('BIND-2 an address not served, or a second bind (WSD-COMP-6)', async (fixture) => {
    const address = await fixture.address('client')
    const socket = fixture.near.socket(address.family)
    assertStatus(socket.bind(fixture.unserved(address)), 'WSAEADDRNOTAVAIL', 'bind to an address not served')
    assertStatus(socket.bind(address), 'success', 'bind')
    assertStatus(socket.bind(address), 'WSAEINVAL', 'the same bind again')
    assertStatus(socket.bind(await fixture.address('client')), 'WSAEINVAL', 'bind to another address')
  }),

  clause('BIND-3 reuse of an address is not judged', async (fixture) => {
    const { socket: first, address } = await fixture.listen()
    const second = fixture.near.bound(address)
    const third = fixture.near.bound(wildcardAt(address))
    for (const socket of [first, second, third]) assertStatus(socket.close(), 'success', 'close')
    assertStatus(fixture.near.bound(address).close(), 'success', 'close of a later socket')
  }),

  odd('BIND: refuses another family, no port and no address (WSD-COMP-8)', async (fixture) => {
    const address = await fixture.address('client')
    const socket = fixture.near.socket(address.family)
    const other: SocketAddress =
      address.family === 'IPv4'
        ? { family: 'IPv6', address: '::1', port: address.port }
        : { family: 'IPv4', address: '127.0.0.1', port: address.port }
    assertRefused(socket.bind(other), 'bind to another family')
    assertRefused(socket.bind({ ...address, port: 0 }), 'bind to port 0')
    assertRefused(socket.bind({ ...address, address: 'localhost' }), 'bind to a name')
    assertRefused(socket.bind({ ...address, address: '' }), 'bind to nothing')
    assertStatus(socket.bind(address), 'success', 'bind after all that')
  }),

  odd(
    'OPTIONS: an option the provider does not know answers WSAENOPROTOOPT (WSD-COMP-11)',
    async (fixture) => {
      const socket = await fixture.client()
      const unknown = 'SO_NOT_AN_OPTION' as SocketOption
      assertStatus(socket.setSockOpt(unknown, 1), 'WSAENOPROTOOPT', 'setSockOpt')
      assertFailure(socket.getSockOpt(unknown), 'WSAENOPROTOOPT', 'getSockOpt')
    },
  ),
]
