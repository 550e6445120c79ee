import assert from 'node:assert/strict'

import { Overlapped, SPI_VERSION } from '../../src/spi/index.ts'
import type { ProviderLimits, SanProvider, SanSocket } from '../../src/spi/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { FEATURE_RDMA_READ } from '../../src/switch/session/hello.ts'
import { Session } from '../../src/switch/session/session.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { settle } from './fake-clock.ts'
import { CLIENT, LIMITS, SERVER, SUBNET } from './host.ts'
import { End } from './session-end.ts'
import { Journal, spy } from './spy.ts'

export interface PairOptions {
  readonly limits?: Partial<ProviderLimits>
  /** What each side may register beyond its two regions. */
  readonly registeredBytes?: number
  /** What each side says is the largest ring it will announce; what it can register unless said otherwise. */
  readonly maxRingBytes?: number
  /** Where both streams begin. */
  readonly firstCursor?: number
  /** Whether each side says that it can read application memory; as its limits say unless said otherwise. */
  readonly reads?: readonly [one: boolean, other: boolean]
  /** Such reads take their time. */
  readonly slowReads?: boolean
}

/** Two sessions that talk to each other over loopback. */
export interface SessionPair {
  readonly journal: Journal
  readonly one: End
  readonly other: End
}

/** Makes a pair, agreed; `one` is the initiator. */
export async function sessionPair(options: PairOptions = {}): Promise<SessionPair> {
  const limits = { ...LIMITS, ...options.limits }
  const journal = new Journal()
  const raw = loopback({
    subnets: [SUBNET],
    limits,
    slowReads: options.slowReads === true,
    ...(options.registeredBytes === undefined ? {} : { registeredBytes: options.registeredBytes }),
  })
  const [initiator, acceptor] = connectedSockets(spy(raw, 'san', journal))
  const reads = options.reads ?? [limits.rdma !== undefined, limits.rdma !== undefined]
  const make = (socket: SanSocket, role: 'initiator' | 'acceptor'): End => {
    const memory = socket.memory()
    assert.ok(memory.ok)
    const { firstCursor = 0 } = options
    const peerHello = {
      regionBytes: limits.regionBytes,
      maxRingBytes: options.maxRingBytes ?? limits.maxMemoryBytes,
      features: reads[role === 'initiator' ? 1 : 0] ? FEATURE_RDMA_READ : 0,
    }
    return new End(new Session({ socket, memory: memory.value, limits, peerHello, role, firstCursor }))
  }
  const other = make(acceptor, 'acceptor')
  const one = make(initiator, 'initiator')
  await settle()
  assert.deepEqual([one.session.state, other.session.state], ['open', 'open'])
  // From here on the counters are the test's.
  other.agreedCalls = 0
  other.readableCalls = 0
  return { journal, one, other }
}

function connectedSockets(provider: SanProvider): readonly [initiator: SanSocket, acceptor: SanSocket] {
  assert.ok(provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() }).ok)
  const [listener, initiator] = [SERVER, CLIENT].map((address) => {
    const made = provider.socket({ family: 'IPv4' })
    assert.ok(made.ok)
    assert.equal(made.value.bind(address), 0)
    return made.value
  })
  assert.ok(listener !== undefined && initiator !== undefined)
  listener.listen(1)
  initiator.connect(SERVER, new Uint8Array())
  const accepted = listener.accept(() => ({ decision: 'CF_ACCEPT', calleeData: new Uint8Array() }))
  assert.ok(accepted.ok)
  listener.close()
  return [initiator, accepted.value.socket]
}

/** For operations whose end a test watches. */
export function watched(): { readonly overlapped: Overlapped; readonly ends: [number, number][] } {
  const ends: [number, number][] = []
  return {
    ends,
    overlapped: new Overlapped({
      completed: (status, bytes) => {
        ends.push([status, bytes])
      },
    }),
  }
}
