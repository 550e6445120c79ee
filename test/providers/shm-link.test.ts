/** How long a link stays: as long as somebody uses it, and then a while. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { FD_CONNECT, SPI_VERSION, WSA } from '../../src/spi/index.ts'
import type { SanSocket, SocketAddress, Status } from '../../src/spi/index.ts'
import { NetworkEvent } from '../../src/switch/network-event.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { DEFAULT_LIMITS } from '../../src/providers/shm/index.ts'
import type { ShmLimits, ShmProvider } from '../../src/providers/shm/index.ts'
import { FakeClock } from '../switch/fake-clock.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { tcpAddresses } from '../support/tcp-addresses.ts'
import { eventually } from '../support/waiting.ts'

const { idleLinkMs } = DEFAULT_LIMITS
const WAIT_MS = 10_000

/** Two providers in this loop, the second of which listens; time is the test's. */
async function met(limits: Partial<ShmLimits> = {}, farLimits: Partial<ShmLimits> = {}) {
  const clock = new FakeClock()
  const opener = shmProvider({ clock, limits })
  const farClock = new FakeClock()
  const acceptor = shmProvider({ clock: farClock, limits: farLimits })
  for (const provider of [opener, acceptor])
    assert.ok(provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() }).ok)
  const address = await tcpAddresses('IPv4')('listener')
  const listener = bound(acceptor, address)
  assert.equal(listener.listen(8), 0)
  const end = (): void => {
    opener.cleanup()
    acceptor.cleanup()
  }
  return { clock, farClock, opener, acceptor, address, listener, end }
}

function bound(provider: ShmProvider, address: SocketAddress): SanSocket {
  const made = provider.socket({ family: 'IPv4' })
  assert.ok(made.ok)
  assert.equal(made.value.bind(address), 0)
  return made.value
}

/** A connect of `opener`; how it ended, once it has. */
function connect(
  opener: ShmProvider,
  address: SocketAddress,
): { readonly socket: SanSocket; status?: Status } {
  const socket = bound(opener, { ...address, port: 50_000 })
  const attempt: { readonly socket: SanSocket; status?: Status } = { socket }
  const event = new NetworkEvent(setImmediate, () => {
    const events = socket.enumNetworkEvents(event)
    if (events.ok && (events.value.mask & FD_CONNECT) !== 0) attempt.status = events.value.connectStatus
  })
  assert.equal(socket.eventSelect(event, FD_CONNECT), 0)
  const status = socket.connect(address, new Uint8Array())
  if (status !== WSA.WSAEWOULDBLOCK) attempt.status = status
  return attempt
}

function links(provider: ShmProvider): number {
  return provider.stats.links
}

test('a link ends when it was not used for so long, and no sooner', async () => {
  const { clock, farClock, opener, acceptor, address, listener, end } = await met()
  const use = async (): Promise<() => Promise<void>> => {
    const attempt = connect(opener, address)
    let far: SanSocket | undefined
    await eventually(
      () => {
        const accepted = listener.accept(() => ({ decision: 'CF_ACCEPT', calleeData: new Uint8Array() }))
        if (accepted.ok) far = accepted.value.socket
        return attempt.status !== undefined
      },
      WAIT_MS,
      () => 'the connect',
    )
    assert.equal(attempt.status, 0)
    return async () => {
      far?.close()
      attempt.socket.close()
      await eventually(
        () => clock.pending > 0 && [...acceptor.links].every(({ held }) => held === 0),
        WAIT_MS,
        () => 'both ends of the link to be idle',
      )
    }
  }
  const first = await use()
  clock.advance(2 * idleLinkMs)
  assert.equal(links(opener), 1)
  await first()
  assert.equal(farClock.pending, 0, 'its opener says when it ends')
  clock.advance(idleLinkMs - 1)
  const second = await use()
  clock.advance(2 * idleLinkMs)
  assert.equal(links(opener), 1)
  await second()
  clock.advance(idleLinkMs - 1)
  assert.equal(links(opener), 1)
  clock.advance(1)
  assert.equal(links(opener), 0)
  await eventually(
    () => links(acceptor) === 0,
    WAIT_MS,
    () => 'the acceptor to hear of it',
  )
  end()
})

test('a link that no connection ever used ends as well', async () => {
  const { clock, opener, address, end } = await met({ maxConnections: 0 })
  assert.equal(connect(opener, address).status, WSA.WSAEPROCLIM)
  const [link] = opener.links
  await eventually(
    () => link?.state === 'up',
    WAIT_MS,
    () => 'the link to be up',
  )
  clock.advance(idleLinkMs - 1)
  assert.equal(links(opener), 1)
  clock.advance(1)
  assert.equal(links(opener), 0)
  end()
})

test('an acceptor that allows fewer connections over one link than its opener says so at once', async () => {
  const { opener, acceptor, address, listener, end } = await met({}, { maxConnectionsPerLink: 1 })
  for (const expected of [0, WSA.WSAENOBUFS]) {
    const attempt = connect(opener, address)
    await eventually(
      () => {
        listener.accept(() => ({ decision: 'CF_ACCEPT', calleeData: new Uint8Array() }))
        return attempt.status !== undefined
      },
      WAIT_MS,
      () => 'the answer',
    )
    assert.equal(attempt.status, expected)
  }
  assert.equal(acceptor.stats.connections, 1)
  end()
})
