import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, statSync } from 'node:fs'
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

/** Brings Node `version` into the cache, unless it is there. */
export function installNode(version: string): void {
  const path = pathOf(version)
  if (existsSync(path)) return
  const prefix = prefixOf(version)
  console.error(`installing Node ${version} into ${prefix}`)
  mkdirSync(prefix, { recursive: true })
  // Its install script is what brings the binary.
  const options = ['--no-audit', '--no-fund', '--foreground-scripts', '--prefix', prefix]
  execFileSync('npm', ['install', ...options, `node@${version}`], { stdio: ['ignore', 'inherit', 'inherit'] })
  if (!existsSync(path)) throw new UsageError(`Cannot install Node ${version}: npm left nothing at '${path}'`)
}

function prefixOf(version: string): string {
  return join(CACHE, 'node', version)
}

function pathOf(version: string): string {
  return join(prefixOf(version), 'node_modules', 'node', 'bin', 'node')
}

function installed(version: string): string {
  const path = pathOf(version)
  if (existsSync(path)) return path
  throw new UsageError(
    `Cannot run the suite: Node ${version} is not installed; run 'npm i --prefix ${prefixOf(version)} node@${version}'`,
  )
}
