// Sends a message, waits until all of it came back, checks it, sends the next; one round trip at a time.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { ENDPOINT, endpointOf, fail, readOptions, runClient } from './control.ts'
import { createLatency, recordMs, summarize } from './latency.ts'
import { PatternWriter } from './pattern.ts'

const options = readOptions({ ...ENDPOINT, size: 64, count: Infinity, duration: 1000, warmup: 300 })

/** Both limits apply; whichever is met first ends the run. */
interface Limits {
  readonly count: number
  readonly durationMs: number
}

class PingPong {
  readonly #socket: Socket
  readonly #messages: PatternWriter
  #pieces: Buffer[] = []
  #received = 0
  #message: Buffer = Buffer.alloc(0)
  #sentAtMs = 0
  #onRoundTrip: (ms: number) => boolean = () => false

  constructor(socket: Socket, messages: PatternWriter) {
    this.#socket = socket
    this.#messages = messages
    socket.on('data', (piece) => {
      this.#take(piece)
    })
  }

  run({ count, durationMs }: Limits, latency = createLatency()): Promise<typeof latency> {
    const endMs = performance.now() + durationMs
    let left = count
    return new Promise((resolve) => {
      this.#onRoundTrip = (ms) => {
        recordMs(latency, ms)
        left -= 1
        const more = left > 0 && this.#sentAtMs + ms < endMs
        if (!more) resolve(latency)
        return more
      }
      this.#send()
    })
  }

  #send(): void {
    this.#message = this.#messages.take()
    this.#sentAtMs = performance.now()
    this.#socket.write(this.#message)
  }

  #take(piece: Buffer): void {
    this.#pieces.push(piece)
    this.#received += piece.length
    if (this.#received < this.#message.length) return
    // The clock stops before the check, so that checking costs no latency.
    const ms = performance.now() - this.#sentAtMs
    this.#check()
    if (this.#onRoundTrip(ms)) this.#send()
  }

  #check(): void {
    if (this.#received !== this.#message.length)
      fail(`${this.#received} bytes came back, not ${this.#message.length}`)
    let at = 0
    for (const piece of this.#pieces) {
      if (this.#message.compare(piece, 0, piece.length, at, at + piece.length) !== 0) {
        fail(`a wrong byte came back after byte ${at} of a message`)
      }
      at += piece.length
    }
    this.#pieces = []
    this.#received = 0
  }
}

runClient(async () => {
  const socket = connect({ ...endpointOf(options), noDelay: true })
  socket.on('error', fail)
  socket.on('close', () => fail('the server closed the connection'))
  await once(socket, 'connect')
  const pingPong = new PingPong(socket, new PatternWriter(options.size))
  await pingPong.run({ count: Infinity, durationMs: options.warmup })
  return {
    connections: 1,
    measure: async () => {
      const latency = await pingPong.run({ count: options.count, durationMs: options.duration })
      return { units: latency.totalCount, ...summarize(latency) }
    },
  }
})
