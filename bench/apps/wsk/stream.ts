// Sends in one direction with a number of requests under way, ends its direction, and waits for the receiver's account of it.
import { wskBuf } from '../../../src/wsk.ts'
import type { Connection } from '../../../src/wsk.ts'
import { ENDPOINT, fail, readOptions, runClient } from '../control.ts'
import { PatternWriter } from '../pattern.ts'
import { Repeated, open } from './requests.ts'

const options = readOptions({ ...ENDPOINT, size: 65536, bytes: Infinity, duration: 1000, warmup: 1000 })

/** What is under way at least, in bytes, and in requests: there is always one more to go on with. */
const BYTES_UNDER_WAY = 256 << 10
const REQUESTS = Math.max(2, Math.ceil(BYTES_UNDER_WAY / Math.max(options.size, 4096)))

/** @returns the bytes that were sent and arrived intact. */
async function send(connection: Connection, bytes: number, durationMs: number): Promise<number> {
  const { socket } = connection
  const writer = new PatternWriter(options.size)
  const endMs = performance.now() + durationMs
  let sent = 0
  await new Promise<void>((resolve) => {
    let running = REQUESTS
    for (let i = 0; i < REQUESTS; i += 1) {
      const next = (): void => {
        if (sent < bytes && performance.now() < endMs) {
          sent += options.size
          request.again()
          return
        }
        running -= 1
        if (running === 0) resolve()
      }
      const request = new Repeated(
        (irp) => socket.dispatch.WskSend(socket, wskBuf(writer.take()), 0, irp),
        next,
      )
      next()
    }
  })
  await connection.end()
  let answer = ''
  for await (const piece of connection) answer += piece.toString()
  const seen = JSON.parse(answer) as { bytes: number; firstWrongByte: number | null }
  if (seen.firstWrongByte !== null) fail(`byte ${seen.firstWrongByte} of the stream arrived wrong`)
  if (seen.bytes !== sent) fail(`${seen.bytes} bytes arrived of ${sent}`)
  return sent
}

runClient(async () => {
  await send(await open(options), Infinity, options.warmup)
  const connection = await open(options)
  return {
    connections: 1,
    measure: async () => {
      const bytes = await send(connection, options.bytes, options.duration)
      return { units: bytes / 1e9, bytes }
    },
  }
})
