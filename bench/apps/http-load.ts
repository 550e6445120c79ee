// Loads an HTTP server with autocannon. The connections that are measured are those that were warmed up.
import autocannon from 'autocannon'
import { setTimeout } from 'node:timers/promises'
import { ENDPOINT, fail, readOptions, runClient } from './control.ts'
import { createLatency, recordMs, summarize } from './latency.ts'

const options = readOptions({
  ...ENDPOINT,
  connections: 1,
  duration: 1000,
  warmup: 500,
  body: 'Hello, world!\n',
  protocol: 'http',
})

/** Longer than any run; the run is ended by `stop`. */
const FOREVER_S = 600

runClient(async () => {
  let latency = createLatency()
  let load: autocannon.Instance | undefined
  const finished = new Promise<autocannon.Result>((resolve, reject) => {
    load = autocannon(
      {
        url:
          options.path === '' ? `${options.protocol}://${options.host}:${options.port}` : 'http://localhost',
        ...(options.path === '' ? {} : { socketPath: options.path }),
        connections: options.connections,
        duration: FOREVER_S,
        sampleInt: 50,
        expectBody: options.body,
      },
      (error, result) => {
        if (error) reject(error)
        else resolve(result)
      },
    )
    load.on('response', (_client, _statusCode, _bytes, responseMs) => {
      recordMs(latency, responseMs)
    })
    load.on('reqError', fail)
  })
  await setTimeout(options.warmup)
  return {
    connections: options.connections,
    measure: async () => {
      latency = createLatency()
      await setTimeout(options.duration)
      return { units: latency.totalCount, ...summarize(latency) }
    },
    finish: async () => {
      load?.stop()
      const { errors, timeouts, mismatches, non2xx } = await finished
      if (errors + timeouts + mismatches + non2xx > 0) {
        fail(`${errors} errors, ${timeouts} timeouts, ${mismatches} wrong bodies, ${non2xx} wrong statuses`)
      }
    },
  }
})
