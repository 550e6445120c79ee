// Sends a message, waits until all of it came back, checks it, sends the next; one round trip at a time.
import { WSK_FLAG_WAITALL, wskBuf } from '../../../src/wsk.ts'
import type { Connection } from '../../../src/wsk.ts'
import { ENDPOINT, fail, readOptions, runClient } from '../control.ts'
import { createLatency, recordMs, summarize } from '../latency.ts'
import { PatternWriter } from '../pattern.ts'
import { Repeated, open } from './requests.ts'

const options = readOptions({ ...ENDPOINT, size: 64, count: Infinity, duration: 1000, warmup: 300 })

/** Both limits apply; whichever is met first ends the run. */
interface Limits {
  readonly count: number
  readonly durationMs: number
}

class PingPong {
  readonly #messages = new PatternWriter(options.size)
  readonly #answer = Buffer.alloc(options.size)
  readonly #receive: Repeated
  readonly #send: Repeated
  #message: Buffer = Buffer.alloc(0)
  #sentAtMs = 0
  #onRoundTrip: (ms: number) => boolean = () => false

  constructor({ socket }: Connection) {
    const room = wskBuf(this.#answer)
    this.#receive = new Repeated(
      (irp) => socket.dispatch.WskReceive(socket, room, WSK_FLAG_WAITALL, irp),
      (bytes) => {
        this.#take(bytes)
      },
    )
    this.#send = new Repeated(
      (irp) => socket.dispatch.WskSend(socket, wskBuf(this.#message), 0, irp),
      () => undefined,
    )
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
      this.#next()
    })
  }

  #next(): void {
    this.#message = this.#messages.take()
    this.#sentAtMs = performance.now()
    this.#send.again()
    this.#receive.again()
  }

  #take(bytes: number): void {
    // The clock stops before the check, so that checking costs no latency.
    const ms = performance.now() - this.#sentAtMs
    if (bytes !== this.#message.length) fail(`${bytes} bytes came back, not ${this.#message.length}`)
    if (!this.#answer.equals(this.#message)) fail('a wrong byte came back')
    if (this.#onRoundTrip(ms)) this.#next()
  }
}

runClient(async () => {
  const pingPong = new PingPong(await open(options))
  await pingPong.run({ count: Infinity, durationMs: options.warmup })
  return {
    connections: 1,
    measure: async () => {
      const latency = await pingPong.run({ count: options.count, durationMs: options.duration })
      return { units: latency.totalCount, ...summarize(latency) }
    },
  }
})
