// Connects, sends one byte, waits for its echo, closes, and begins again, on a few lanes side by side.
import { connect } from 'node:net'
import { ENDPOINT, endpointOf, fail, readOptions, runClient } from './control.ts'
import { createLatency, recordMs, summarize } from './latency.ts'

/** `count` keeps a run below the number of free ports: closed TCP connections hold theirs for a while. */
const options = readOptions({ ...ENDPOINT, concurrency: 1, count: 12_000, duration: 1000, warmup: 1000 })

let serial = 0

function connectOnce(): Promise<void> {
  return new Promise((resolve) => {
    serial = (serial + 1) % 256
    const byte = serial
    let echoed = false
    const socket = connect(endpointOf(options), () => {
      socket.write(Buffer.of(byte))
    })
    socket.on('data', (chunk) => {
      if (echoed || chunk.length !== 1 || chunk[0] !== byte)
        fail('the byte that came back is not the one sent')
      echoed = true
      socket.end()
    })
    socket.on('error', fail)
    socket.on('close', () => {
      if (!echoed) fail('the connection closed before the byte came back')
      resolve()
    })
  })
}

async function run(count: number, durationMs: number) {
  const latency = createLatency()
  const endMs = performance.now() + durationMs
  let left = count
  const lane = async () => {
    let nowMs = performance.now()
    while (left > 0 && nowMs < endMs) {
      left -= 1
      const startMs = nowMs
      await connectOnce()
      nowMs = performance.now()
      recordMs(latency, nowMs - startMs)
    }
  }
  await Promise.all(Array.from({ length: options.concurrency }, lane))
  return latency
}

runClient(async () => {
  await run(options.count, options.warmup)
  return {
    connections: options.concurrency,
    measure: async () => {
      const latency = await run(options.count, options.duration)
      return { units: latency.totalCount, ...summarize(latency) }
    },
  }
})
