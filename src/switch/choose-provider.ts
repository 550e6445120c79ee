import type { SocketAddress } from '../spi/index.ts'
import type { Misses } from './misses.ts'
import type { Policy } from './policy.ts'
import { reasonFor } from './reasons.ts'
import type { Reason } from './reasons.ts'
import type { RouteTable } from './route-table.ts'
import type { StartedProvider } from './started-provider.ts'

export interface Choice {
  readonly routes: RouteTable
  readonly misses: Misses
  readonly policy: Policy | undefined
}

/** The provider that a connect to `destination` tries, or why TCP/IP carries it: rules, then routes, then memory. */
export function chooseProvider(
  { routes, misses, policy }: Choice,
  destination: SocketAddress,
): StartedProvider | Reason {
  const action =
    policy === undefined ? 'switch' : policy.decide('connect', destination, destination.port).action
  if (action === 'stay') return 'rule'
  const started = routes.lookUp(destination)
  if (started === undefined) return 'no-route'
  const missed = misses.reasonFor(destination)
  if (missed !== undefined) return missed
  if (action === 'switch') return started
  const reason = wouldStay(started, destination) ?? 'observed'
  misses.note(destination, reason)
  return reason
}

/** Why a connect over the provider would fail, as far as can be told without one. */
function wouldStay({ provider }: StartedProvider, destination: SocketAddress): Reason | undefined {
  for (const { status } of provider.probe?.(destination) ?? []) {
    if (status !== 0) return reasonFor(status, 'connect')
  }
  return undefined
}
