import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { CONTROL_PREFIX } from '../compose/control.ts'
import type { Counters, ProcessReport } from '../compose/report.ts'
import { loadShm } from '../native/load.ts'
import type { ShmNative } from '../native/shm.ts'

const PATIENCE_MS = 1000
/** What is the problem with a process that is stopped or busy. */
export const NO_ANSWER = 'does not answer'
/** More than the longest honest answer. */
const MAX_BYTES = 64 << 20
const { EAGAIN } = constants.errno

/** A process that did not answer: stopped, busy, or another user's. */
export interface Silent {
  readonly name: string
  readonly problem: string
}

/**
 * Asks every switched event loop of this user in this network namespace about itself.
 *
 * @param purpose Completes "Cannot ...".
 * @throws where nobody can be asked.
 */
export async function askAll(purpose: string): Promise<(ProcessReport | Silent)[]> {
  const loaded = loadShm()
  if ('reason' in loaded) throw new Error(`Cannot ${purpose}: ${loaded.reason}`)
  let names: readonly string[]
  try {
    names = controlNames()
  } catch (error) {
    throw new Error(`Cannot ${purpose}: ${(error as Error).message}`, { cause: error })
  }
  return Promise.all(names.map((name) => ask(loaded.native, name)))
}

/** Abstract names are listed with an `@` in place of the leading zero byte. */
function controlNames(): string[] {
  const names = new Set<string>()
  for (const line of readFileSync('/proc/net/unix', 'utf8').split('\n')) {
    const at = line.indexOf(`@${CONTROL_PREFIX}`)
    if (at >= 0) names.add(line.slice(at + 1).trim())
  }
  return [...names].sort()
}

function ask(native: ShmNative, name: string): Promise<ProcessReport | Silent> {
  const fd = native.connect(name)
  if (fd < 0) return Promise.resolve({ name, problem: `cannot be reached (errno ${String(-fd)})` })
  const peer = native.peerCredentials(fd)
  if (typeof peer === 'number' || peer.uid !== process.getuid?.()) {
    native.close(fd)
    return Promise.resolve({ name, problem: 'belongs to another user' })
  }
  return new Promise((resolve) => {
    const pieces: Uint8Array[] = []
    let bytes = 0
    const finish = (result: ProcessReport | Silent): void => {
      clearTimeout(timer)
      watcher.close()
      native.close(fd)
      resolve(result)
    }
    const timer = setTimeout(() => {
      finish({ name, problem: NO_ANSWER })
    }, PATIENCE_MS)
    const watcher = new native.Watcher(fd, () => {
      for (;;) {
        const received = native.receive(fd)
        if (received === -EAGAIN) return
        if (typeof received !== 'number') {
          pieces.push(received.bytes)
          bytes += received.bytes.length
          if (bytes > MAX_BYTES) {
            finish({ name, problem: 'answers without end' })
            return
          }
          for (const extra of received.fds) native.close(extra)
          continue
        }
        finish(read(name, Buffer.concat(pieces).toString()))
        return
      }
    })
  })
}

function read(name: string, text: string): ProcessReport | Silent {
  if (text === '') return { name, problem: 'refuses to answer' }
  try {
    const answer: unknown = JSON.parse(printable(text))
    return isReport(answer) ? answer : { name, problem: 'answers as another version would' }
  } catch {
    return { name, problem: 'answered only in part' }
  }
}

const COUNTERS = [
  'connects',
  'accepts',
  'refusals',
  'links',
  'sharedBytes',
  'wakes',
  'sleeps',
  'spins',
  'spinHits',
] as const satisfies readonly (keyof Counters)[]

/** Whether `answer` has what is read of it: another version may answer otherwise. */
function isReport(answer: unknown): answer is ProcessReport {
  if (!isRecord(answer)) return false
  const { pid, thread, command, rules, providers, listeners, connections, counters } = answer
  return (
    typeof pid === 'number' &&
    typeof thread === 'number' &&
    typeof command === 'string' &&
    Array.isArray(rules) &&
    isListOf(providers, () => true) &&
    isListOf(listeners, ({ providers: names }) => Array.isArray(names)) &&
    isListOf(connections, ({ provider }) => typeof provider === 'string') &&
    isRecord(counters) &&
    COUNTERS.every((name) => typeof counters[name] === 'number') &&
    isRecord(counters['stayed']) &&
    isRecord(counters['observed'])
  )
}

type Answered = Readonly<Record<string, unknown>>

function isRecord(value: unknown): value is Answered {
  return typeof value === 'object' && value !== null
}

function isListOf(value: unknown, has: (row: Answered) => boolean): boolean {
  return Array.isArray(value) && value.every((row) => isRecord(row) && has(row))
}

/** Without control characters: what is listed goes to a terminal. JSON itself escapes them inside strings. */
function printable(text: string): string {
  const controls = /(\\[\\"/])|\\u00(?:[0189][0-9a-f]|7f)|\\[bfnrt]|\p{Cc}/giu
  return text.replaceAll(controls, (_, noControl?: string) => noControl ?? ' ')
}
