import { Winsock } from '../../src/faces/winsock/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import type { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import type { Random } from '../support/random.ts'
import type { FakeClock } from '../switch/fake-clock.ts'
import { Journal, spy } from '../switch/spy.ts'
import { valueOf } from './pair.ts'
import { portsOnly } from './ports-only.ts'

const CONNECT_TIMEOUT_MS = 50
const RDMA = { maxBytes: 8000, thresholdBytes: 3000 }
/** Of a ring: one is soon full, and one never in a run. */
const RING_BYTES = [16 << 10, 1 << 20]

/** A program of the model's, with its own switch. */
export interface Side {
  readonly winsock: Winsock
  readonly journal: Journal
}

interface SideOptions {
  /** Chooses what its provider can do. */
  readonly random: Random
  readonly clock: FakeClock
  readonly network: LoopbackNetwork
  readonly ports: Iterator<number>
}

export function startSide({ random, clock, network, ports }: SideOptions): Side {
  const journal = new Journal()
  // Some can move application memory, at once or in their time, and some cannot.
  const rdma = random.chance(0.7) ? RDMA : undefined
  const limits = { rdma, maxMemoryBytes: random.pick(RING_BYTES) }
  const san = spy(loopback({ network, limits, slowReads: random.chance(0.5) }), 'san', journal)
  const theSwitch = createSwitch({ san: [san], clock, connectTimeoutMs: CONNECT_TIMEOUT_MS })
  const winsock = new Winsock({ switch: theSwitch, tcpip: portsOnly(ports), clock })
  valueOf(winsock.startup())
  return { winsock, journal }
}
