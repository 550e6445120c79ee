/** The far side of the conformance suite, in a process of its own. */
import type { SanProvider } from 'sockswitch/spi'
import { UnixSocketProvider } from './provider.ts'

export function create(): SanProvider {
  return new UnixSocketProvider(process.env['EXAMPLE_FOLDER'] ?? '.')
}
