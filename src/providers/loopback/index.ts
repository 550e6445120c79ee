import { LoopbackProvider } from './provider.ts'
import type { LoopbackOptions } from './provider.ts'

export { LoopbackNetwork } from './provider.ts'
export type { LoopbackOptions } from './provider.ts'

/** A provider that connects sockets inside one process. */
export function loopback(options: LoopbackOptions = {}): LoopbackProvider {
  return new LoopbackProvider(options)
}
