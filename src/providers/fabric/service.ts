/**
 * Which fabric service stands for a TCP port. `verbs` has ports of its own, so the number is the same. libfabric's `tcp`
 * listens on TCP itself, beside the application: there the port half-way round its class is taken. The classes are those
 * that matter to others: only root listens below 1024, and connects are given ports from 32768 up.
 *
 * @returns 0 where none stands for it.
 */
export function serviceOf(provider: FabricName, port: number): number {
  if (provider === 'verbs') return port
  for (const [from, size] of CLASSES) {
    if (port < from + size) return from + ((port - from + size / 2) % size)
  }
  return 0
}

/** The providers of libfabric that connect endpoints as we need it. */
export type FabricName = 'tcp' | 'verbs'

const CLASSES = [
  [0, 1024],
  [1024, 31_744],
  [32_768, 32_768],
] as const
