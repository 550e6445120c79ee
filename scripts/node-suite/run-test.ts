import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { demandsOf, readTest } from './test-files.ts'

export type Outcome = 'pass' | 'fail' | 'skip'

export interface TestResult {
  readonly outcome: Outcome
  /** How the process ended: an exit code, a signal, or `timeout`. */
  readonly exit: string
  readonly ms: number
  /** The first line of the output that names an error; empty unless it failed. */
  readonly firstError: string
}

/** What all tests of one run have in common. */
export interface Setting {
  readonly node: string
  readonly suite: string
  readonly timeoutMs: number
  /** Holds the tests' temporary directories; outside the suite, and short, because socket paths are. */
  readonly scratch: string
  /** Where the output of a failed test stays. */
  readonly logs: string
  readonly env: Readonly<Record<string, string>>
  /** Told to the test as SOCKSWITCH_STATS_FILE; undefined when it runs stock. */
  readonly statsFileOf: ((file: string) => string) | undefined
}

const running = new Set<number>()

/** Ends the process groups of tests that still run, when the runner is told to stop. */
export function killRunning(): void {
  for (const pid of running) killGroup(pid)
}

/** Runs one test in a process group of its own. `lane` numbers the tests that run at the same time, from 0. */
export async function runTest(file: string, lane: number, setting: Setting): Promise<TestResult> {
  const demands = demandsOf(readTest(setting.suite, file))
  const log = join(setting.logs, `${file.replaceAll('/', '_')}.log`)
  const statsFile = setting.statsFileOf?.(file)
  if (statsFile !== undefined) rmSync(statsFile, { force: true })
  mkdirSync(dirname(log), { recursive: true })
  const output = openSync(log, 'w')
  const started = performance.now()
  const child = spawn(setting.node, [...demands.flags, join(setting.suite, file)], {
    cwd: dirname(setting.suite),
    env: { ...environment(file, lane, setting, statsFile), ...demands.env },
    detached: true,
    stdio: ['ignore', output, output],
  })
  closeSync(output)
  const exit = await ended(child, setting.timeoutMs)
  const result = judge(exit, performance.now() - started, readFileSync(log, 'utf8'))
  if (result.outcome !== 'fail') rmSync(log, { force: true })
  return result
}

function ended(child: ReturnType<typeof spawn>, timeoutMs: number): Promise<string> {
  const pid = child.pid
  if (pid !== undefined) running.add(pid)
  return new Promise((resolve) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      if (pid !== undefined) killGroup(pid)
    }, timeoutMs)
    const finish = (exit: string): void => {
      clearTimeout(timer)
      if (pid !== undefined) {
        killGroup(pid)
        running.delete(pid)
      }
      resolve(exit)
    }
    child.on('error', (error) => {
      finish(error.message)
    })
    child.on('exit', (code, signal) => {
      finish(late ? 'timeout' : (signal ?? String(code)))
    })
  })
}

/** Ends what is left of a test's own group; its leader may be gone already. */
function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Names that would reach a test from whoever runs the suite, and change what it does. */
const NOT_INHERITED = /^(NODE_|TEST_|SOCKSWITCH_|npm_|NO_COLOR$|FORCE_COLOR$|TERM$|COLORTERM$)/

function environment(
  file: string,
  lane: number,
  setting: Setting,
  statsFile: string | undefined,
): Record<string, string | undefined> {
  const inherited = Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name))
  return {
    ...Object.fromEntries(inherited),
    LC_ALL: 'C.UTF-8',
    HOME: setting.scratch,
    NODE_TEST_DIR: setting.scratch,
    TEST_THREAD_ID: String(lane),
    NODE_COMMON_PORT: String(commonPort(lane)),
    ...(file.startsWith('parallel/') ? { TEST_PARALLEL: '1' } : {}),
    ...(statsFile === undefined ? {} : { SOCKSWITCH_STATS_FILE: statsFile }),
    ...setting.env,
  }
}

/** A hundred ports below the usual ephemeral range, apart from those of other lanes and of other runs at the same time. */
function commonPort(lane: number): number {
  return 12_000 + ((process.pid + lane) % 200) * 100
}

const ERROR_LINE =
  /^.*(?:\b\w*Error\b.*:|\[ERR_\w+\]|AssertionError|Mismatched .* function calls|FATAL ERROR|Assertion .* failed).*$/m

export function judge(exit: string, ms: number, output: string): TestResult {
  const base = { exit, ms: Math.round(ms), firstError: '' }
  if (exit !== '0') return { ...base, outcome: 'fail', firstError: firstError(output) }
  return { ...base, outcome: /^1\.\.0 # Skipped/m.test(output) ? 'skip' : 'pass' }
}

function firstError(output: string): string {
  const line = ERROR_LINE.exec(output)?.[0] ?? output.split('\n').find((text) => text.trim() !== '')
  return (line ?? 'no output').trim().slice(0, 160)
}
