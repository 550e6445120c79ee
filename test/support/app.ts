import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { within } from './waiting.ts'

/** What `--require sockswitch/register` loads, seen from `dist/test/support`. */
export const REGISTER = fileURLToPath(new URL('../../register.cjs', import.meta.url))

export type Message = Readonly<Record<string, unknown>>

export interface AppOptions {
  /** True: all of the program, by preload. 'explicit': what it opens that door for; it reports, too. */
  readonly switched: boolean | 'explicit'
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What runs it, such as `ip netns exec NAME`; it takes the program's place. */
  readonly within?: readonly string[]
  /** Options of Node itself, before the script. */
  readonly execArgv?: readonly string[]
  /** Ends the app with this test. */
  readonly test?: TestContext
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** What one switched process says at its exit: connections over a SAN, and those on TCP/IP by reason. */
export interface ConnectionReport {
  readonly pid: number
  readonly san: { readonly connect: number; readonly accept: number }
  readonly tcpip: Readonly<Record<string, number>>
}

const FIRST_LINE_MS = 15_000

const living = new Set<App>()
const scratches = new Set<string>()
process.on('exit', () => {
  for (const app of living) app.kill()
  for (const scratch of scratches) rmSync(scratch, { recursive: true, force: true })
})

/** A Node program that talks JSON lines on stdin and stdout. */
export class App {
  readonly exited: Promise<Exit>
  /** Fires for each JSON line that {@link next} does not take. */
  onMessage: ((message: Message) => void) | undefined
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #scratch: string
  readonly #messages: Message[] = []
  readonly #takers: { resolve: (message: Message) => void; reject: (reason: Error) => void }[] = []
  readonly #script: string
  #stderr = ''

  constructor(script: string, options: AppOptions) {
    if (options.switched === true && !existsSync(REGISTER)) {
      throw new Error(`Cannot start '${script}' switched: '${REGISTER}' is not built; run 'npm run build'`)
    }
    this.#script = script
    this.#scratch = mkdtempSync(join(tmpdir(), 'app-under-test-'))
    scratches.add(this.#scratch)
    const args = [...(options.execArgv ?? []), script, ...(options.args ?? [])]
    const [command = process.execPath, ...rest] = [...(options.within ?? []), process.execPath, ...args]
    this.#child = spawn(command, rest, {
      env: { ...environment(options.switched, this.#statsFile), ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    living.add(this)
    this.#child.stdin.on('error', () => undefined) // it may end before it has heard everything
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#take(line)
    })
    this.exited = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        living.delete(this)
        for (const taker of this.#takers.splice(0)) taker.reject(this.#gone(code, signal))
        resolve({ code, signal })
      })
    })
    options.test?.after(() => this.end())
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`Cannot start '${this.#script}'`)
    return this.#child.pid
  }

  /** What it wrote to stderr so far. */
  get stderr(): string {
    return this.#stderr
  }

  /** The next JSON line it writes; rejects when it ends first. */
  next(): Promise<Message> {
    const waiting = this.#messages.shift()
    if (waiting !== undefined) return Promise.resolve(waiting)
    const { exitCode, signalCode } = this.#child
    if (!living.has(this)) return Promise.reject(this.#gone(exitCode, signalCode))
    return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }))
  }

  /** Writes one JSON line to its stdin. */
  tell(message: object): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`)
  }

  /** Ends its stdin. */
  endInput(): void {
    this.#child.stdin.end()
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }

  /** Kills it if it still runs, and removes what it left in its scratch directory. */
  async end(): Promise<void> {
    this.kill()
    await this.exited
    rmSync(this.#scratch, { recursive: true, force: true })
    scratches.delete(this.#scratch)
  }

  /** What it and the processes it started reported so far; whole once they have exited, and before {@link end}. */
  reports(): ConnectionReport[] {
    if (!existsSync(this.#statsFile)) return []
    const lines = readFileSync(this.#statsFile, 'utf8').split('\n')
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ConnectionReport)
  }

  get #statsFile(): string {
    return join(this.#scratch, 'connections.jsonl')
  }

  #take(line: string): void {
    const message = parse(line)
    if (message === undefined) {
      this.#stderr += `${line}\n` // a stray print, kept where a failed test shows it
      return
    }
    const taker = this.#takers.shift()
    if (taker !== undefined) taker.resolve(message)
    else if (this.onMessage !== undefined) this.onMessage(message)
    else this.#messages.push(message)
  }

  #gone(code: number | null, signal: NodeJS.Signals | null): Error {
    return new Error(`'${this.#script}' ended (${signal ?? String(code)}) without a word\n${this.#stderr}`)
  }
}

/** Starts `script` and waits for its first JSON line, which comes back as `ready`. */
export async function startApp(script: string, options: AppOptions): Promise<{ app: App; ready: Message }> {
  const app = new App(script, options)
  const ready = await within(app.next(), FIRST_LINE_MS, () => `the first line of '${script}'\n${app.stderr}`)
  return { app, ready }
}

/** The path of the program `name` beside the caller, in whichever language the caller runs. */
export function beside(importMetaUrl: string, name: string): string {
  const extension = importMetaUrl.endsWith('.ts') ? 'ts' : 'js'
  return fileURLToPath(new URL(`./${name}.${extension}`, importMetaUrl))
}

/**
 * What an app does not get from whoever runs the test: other preloads, the test runner's own, and the variables of
 * tests, which sockswitch rightly refuses to know.
 */
const NOT_INHERITED = /^(NODE_OPTIONS|NODE_TEST_CONTEXT|SOCKSWITCH(?!_PROFILE$).*)$/

function environment(
  switched: AppOptions['switched'],
  statsFile: string,
): Record<string, string | undefined> {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !NOT_INHERITED.test(name)),
  )
  if (switched === false) return inherited
  return {
    ...inherited,
    ...(switched === true && { NODE_OPTIONS: `--require ${JSON.stringify(REGISTER)}` }),
    SOCKSWITCH_STATS_FILE: statsFile,
  }
}

function parse(line: string): Message | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    return JSON.parse(line) as Message
  } catch {
    return undefined
  }
}
