import type { SocketAddress } from '../spi/index.ts'
import { ROLES } from '../switch/policy.ts'
import type { Decision, Policy, Role } from '../switch/policy.ts'
import { concernsEnd, concernsProgram, concernsRole } from './rules.ts'
import type { Rule } from './rules.ts'

const SWITCH: Decision = { action: 'switch' }
const OBSERVE: Decision = { action: 'observe', rule: 'SOCKSWITCH=observe' }

export interface PolicyOptions {
  readonly rules: readonly Rule[]
  /** What would be switched is only observed. */
  readonly observe: boolean
  /** The names of the program; asked at the first decision, because a worker does not know its own earlier. */
  readonly program: () => readonly string[]
}

/** The first rule that fits decides; without one everything is switched. */
export class RulePolicy implements Policy {
  readonly #options: PolicyOptions
  #byRole: Readonly<Record<Role, readonly Rule[]>> | undefined

  constructor(options: PolicyOptions) {
    this.#options = options
  }

  decide(role: Role, address: Omit<SocketAddress, 'port'>, port: number): Decision {
    this.#byRole ??= this.#sort()
    let decision = SWITCH
    for (const rule of this.#byRole[role]) {
      if (!concernsEnd(rule, address, port)) continue
      decision = rule.decision
      break
    }
    return this.#options.observe && decision.action === 'switch' ? OBSERVE : decision
  }

  #sort(): Readonly<Record<Role, readonly Rule[]>> {
    const names = this.#options.program()
    const ours = this.#options.rules.filter((rule) => concernsProgram(rule, names))
    const of = (role: Role): readonly Rule[] => ours.filter((rule) => concernsRole(rule, role))
    return Object.fromEntries(ROLES.map((role) => [role, of(role)])) as Record<Role, readonly Rule[]>
  }
}

/** The policy that the environment asks for; none where everything is switched. */
export function policyOf(options: PolicyOptions): Policy | undefined {
  return options.rules.length === 0 && !options.observe ? undefined : new RulePolicy(options)
}

/** This program's names: the path of its script, and that of its executable. */
export function ownNames(): readonly string[] {
  return [process.argv[1], process.execPath].filter((name) => name !== undefined)
}
