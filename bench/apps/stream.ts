// Writes in one direction as fast as backpressure allows, half-closes, and waits for the receiver's account of it.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { ENDPOINT, endpointOf, fail, readOptions, runClient } from './control.ts'
import { PatternWriter } from './pattern.ts'

const options = readOptions({ ...ENDPOINT, size: 65536, bytes: Infinity, duration: 1000, warmup: 1000 })

/** Writes between two turns of the event loop, so that a fast receiver cannot keep this program from its timers. */
const WRITES_PER_TURN = 64

async function open(): Promise<Socket> {
  const socket = connect(endpointOf(options))
  socket.on('error', fail)
  await once(socket, 'connect')
  return socket
}

/** @returns the bytes that were sent and arrived intact. */
async function send(socket: Socket, bytes: number, durationMs: number): Promise<number> {
  const answer = text(socket)
  const writer = new PatternWriter(options.size)
  const endMs = performance.now() + durationMs
  let sent = 0
  while (sent < bytes && performance.now() < endMs) {
    let writes = 0
    let writable = true
    while (writable && writes < WRITES_PER_TURN && sent < bytes) {
      writable = socket.write(writer.take())
      sent += options.size
      writes += 1
    }
    await (writable ? setImmediate() : once(socket, 'drain'))
  }
  socket.end()
  const seen = JSON.parse(await answer) as { bytes: number; firstWrongByte: number | null }
  if (seen.firstWrongByte !== null) fail(`byte ${seen.firstWrongByte} of the stream arrived wrong`)
  if (seen.bytes !== sent) fail(`${seen.bytes} bytes arrived of ${sent}`)
  return sent
}

runClient(async () => {
  await send(await open(), Infinity, options.warmup)
  const socket = await open()
  return {
    connections: 1,
    measure: async () => {
      const bytes = await send(socket, options.bytes, options.duration)
      return { units: bytes / 1e9, bytes }
    },
  }
})
