import type { SanProvider } from '../../../src/spi/index.ts'
import { fabricAddresses, fabricProvider } from '../../support/fabric-provider.ts'

/** The far side of fabric.test.ts, in a process of its own. */
export function create(): SanProvider {
  return fabricProvider()
}

export const address = fabricAddresses('IPv4')
