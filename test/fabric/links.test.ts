/** Links that do not come up: what a connect to a silent service costs, and what is remembered of it. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { once } from 'node:events'
import net from 'node:net'

import { localPeer } from '../../conformance/index.ts'
import { WSA } from '../../src/spi/index.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import { FABRIC_UNDER_TEST, fabricAddresses, fabricProvider, noFabric } from '../support/fabric-provider.ts'

// Somebody who listens on TCP and says nothing, as a packet filter does: for `tcp` only.
const skip = noFabric() || (FABRIC_UNDER_TEST === 'tcp' ? false : 'verbs has no TCP service')
const addresses = fabricAddresses('IPv4')
// Providers keep no process alive.
const alive = setInterval(() => undefined, 1000)
after(() => {
  clearInterval(alive)
})

/** Listens where the service of `at` would be, and never says a word. */
async function silence(at: SocketAddress): Promise<net.Server> {
  const server = net.createServer({ pauseOnConnect: true })
  server.listen(serviceOf('tcp', at.port), at.address)
  await once(server, 'listening')
  return server
}

test(
  'connects while a link is still coming up stay on TCP/IP at once, and are told to come again',
  { skip },
  async () => {
    const at = await addresses('listener')
    const server = await silence(at)
    const peer = localPeer(fabricProvider({ limits: { patienceMs: 0 } }), addresses)
    const connect = async (): Promise<number> =>
      peer.connect(await peer.open(await addresses('client')), at, new Uint8Array())
    assert.equal(await connect(), WSA.WSAEWOULDBLOCK)
    assert.equal(await connect(), WSA.WSATRY_AGAIN)
    await peer.end()
    server.close()
  },
)

test(
  'there are so many links, to one address and in all, and connects stay on TCP/IP beyond',
  { skip },
  async () => {
    for (const limits of [{ maxLinks: 1 }, { maxLinksPerPeer: 1 }]) {
      const peer = localPeer(fabricProvider({ limits }), addresses)
      const statuses: number[] = []
      const servers: net.Server[] = []
      for (let i = 0; i < 2; i += 1) {
        const at = await addresses('listener')
        servers.push(await silence(at))
        statuses.push(await peer.connect(await peer.open(await addresses('client')), at, new Uint8Array()))
      }
      assert.deepEqual(statuses, [WSA.WSAEWOULDBLOCK, WSA.WSAEPROCLIM])
      await peer.end()
      for (const server of servers) server.close()
    }
  },
)

test('a service that does not answer is left alone for a while', { skip }, async () => {
  const at = await addresses('listener')
  const server = await silence(at)
  const peer = localPeer(fabricProvider({ limits: { patienceMs: 0, handshakeMs: 20 } }), addresses)
  const first = await peer.open(await addresses('client'))
  assert.equal(await peer.connect(first, at, new Uint8Array()), WSA.WSAEWOULDBLOCK)
  assert.equal((await peer.outcome(first)).status, WSA.WSAETIMEDOUT)
  const second = await peer.open(await addresses('client'))
  assert.equal(await peer.connect(second, at, new Uint8Array()), WSA.WSAETIMEDOUT)
  await peer.end()
  server.close()
})
