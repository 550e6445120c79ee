import { readFileSync } from 'node:fs'
import { CONTROL_PREFIX } from '../compose/control.ts'
import type { ProcessReport } from '../compose/report.ts'
import type { ShmNative } from '../native/shm.ts'

const PATIENCE_MS = 1000
const EAGAIN = 11

/** A process that did not answer: stopped, busy, or another user's. */
export interface Silent {
  readonly name: string
  readonly problem: string
}

/** Asks every switched event loop of this user in this network namespace about itself. */
export async function askAll(native: ShmNative): Promise<(ProcessReport | Silent)[]> {
  return Promise.all(controlNames().map((name) => ask(native, name)))
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
  return new Promise((resolve) => {
    const pieces: Uint8Array[] = []
    const finish = (result: ProcessReport | Silent): void => {
      clearTimeout(timer)
      watcher.close()
      native.close(fd)
      resolve(result)
    }
    const timer = setTimeout(() => {
      finish({ name, problem: 'does not answer' })
    }, PATIENCE_MS)
    const watcher = new native.Watcher(fd, () => {
      for (;;) {
        const received = native.receive(fd)
        if (received === -EAGAIN) return
        if (typeof received !== 'number') {
          pieces.push(received.bytes)
          for (const extra of received.fds) native.close(extra)
          continue
        }
        try {
          finish(JSON.parse(Buffer.concat(pieces).toString()) as ProcessReport)
        } catch {
          finish({ name, problem: pieces.length === 0 ? 'refuses to answer' : 'answered only in part' })
        }
        return
      }
    })
  })
}
