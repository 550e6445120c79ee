import { FABRICS, readFabricConfig } from './fabric.ts'
import type { FabricConfig } from './fabric.ts'
import { inlineRules, readRules } from './rules.ts'
import type { Rule } from './rules.ts'

/** What the environment says; anything it says wrong is an error that lists what would be right. */
export interface Config {
  /** `observe`: nothing is switched, and what would be is counted. */
  readonly mode: Mode
  /** The first that fits decides. */
  readonly rules: readonly Rule[]
  readonly profile: Profile
  /** What carries connections between hosts. */
  readonly fabric: FabricConfig
  /** Where to append one line of counters at exit; for test runners. */
  readonly statsFile: string | undefined
}

const MODES = ['on', 'off', 'observe'] as const
type Mode = (typeof MODES)[number]

/** How eagerly to spin for the next message: trades CPU for latency. */
export const PROFILES = {
  latency: { spinMicroseconds: 1000 },
  balanced: { spinMicroseconds: 200 },
  cpu: { spinMicroseconds: 0 },
} as const

type Profile = keyof typeof PROFILES

/** What may be in the environment, with the values where they are few. */
export const VARIABLES = {
  SOCKSWITCH: MODES,
  SOCKSWITCH_FABRIC: FABRICS,
  SOCKSWITCH_FABRIC_HEARTBEAT: undefined,
  SOCKSWITCH_FABRIC_NETWORKS: undefined,
  SOCKSWITCH_FABRIC_READS: undefined,
  SOCKSWITCH_PROFILE: Object.keys(PROFILES),
  SOCKSWITCH_RULE: undefined,
  SOCKSWITCH_RULES: undefined,
  SOCKSWITCH_STATS_FILE: undefined,
} as const

/** Empty, they name no file; whoever wants none leaves them out. */
const FILES = ['SOCKSWITCH_RULES', 'SOCKSWITCH_STATS_FILE'] as const

export function readConfig(environment: NodeJS.ProcessEnv): Config {
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('SOCKSWITCH') || value === undefined) continue
    if (!(name in VARIABLES)) {
      throw new Error(
        `Cannot start sockswitch: unknown variable ${name}; known are ${Object.keys(VARIABLES).join(', ')}`,
      )
    }
    const valid: readonly string[] | undefined = VARIABLES[name as keyof typeof VARIABLES]
    if (valid !== undefined && !valid.includes(value)) {
      throw new Error(`Cannot start sockswitch: ${name}="${value}" is not one of ${valid.join(', ')}`)
    }
  }
  for (const name of FILES)
    if (environment[name] === '')
      throw new Error(`Cannot start sockswitch: ${name} is empty; name a file, or unset it`)
  const mode = (environment['SOCKSWITCH'] ?? 'on') as Mode
  return {
    mode,
    // What is off reads no file.
    rules: mode === 'off' ? [] : rulesOf(environment),
    profile: (environment['SOCKSWITCH_PROFILE'] ?? 'balanced') as Profile,
    fabric: readFabricConfig(environment),
    statsFile: environment['SOCKSWITCH_STATS_FILE'],
  }
}

/** What is said on the spot comes before what the file says. */
function rulesOf(environment: NodeJS.ProcessEnv): Rule[] {
  const { SOCKSWITCH_RULE: inline, SOCKSWITCH_RULES: path } = environment
  return [
    ...(inline === undefined ? [] : inlineRules(inline)),
    ...(path === undefined ? [] : readRules(path)),
  ]
}
