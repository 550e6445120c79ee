import { existsSync } from 'node:fs'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { loadShm } from '../../src/native/load.ts'
import type { Face } from './modes.ts'

/** The repository: this file runs as dist/bench/harness/paths.js. */
export const ROOT = join(import.meta.dirname, '../../..')

/** SOCKSWITCH_BENCH_REGISTER puts another module in the place of the switch. */
const REGISTER_FILE = process.env['SOCKSWITCH_BENCH_REGISTER'] ?? join(ROOT, 'dist/register.mjs')

/** What `--import` gets in a switched process. */
export const REGISTER_URL = pathToFileURL(REGISTER_FILE).href

/** SOCKSWITCH_BENCH_CLI puts another program in the place of the command line tool. */
export const CLI_FILE = process.env['SOCKSWITCH_BENCH_CLI'] ?? join(ROOT, 'dist/src/cli/main.js')

/** A program that does the same as another one, for another face, has the same name in a folder of the face's. */
export function appFile(name: string, face: Face): string {
  return join(ROOT, 'dist/bench/apps', face === 'net' ? '' : face, `${name}.js`)
}

/** Says why no switched process can be started, or undefined where one can. */
export function switchFault(): string | undefined {
  if (!existsSync(REGISTER_FILE)) {
    return `Cannot start a switched process: ${relative(ROOT, REGISTER_FILE)} is missing; run "npm run build"`
  }
  const loaded = loadShm()
  return 'reason' in loaded ? `Cannot start a switched process: ${loaded.reason}` : undefined
}
