import { randomBytes } from 'node:crypto'
import { constants } from 'node:os'
import { threadId } from 'node:worker_threads'
import type { ShmNative } from '../native/shm.ts'

/** Where a switched event loop answers questions about itself; abstract, so it goes with the process. */
export const CONTROL_PREFIX = 'sockswitch/control/'

/** The largest piece of an answer; one packet each. */
const PIECE_BYTES = 1024
/** Answers under way at once, and how long each may take: a slow or stuck asker is cut off. */
const MAX_ANSWERS = 8
const PATIENCE_MS = 1000

/** Answers whoever of the same user (or root) connects with a report, as JSON in packets, then closes. */
export function openControl(native: ShmNative, report: () => unknown): void {
  const listener = listen(native)
  if (listener < 0) {
    process.stderr.write(
      `sockswitch: \`sockswitch ls\` will not see this process (errno ${String(-listener)})\n`,
    )
    return
  }
  let answers = 0
  new native.Watcher(listener, () => {
    for (let fd = native.accept(listener); fd >= 0; fd = native.accept(listener)) {
      if (answers >= MAX_ANSWERS || !mayAsk(native, fd)) {
        native.close(fd)
        continue
      }
      answers += 1
      answer(native, fd, Buffer.from(JSON.stringify(report())), () => {
        answers -= 1
      })
    }
  })
}

/** Containers that share a network have process ids of their own: the name may be taken. */
function listen(native: ShmNative): number {
  const name = `${CONTROL_PREFIX}${String(process.pid)}.${String(threadId)}`
  const listener = native.listen(name)
  return listener < 0 ? native.listen(`${name}.${randomBytes(8).toString('hex')}`) : listener
}

function mayAsk(native: ShmNative, fd: number): boolean {
  const peer = native.peerCredentials(fd)
  return typeof peer !== 'number' && (peer.uid === process.getuid?.() || peer.uid === 0)
}

function answer(native: ShmNative, fd: number, bytes: Uint8Array, done: () => void): void {
  const deadline = performance.now() + PATIENCE_MS
  let offset = 0
  const send = (): void => {
    while (offset < bytes.length) {
      const sent = native.send(fd, bytes.subarray(offset, offset + PIECE_BYTES), [])
      if (sent === -EAGAIN && performance.now() < deadline) {
        setTimeout(send, 1).unref()
        return
      }
      if (sent !== 0) break
      offset += PIECE_BYTES
    }
    native.close(fd)
    done()
  }
  send()
}

const { EAGAIN } = constants.errno
