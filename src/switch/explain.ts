import { wsaName } from '../spi/index.ts'
import type { SocketAddress } from '../spi/index.ts'
import { plainly } from './addresses.ts'
import type { Choice } from './choose-provider.ts'
import type { Decision, Role } from './policy.ts'
import { reasonFor } from './reasons.ts'
import type { Reason } from './reasons.ts'
import type { StartedProvider } from './started-provider.ts'

/** One thing that decides. */
export interface ExplainedStep {
  readonly what: string
  readonly detail: string
  /** The process that is meant, where it is one of this host. */
  readonly processId?: number
  /** Why TCP/IP serves because of it; the last step has one, or none has. */
  readonly reason?: Reason
}

/** What a connect or a listen would do, and what decides. */
export interface Explanation {
  /** The SAN provider that would carry it; none: TCP/IP. */
  readonly provider?: string
  readonly reason?: Reason
  readonly steps: readonly ExplainedStep[]
}

/**
 * What a connect to `destination` would do now: rules, routes, then what the provider finds, up to the first that says no.
 * Nothing is remembered and nothing left behind.
 */
export function explainConnect(choice: Choice, destination: SocketAddress): Explanation {
  const { steps, observed } = rules(choice, 'connect', destination)
  if (steps.at(-1)?.reason !== undefined) return conclude(steps)
  const started = choice.routes.lookUp(destination)
  steps.push(route(started))
  if (started === undefined) return conclude(steps)
  steps.push(...found(started, destination))
  return conclude(steps, started, observed)
}

/** What a listen at `local` would do: rules, then routes. The face may know more: that the server is one for TLS, say. */
export function explainListen(choice: Choice, bound: SocketAddress): Explanation {
  const local = plainly(bound)
  const { steps, observed } = rules(choice, 'listen', local)
  if (steps.at(-1)?.reason !== undefined) return conclude(steps)
  const [started] = choice.routes.listeningAt(local)
  steps.push(route(started))
  return conclude(steps, started, observed)
}

function rules(
  { policy }: Choice,
  role: Role,
  address: SocketAddress,
): { steps: ExplainedStep[]; observed?: string } {
  const decision: Decision = policy?.decide(role, address, address.port) ?? { action: 'switch' }
  const rule = decision.rule ?? 'none fits'
  if (decision.action === 'stay') return { steps: [{ what: 'rules', detail: rule, reason: 'rule' }] }
  const steps = [{ what: 'rules', detail: rule }]
  return decision.action === 'observe' ? { steps, observed: rule } : { steps }
}

function route(started: StartedProvider | undefined): ExplainedStep {
  if (started === undefined)
    return { what: 'route', detail: 'no provider serves the address', reason: 'no-route' }
  return { what: 'route', detail: `${started.provider.name}: ${started.description}` }
}

function found({ provider }: StartedProvider, destination: SocketAddress): readonly ExplainedStep[] {
  const steps = provider.probe?.(destination)
  if (steps === undefined)
    return [{ what: 'peer', detail: `${provider.name} cannot tell without connecting` }]
  return steps.map(({ status, ...step }) =>
    status === 0
      ? step
      : { ...step, detail: `${step.detail} (${wsaName(status)})`, reason: reasonFor(status, 'connect') },
  )
}

function conclude(steps: ExplainedStep[], started?: StartedProvider, observed?: string): Explanation {
  const reason = steps.at(-1)?.reason
  if (reason !== undefined) return { reason, steps }
  if (observed !== undefined) {
    return {
      reason: 'observed',
      steps: [...steps, { what: 'observing', detail: observed, reason: 'observed' }],
    }
  }
  return { ...(started && { provider: started.provider.name }), steps }
}
