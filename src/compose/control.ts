import { threadId } from 'node:worker_threads'
import type { ShmNative } from '../native/shm.ts'

/** Where a switched event loop answers questions about itself; abstract, so it goes with the process. */
export const CONTROL_PREFIX = 'sockswitch/control/'

/** The largest piece of an answer; one packet each. */
const PIECE_BYTES = 1024

/**
 * Answers whoever of the same user (or root) connects with a report, as JSON in packets, then closes. An answer that the
 * asker does not read fast enough is cut off: this loop never waits.
 */
export function openControl(native: ShmNative, report: () => unknown): void {
  const name = `${CONTROL_PREFIX}${String(process.pid)}.${String(threadId)}`
  const listener = native.listen(name)
  // Without it only `sockswitch ls` misses this process.
  if (listener < 0) return
  new native.Watcher(listener, () => {
    for (let fd = native.accept(listener); fd >= 0; fd = native.accept(listener)) {
      answer(native, fd, report)
    }
  })
}

function answer(native: ShmNative, fd: number, report: () => unknown): void {
  const peer = native.peerCredentials(fd)
  if (typeof peer === 'number' || (peer.uid !== process.getuid?.() && peer.uid !== 0)) {
    native.close(fd)
    return
  }
  const bytes = Buffer.from(JSON.stringify(report()))
  let offset = 0
  const send = (): void => {
    while (offset < bytes.length) {
      const sent = native.send(fd, bytes.subarray(offset, offset + PIECE_BYTES), [])
      if (sent === -EAGAIN) {
        setTimeout(send, 1).unref()
        return
      }
      if (sent !== 0) break
      offset += PIECE_BYTES
    }
    native.close(fd)
  }
  send()
}

const EAGAIN = 11
