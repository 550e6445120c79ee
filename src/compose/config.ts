/** What the environment says; anything it says wrong is an error that lists what would be right. */
export interface Config {
  readonly on: boolean
  readonly profile: Profile
  /** Where to append one line of counters at exit; for test runners. */
  readonly statsFile: string | undefined
}

/** How eagerly to spin for the next message: trades CPU for latency. */
export const PROFILES = {
  latency: { spinMicroseconds: 1000 },
  balanced: { spinMicroseconds: 200 },
  cpu: { spinMicroseconds: 0 },
} as const

export type Profile = keyof typeof PROFILES

const VARIABLES = {
  SOCKSWITCH: ['on', 'off'],
  SOCKSWITCH_PROFILE: Object.keys(PROFILES),
  SOCKSWITCH_STATS_FILE: undefined,
} as const

export function readConfig(environment: NodeJS.ProcessEnv): Config {
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('SOCKSWITCH') || value === undefined) continue
    if (!(name in VARIABLES)) {
      throw new Error(`Cannot start sockswitch: unknown variable ${name}; known are ${Object.keys(VARIABLES).join(', ')}`)
    }
    const valid: readonly string[] | undefined = VARIABLES[name as keyof typeof VARIABLES]
    if (valid !== undefined && !valid.includes(value)) {
      throw new Error(`Cannot start sockswitch: ${name}="${value}" is not one of ${valid.join(', ')}`)
    }
  }
  return {
    on: environment['SOCKSWITCH'] !== 'off',
    profile: (environment['SOCKSWITCH_PROFILE'] ?? 'balanced') as Profile,
    statsFile: environment['SOCKSWITCH_STATS_FILE'],
  }
}
