import { spawnSync } from 'node:child_process'

/** Of {@link python}: the skip of a test where there is none. */
export const NO_PYTHON =
  spawnSync('python3', ['--version']).error === undefined
    ? false
    : 'install python3 3.9 or later, which building the addons takes, too'

/** Runs a script, for what Node itself cannot do; with `fd` as descriptor 3. @returns what it printed. @throws where it fails. */
export function python(script: string, args: readonly string[], fd?: number): string {
  const { status, error, stdout, stderr } = spawnSync('python3', ['-c', script, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', fd ?? 'ignore'],
  })
  if (status !== 0) throw new Error(`Cannot run the script: ${error?.message ?? stderr}`)
  return stdout
}
