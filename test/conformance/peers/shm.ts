import type { SanProvider } from '../../../src/spi/index.ts'
import { shmProvider } from '../../support/shm-provider.ts'
import { tcpAddresses } from '../../support/tcp-addresses.ts'

/** The far side of shm.test.ts, in a process of its own. */
export function create(): SanProvider {
  return shmProvider({ limits: { moveMs: 500 } })
}

export const address = tcpAddresses('IPv4')
