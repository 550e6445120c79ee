import type { ProviderLimits, SanProvider } from '../spi/index.ts'
import { UpcallTable } from './upcall-table.ts'
import type { Orphan } from './session/halves.ts'
import { FEATURE_MOVE, FEATURE_RDMA_READ, encodeHello } from './session/hello.ts'

/** A provider the switch has started, and what both sides agreed on. */
export interface StartedProvider {
  readonly provider: SanProvider
  readonly description: string
  readonly limits: ProviderLimits
  /** What our sessions over this provider say first. */
  readonly hello: Uint8Array
  /** Its upcalls, which know how many of its sockets are open. */
  readonly upcalls: UpcallTable
  /** Sessions that it tells of nothing any more, its own end included. */
  readonly orphans: Set<Orphan>
}

/** Ends a provider, and all that stands on it (WSD-CLEAN-1). */
export function endProvider({ provider, orphans }: StartedProvider): void {
  for (const orphan of orphans) orphan.providerEnded()
  provider.cleanup()
}

export function started(
  provider: SanProvider,
  description: string,
  limits: ProviderLimits,
  upcalls = new UpcallTable(),
): StartedProvider {
  const features =
    (limits.rdma === undefined ? 0 : FEATURE_RDMA_READ) | (limits.duplicates === true ? FEATURE_MOVE : 0)
  const hello = encodeHello({
    regionBytes: limits.regionBytes,
    maxRingBytes: limits.maxMemoryBytes,
    features,
  })
  return { provider, description, limits, hello, upcalls, orphans: new Set() }
}
