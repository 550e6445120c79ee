import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CACHE } from '../node-suite/node-binary.ts'

/** Where the packages live: outside the repository, which does not depend on them. */
const FOLDER = join(CACHE, 'programs')

/**
 * Installs what is missing of `packages`, newest versions; npm shows its progress.
 *
 * @returns the folder that holds them.
 */
export function packagesFolder(packages: readonly string[]): string {
  mkdirSync(FOLDER, { recursive: true })
  const manifest = join(FOLDER, 'package.json')
  if (!existsSync(manifest)) writeFileSync(manifest, '{ "private": true }\n')
  const missing = [...new Set(packages)].filter((name) => versionOf(name) === undefined)
  if (missing.length > 0) {
    console.error(`installing ${missing.join(', ')} into ${FOLDER}`)
    // Its own scripts are not needed, and not run.
    const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefix', FOLDER]
    execFileSync('npm', ['install', ...options, ...missing], {
      stdio: ['ignore', 'inherit', 'inherit'],
    })
  }
  return FOLDER
}

export function versionOf(name: string): string | undefined {
  const path = join(FOLDER, 'node_modules', name, 'package.json')
  if (!existsSync(path)) return undefined
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version
}
