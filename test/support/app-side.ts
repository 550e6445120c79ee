/** The app's end of the conversation with the test that started it: JSON lines on stdin and stdout. */
import { createInterface } from 'node:readline'

/** Writes one JSON line. Pipes are written at once on Linux, so that nothing is lost by an exit right after it. */
export function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/**
 * Calls `hear` for each JSON line of the test. Listening alone does not keep the app running ({@link stay} does).
 * When the test is gone, the app ends.
 */
export function onHeard(hear: (message: Readonly<Record<string, unknown>>) => void): void {
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    hear(JSON.parse(line) as Record<string, unknown>)
  })
  lines.on('close', () => process.exit(3))
  process.stdin.unref()
}

let reasonsToStay = 0

/** Keeps the app running until as many calls of {@link leave} as of this one. Call it after {@link onHeard}. */
export function stay(): void {
  reasonsToStay += 1
  if (reasonsToStay === 1) process.stdin.ref()
}

export function leave(): void {
  reasonsToStay -= 1
  if (reasonsToStay === 0) process.stdin.unref()
}
