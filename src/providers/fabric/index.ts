import { systemClock } from '../../base/clock.ts'
import type { Clock } from '../../base/clock.ts'
import type { Fabric, FabricNative } from '../../native/fabric.ts'
import type { Turns } from '../../native/turns.ts'
import type { ServedSubnet } from '../../spi/index.ts'
import * as layout from './layout.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { FabricLimits } from './limits.ts'
import { FabricProvider } from './provider.ts'
import type { FabricName } from './service.ts'

export { FabricProvider } from './provider.ts'
export type { FabricStats } from './provider.ts'
export { DEFAULT_LIMITS } from './limits.ts'
export type { FabricLimits } from './limits.ts'
export { serviceOf } from './service.ts'
export type { FabricName } from './service.ts'
export { localNetworks } from './networks.ts'

export interface FabricOptions {
  readonly native: FabricNative
  /** The provider of libfabric. */
  readonly provider: FabricName
  /** This event loop's turns, shared with the other providers. */
  readonly turns: Turns
  /** The networks it serves: where connections go to and come from. Asked again when addresses change. */
  readonly networks: () => readonly ServedSubnet[]
  /** Called at most once, in a turn of its own: libfabric has answered that it has no such provider here, and why. */
  readonly unavailable?: (reason: string) => void
  /** True: `startup` waits for libfabric, a tenth of a second or more; otherwise the first connects may find it starting. */
  readonly patient?: boolean
  /** The longest spin before sleeping, in µs, while no peer of this host is waited for; 0 never spins. */
  readonly spinMicroseconds?: number
  readonly limits?: Partial<FabricLimits>
  readonly clock?: Clock
}

/** A fabric provider for the calling thread's event loop. */
export function fabric(options: FabricOptions): FabricProvider {
  const { native, provider } = options
  const { MESSAGES, MESSAGE_BYTES, WRITES, READS, ARENA_BYTES } = layout
  const endpoints = (): Fabric =>
    new native.Fabric(provider, MESSAGES, MESSAGE_BYTES, WRITES, READS, ARENA_BYTES)
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const clock = options.clock ?? systemClock
  const description = `libfabric ${native.version}, provider ${provider}, between hosts`
  const { turns, networks, unavailable = () => undefined, patient = false, spinMicroseconds = 200 } = options
  return new FabricProvider(
    endpoints,
    { name: provider, description, patient, spinMicroseconds, networks, unavailable },
    turns,
    limits,
    clock,
  )
}
