import { describe, test } from 'node:test'

import { SockswitchError } from '../src/spi/index.ts'
import { acceptingChecks } from './accepting.ts'
import { bindingChecks } from './binding.ts'
import type { Check } from './check.ts'
import { closingChecks } from './closing.ts'
import { connectingChecks } from './connecting.ts'
import { duplicatingChecks } from './duplicating.ts'
import { runCheck } from './fixture.ts'
import type { ConformanceOptions } from './fixture.ts'
import { listeningChecks } from './listening.ts'
import { memoryChecks } from './memory.ts'
import { providerChecks } from './provider.ts'
import { rdmaChecks } from './rdma.ts'
import { transferChecks } from './transfer.ts'
import { upcallChecks } from './upcalls.ts'

export type { Check } from './check.ts'
export { runCheck } from './fixture.ts'
export type { ConformanceOptions } from './fixture.ts'
export { LocalPeer, countingAddresses, localPeer } from './peer.ts'
export type { AddressSource, AddressUse, Peer, PeerAccepted, PeerSocket } from './peer.ts'
export { childPeer } from './peer-process.ts'
export type { PeerModule } from './peer-process.ts'

/** Every test of the suite, by chapter. */
export const checks: readonly Check[] = [
  ...providerChecks,
  ...bindingChecks,
  ...listeningChecks,
  ...acceptingChecks,
  ...connectingChecks,
  ...closingChecks,
  ...memoryChecks,
  ...transferChecks,
  ...rdmaChecks,
  ...duplicatingChecks,
  ...upcallChecks,
]

/**
 * Registers the suite with `node:test`, under `name`: one test for each numbered clause of the service provider interface,
 * and tests of odd arguments. An exempt test runs, and must fail, so that no exemption outlives its reason.
 *
 * @throws {SockswitchError} `WSAEINVAL` when an exemption names no test.
 */
export function providerConformance(name: string, options: ConformanceOptions): void {
  const exempt = options.exempt ?? {}
  for (const id of Object.keys(exempt)) {
    if (!checks.some((check) => check.id === id)) throw new SockswitchError('WSAEINVAL', `exempt '${id}'`)
  }
  describe(name, () => {
    for (const check of checks) {
      test(check.title, async (context) => {
        const reason = exempt[check.id]
        if (reason !== undefined) context.diagnostic(`exempt: ${reason}`)
        await runCheck(check, options)
      })
    }
  })
}
