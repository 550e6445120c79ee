import { execFileSync } from 'node:child_process'
import { existsSync, realpathSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { UsageError } from './options.ts'

/** What outlives a run: Node binaries and the results of the stock suite. */
export const CACHE = join(homedir(), '.cache', 'sockswitch')

export interface NodeBinary {
  readonly path: string
  /** Without the leading `v`: `24.12.0`. */
  readonly version: string
  readonly bytes: number
}

/** Finds the binary that `wanted` names: a version such as `24.12.0`, or a path. */
export function findNode(wanted: string): NodeBinary {
  const path = /^\d+\.\d+\.\d+$/.test(wanted) ? installed(wanted) : wanted
  if (!existsSync(path)) throw new UsageError(`Cannot run the suite: no Node binary at '${path}'`)
  const real = realpathSync(path)
  const version = execFileSync(real, ['--version'], { encoding: 'utf8', env: {} }).trim().replace(/^v/, '')
  return { path: real, version, bytes: statSync(real).size }
}

function installed(version: string): string {
  const prefix = join(CACHE, 'node', version)
  const path = join(prefix, 'node_modules', 'node', 'bin', 'node')
  if (existsSync(path)) return path
  throw new UsageError(
    `Cannot run the suite: Node ${version} is not installed; run 'npm i --prefix ${prefix} node@${version}'`,
  )
}
