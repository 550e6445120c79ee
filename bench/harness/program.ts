import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Face } from './modes.ts'
import { appFile, REGISTER_URL } from './paths.ts'

export interface ProgramOptions {
  readonly app: string
  readonly args: readonly string[]
  readonly switched: boolean
  readonly face?: Face
  /** A value for SOCKSWITCH_PROFILE in switched processes. */
  readonly profile?: string | undefined
  /** The processor to stay on. */
  readonly processor?: number | undefined
}

/** One line that a program wrote. */
export type ProgramEvent = Record<string, unknown> & { readonly event: string }

const STDERR_KEPT_CHARACTERS = 4000
const STOP_TIMEOUT_MS = 2000

const running = new Set<Program>()
process.on('exit', () => {
  for (const program of running) program.kill()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => process.exit(1))
}

/** A measured program in its own process: commands go in, events come out, nothing waits for ever. */
export class Program {
  readonly #name: string
  readonly #child: ChildProcess
  readonly #events: ProgramEvent[] = []
  readonly #exited: Promise<void>
  #stderr = ''
  #ended = ''
  #wake: () => void = () => undefined

  constructor(options: ProgramOptions) {
    const { face = 'net' } = options
    this.#name = `${options.app}${face === 'wsk' ? ' (WSK)' : options.switched ? ' (switched)' : ''}`
    const node = [
      ...(options.switched && face === 'net' ? ['--import', REGISTER_URL] : []),
      appFile(options.app, face),
      ...options.args,
    ]
    const pinned = options.processor === undefined ? [] : ['taskset', '-c', String(options.processor)]
    const [file, ...args] = [...pinned, process.execPath, ...node]
    this.#child = spawn(file!, args, {
      env: environment(options),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    running.add(this)
    this.#exited = new Promise((resolve) => {
      const end = (reason: string) => {
        running.delete(this)
        this.#ended ||= reason
        this.#wake()
        resolve()
      }
      this.#child.on('error', (error) => {
        end(error.message)
      })
      this.#child.on('close', (code, signal) => {
        end(`it ended with ${signal ?? `code ${String(code)}`}`)
      })
    })
    this.#child.stdin?.on('error', () => undefined)
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT_CHARACTERS)
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.#events.push(parseEvent(line))
      this.#wake()
    })
  }

  /** Waits for the next event, which must be `event`. */
  async take(event: string, timeoutMs: number): Promise<ProgramEvent> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const next = this.#events.shift()
      if (next?.event === event) return next
      if (next !== undefined)
        throw this.#failure(next.event === 'error' ? textIn(next, 'reason') : JSON.stringify(next))
      if (this.#ended !== '') throw this.#failure(`${this.#ended} before "${event}"`)
      const leftMs = deadline - performance.now()
      if (leftMs <= 0) throw this.#failure(`no "${event}" within ${timeoutMs} ms`)
      await this.#somethingHappens(leftMs)
    }
  }

  /** Sends a command and waits for the event that answers it. */
  ask(command: string, event: string, timeoutMs: number): Promise<ProgramEvent> {
    this.#child.stdin?.write(`${command}\n`)
    return this.take(event, timeoutMs)
  }

  /** Asks the program to end, and ends it after a while if it does not. */
  async stop(): Promise<void> {
    if (this.#ended !== '') return
    this.#child.stdin?.end('stop\n')
    const timer = setTimeout(() => {
      this.kill()
    }, STOP_TIMEOUT_MS)
    await this.#exited
    clearTimeout(timer)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }

  #somethingHappens(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #failure(reason: string): Error {
    const stderr = this.#stderr.trim()
    return new Error(`Cannot measure ${this.#name}: ${reason}${stderr === '' ? '' : `\n${stderr}`}`)
  }
}

/** Settings of the surrounding shell reach neither side, so that stock is stock and switched is as the options say. */
function environment({ switched, profile }: ProgramOptions): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => name !== 'NODE_OPTIONS' && !/^SOCKSWITCH(_|$)/.test(name),
  )
  if (switched && profile !== undefined) kept.push(['SOCKSWITCH_PROFILE', profile])
  return Object.fromEntries(kept)
}

export function textIn(event: ProgramEvent, key: string): string {
  const value = event[key]
  if (typeof value === 'string') return value
  return JSON.stringify(value)
}

export function numberIn(holder: unknown, key: string): number {
  const value = (holder as Record<string, unknown>)[key]
  if (typeof value !== 'number') throw new TypeError(`Cannot read "${key}" of ${JSON.stringify(holder)}`)
  return value
}

function parseEvent(line: string): ProgramEvent {
  try {
    return JSON.parse(line) as ProgramEvent
  } catch {
    return { event: 'error', reason: `it printed "${line}"` }
  }
}
