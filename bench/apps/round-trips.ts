// What the ping-pong programs share: one message after the other, and how long each took to come back.
import type { Histogram } from 'hdr-histogram-js'
import { ENDPOINT, readOptions, runClient } from './control.ts'
import { createLatency, recordMs, summarize } from './latency.ts'
import { PatternWriter } from './pattern.ts'

export const options = readOptions({ ...ENDPOINT, size: 64, count: Infinity, duration: 1000, warmup: 300 })

/** Both limits apply; whichever is met first ends the run. */
interface Limits {
  readonly count: number
  readonly durationMs: number
}

/** Sends a message, waits until all of it came back, sends the next; one round trip at a time. */
export class RoundTrips {
  readonly #messages = new PatternWriter(options.size)
  readonly #send: (message: Buffer) => void
  #message: Buffer = Buffer.alloc(0)
  #sentAtMs = 0
  #onRoundTrip: (ms: number) => boolean = () => false

  constructor(send: (message: Buffer) => void) {
    this.#send = send
  }

  /** The one that is under way. */
  get message(): Buffer {
    return this.#message
  }

  run({ count, durationMs }: Limits): Promise<Histogram> {
    const latency = createLatency()
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
      this.#next()
    })
  }

  #next(): void {
    this.#message = this.#messages.take()
    this.#sentAtMs = performance.now()
    this.#send(this.#message)
  }

  /** All of the message is back. The clock stops before the check, so that checking costs no latency. */
  back(check: () => void): void {
    const ms = performance.now() - this.#sentAtMs
    check()
    if (this.#onRoundTrip(ms)) this.#next()
  }
}

/** The whole program. */
export function runPingPong(connect: () => Promise<RoundTrips>): void {
  runClient(async () => {
    const trips = await connect()
    await trips.run({ count: Infinity, durationMs: options.warmup })
    return {
      connections: 1,
      measure: async () => {
        const latency = await trips.run({ count: options.count, durationMs: options.duration })
        return { units: latency.totalCount, ...summarize(latency) }
      },
    }
  })
}
