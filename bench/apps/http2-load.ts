// Loads an HTTP/2 server: each connection asks, reads the answer and asks again.
import { connect } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { setTimeout } from 'node:timers/promises'
import { CERT } from '../../test/support/certificate.ts'
import { ENDPOINT, fail, readOptions, runClient } from './control.ts'
import { createLatency, recordMs, summarize } from './latency.ts'

const options = readOptions({
  ...ENDPOINT,
  protocol: 'http2',
  connections: 1,
  duration: 1000,
  warmup: 500,
  body: 'Hello, world!\n',
})

runClient(async () => {
  const scheme = options.protocol === 'h2c' ? 'http' : 'https'
  let latency = createLatency()
  let over = false

  const ask = (session: ClientHttp2Session): void => {
    const startMs = performance.now()
    const request = session.request({ ':path': '/' })
    let status = 0
    let body = ''
    request.setEncoding('latin1')
    request.on('response', (headers) => {
      status = headers[':status'] ?? 0
    })
    request.on('data', (text: string) => {
      body += text
    })
    request.on('end', () => {
      recordMs(latency, performance.now() - startMs)
      if (status !== 200 || body !== options.body) fail(`a wrong answer: ${String(status)} "${body}"`)
      if (!over) ask(session)
    })
  }

  const sessions = Array.from({ length: options.connections }, () =>
    connect(`${scheme}://${options.host}:${options.port}`, { ca: CERT, servername: 'localhost' }),
  )
  for (const session of sessions) {
    session.on('error', fail)
    ask(session)
  }
  await setTimeout(options.warmup)
  return {
    connections: options.connections,
    measure: async () => {
      latency = createLatency()
      await setTimeout(options.duration)
      return { units: latency.totalCount, ...summarize(latency) }
    },
    finish: async () => {
      over = true
      await setTimeout(50)
    },
  }
})
