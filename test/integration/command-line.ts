import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { ProcessReport } from '../../src/compose/report.ts'
import { within } from '../support/waiting.ts'
import { LIMIT_MS, cleanEnvironment } from './program.ts'
import type { Program } from './program.ts'

/** Seen from `dist/test/integration`. */
const CLI = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url))

export interface Outcome {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Starts `sockswitch ARGS`. @param main Another copy of the command. @param within What runs it, in its place. */
export function start(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  main = CLI,
  within: readonly string[] = [],
): ChildProcessByStdio<null, Readable, Readable> {
  const [command = '', ...rest] = [...within, process.execPath, main, ...args]
  return spawn(command, rest, {
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

/** Runs `sockswitch ARGS` to its end. */
export async function cli(
  args: readonly string[],
  env?: Readonly<Record<string, string>>,
  main?: string,
  from?: readonly string[],
): Promise<Outcome> {
  const child = start(args, env, main, from)
  const [stdout, stderr, end] = await within(
    Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]),
    LIMIT_MS,
    () => `sockswitch ${args.join(' ')}`,
  )
  const [code] = end as [number | null]
  return { code, stdout, stderr }
}

/** What `sockswitch ls` says of `program`. */
export async function reportOf({ pid }: Program): Promise<ProcessReport> {
  const { code, stdout } = await cli(['ls', '--json'])
  assert.equal(code, 0)
  const { processes } = JSON.parse(stdout) as { readonly processes: readonly ProcessReport[] }
  const found = processes.find((process) => process.pid === pid)
  assert.ok(found, `process ${pid} is listed`)
  return found
}
