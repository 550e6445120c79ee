// The part of autocannon that http-load.ts uses; the package ships no types.
declare module 'autocannon' {
  import type { EventEmitter } from 'node:events'

  namespace autocannon {
    interface Options {
      url: string
      socketPath?: string
      connections?: number
      /** Seconds. */
      duration?: number
      /** Milliseconds between samples; a stop takes effect at the next one. */
      sampleInt?: number
      expectBody?: string
    }

    interface Result {
      errors: number
      timeouts: number
      mismatches: number
      non2xx: number
    }

    interface Instance extends EventEmitter {
      on(
        event: 'response',
        listener: (client: unknown, statusCode: number, bytes: number, responseMs: number) => void,
      ): this
      on(event: 'reqError', listener: (error: Error) => void): this
      stop(): void
    }
  }

  function autocannon(
    options: autocannon.Options,
    done: (error: Error | null, result: autocannon.Result) => void,
  ): autocannon.Instance
  export default autocannon
}
