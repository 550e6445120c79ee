import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { join, resolve as absolute } from 'node:path'
import { fileURLToPath } from 'node:url'

const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const

/** Runs `app` with the switch under it; ends as it ends. @throws where there is no such program. */
export async function run(app: string, args: readonly string[]): Promise<void> {
  if (!isThere(app)) throw new Error(`Cannot run "${app}": there is no such program`)
  const register = fileURLToPath(new URL('../../register.cjs', import.meta.url))
  const child = spawn(process.execPath, ['--require', register, app, ...args], { stdio: 'inherit' })
  // A terminal signals the whole group; what reaches only us is passed on.
  for (const signal of FORWARDED) process.on(signal, () => child.kill(signal))
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
      resolve()
    })
  })
}

/** As Node will look for it; options of Node's own, and what they load, may find what we do not. */
function isThere(app: string): boolean {
  if (app.startsWith('-') || process.env['NODE_OPTIONS'] !== undefined) return true
  try {
    createRequire(join(process.cwd(), 'x')).resolve(absolute(app))
    return true
  } catch {
    return false
  }
}
