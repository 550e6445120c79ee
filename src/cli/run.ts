import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const

/** Runs `app` with the switch under it; ends as it ends. */
export function run(app: string, args: readonly string[]): Promise<void> {
  const register = fileURLToPath(new URL('../../register.cjs', import.meta.url))
  const child = spawn(process.execPath, ['--require', register, app, ...args], { stdio: 'inherit' })
  // A terminal signals the whole group; what reaches only us is passed on.
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
      resolve()
    })
  })
}
