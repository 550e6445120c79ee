// What every program under measurement shares with whoever started it: options on the command line, JSON lines
// on stdout, one-word commands on stdin. Nothing here, or in the programs, knows about sockswitch.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parseArgs } from 'node:util'

type Widened<T> = { [K in keyof T]: T[K] extends number ? number : string }

/** Reads `--name value` for every key of `defaults`; a numeric default makes a numeric option. */
export function readOptions<const T extends Record<string, string | number>>(defaults: T): Widened<T> {
  const names = Object.keys(defaults)
  const { values } = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  })
  const read = names.map((name) => {
    const given = values[name]
    if (given === undefined) return [name, defaults[name]]
    if (typeof defaults[name] === 'string') return [name, given]
    const value = Number(given)
    if (Number.isNaN(value)) throw new TypeError(`Cannot read --${name}: "${given}" is no number`)
    return [name, value]
  })
  return Object.fromEntries(read) as Widened<T>
}

/** Where to listen or connect; a non-empty `path` means a Unix domain socket. */
export const ENDPOINT = { host: '127.0.0.1', port: 0, path: '' } as const

export function endpointOf(options: { host: string; port: number; path: string }) {
  return options.path === '' ? { host: options.host, port: options.port } : { path: options.path }
}

/** Writes one event as a line of JSON. */
export function report(event: string, body: object = {}): void {
  process.stdout.write(JSON.stringify({ event, ...body }) + '\n')
}

/** Reports a failed measurement and ends the process; a wrong byte is a failure, never a statistic. */
export function fail(reason: unknown): never {
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : String(reason)
  report('error', { reason: text })
  process.exit(1)
}

/** CPU since the process began, in microseconds, and the memory it holds now, in bytes. */
export interface Usage {
  readonly cpuUs: number
  readonly rssBytes: number
  /** Anonymous pages: heap, buffers and native memory, without code and without shared memory. */
  readonly privateBytes: number
}

export function takeUsage(): Usage {
  const { user, system } = process.cpuUsage()
  const rssBytes = process.memoryUsage.rss()
  return { cpuUs: user + system, rssBytes, privateBytes: anonymousBytes() ?? rssBytes }
}

function anonymousBytes(): number | undefined {
  if (process.platform !== 'linux') return undefined
  const kib = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  return kib === undefined ? undefined : Number(kib) * 1024
}

/** Collects garbage so that what is left can be compared; used only where memory is measured. */
export function collectGarbage(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  collect()
}

/**
 * Serves commands from stdin until it ends, and then ends the process, so that no program outlives its starter.
 * Every program answers `usage`, `collect` (the same after a garbage collection) and `stop`.
 */
export function serveCommands(commands: Record<string, () => void> = {}): void {
  const all: Record<string, () => void> = {
    usage: () => {
      report('usage', takeUsage())
    },
    collect: () => {
      collectGarbage()
      report('usage', takeUsage())
    },
    stop: () => process.exit(0),
    ...commands,
  }
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    const command = all[line]
    if (command === undefined) fail(`unknown command "${line}"`)
    command()
  })
  lines.on('close', () => {
    report('usage', takeUsage())
    process.exit(0)
  })
  process.on('SIGTERM', () => {
    report('usage', takeUsage())
    process.exit(0)
  })
  process.on('uncaughtException', fail)
}

/** A client that is connected, warmed up and waiting for `go`. */
export interface Prepared {
  /** How many connections it holds, or opens at the same time. */
  readonly connections: number
  /** Does the work that counts; `units` is what CPU time is divided by. */
  readonly measure: () => Promise<{ readonly units: number }>
  /** What remains to be checked after the clock has stopped. */
  readonly finish?: () => Promise<void>
}

/**
 * Prepares and reports `ready`; measures at `go` and reports `result`; checks at `finish` and reports `finished`. The
 * connections stay until the program is told to stop.
 */
export function runClient(prepare: () => Promise<Prepared>): void {
  let prepared: Prepared | undefined
  const go = async () => {
    if (prepared === undefined) fail('go came before ready')
    const { cpuUs } = takeUsage()
    const startMs = performance.now()
    const measured = await prepared.measure()
    const seconds = (performance.now() - startMs) / 1e3
    report('result', { seconds, cpuUs: takeUsage().cpuUs - cpuUs, ...measured })
  }
  const finish = async () => {
    await prepared?.finish?.()
    report('finished')
  }
  serveCommands({
    go: () => {
      go().catch(fail)
    },
    finish: () => {
      finish().catch(fail)
    },
  })
  const before = takeUsage()
  prepare().then((done) => {
    prepared = done
    report('ready', { before, after: takeUsage(), connections: done.connections })
  }, fail)
}
