import { loopback } from '../../../src/providers/loopback/index.ts'
import type { SanProvider } from '../../../src/spi/index.ts'

/** The peer module of peer-process.test.ts: both ends of its connections are in the child. */
export function create(): SanProvider {
  return loopback()
}
