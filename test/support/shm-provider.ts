import { loadShm } from '../../src/native/load.ts'
import { DEFAULT_LIMITS, shm } from '../../src/providers/shm/index.ts'
import type { ShmOptions, ShmProvider } from '../../src/providers/shm/index.ts'
import { PATIENCE } from './waiting.ts'

/** A shared-memory provider of its own; throws where there is no native code. */
export function shmProvider(options: Partial<Omit<ShmOptions, 'native'>> = {}): ShmProvider {
  const loaded = loadShm()
  if ('reason' in loaded) throw new Error(`Cannot test the shared-memory provider: ${loaded.reason}`)
  const limits = { handshakeMs: DEFAULT_LIMITS.handshakeMs * PATIENCE, ...options.limits }
  return shm({ native: loaded.native, ...options, limits })
}
