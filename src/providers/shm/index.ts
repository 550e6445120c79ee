import { systemClock } from '../../base/clock.ts'
import type { Clock } from '../../base/clock.ts'
import type { ShmNative } from '../../native/shm.ts'
import { MAX_CONNECTIONS, RING_SEGMENT_BYTES } from './layout.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import type { ShmLimits } from './limits.ts'
import { ShmProvider } from './provider.ts'

export { ShmProvider } from './provider.ts'
export type { ShmStats } from './provider.ts'
export { DEFAULT_LIMITS } from './limits.ts'
export type { ShmLimits } from './limits.ts'

export interface ShmOptions {
  readonly native: ShmNative
  readonly limits?: Partial<ShmLimits>
  readonly clock?: Clock
  /** The longest spin before sleeping, in µs; 0 never spins. */
  readonly spinMicroseconds?: number
}

/** A shared-memory provider for the calling thread's event loop. */
export function shm(options: ShmOptions): ShmProvider {
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  return new ShmProvider(
    options.native,
    {
      ...limits,
      maxConnectionsPerLink: Math.min(limits.maxConnectionsPerLink, MAX_CONNECTIONS),
      maxRingBytes: Math.min(limits.maxRingBytes, RING_SEGMENT_BYTES),
    },
    options.clock ?? systemClock,
    (options.spinMicroseconds ?? 200) * 1000,
  )
}
