import http from 'node:http'
import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { Readable, PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { ORIGIN, bytes, client, load } from './support.mjs'

const got = await load('got')
const agent = { http: new http.Agent({ keepAlive: true }) }
const api = got.extend({
  prefixUrl: ORIGIN,
  agent,
  retry: { limit: 1, backoffLimit: 1 },
})
const sha1 = (data) => createHash('sha1').update(data).digest('hex')
const failure = (error) => ({
  name: error.name,
  code: error.code,
  status: error.response?.statusCode,
})

await client({
  async check(note) {
    note('json', await api('json').json())
    const moved = await api('moved')
    note('redirect', {
      path: new URL(moved.url).pathname,
      redirects: moved.redirectUrls.length,
    })
    note('gzip', sha1(await api('gzip').text()))
    note('large', sha1(await api('large').buffer()))
    note('post', await api.post('upload', { json: { a: 1 } }).json())
    const sink = new PassThrough()
    const answer = buffer(sink)
    await pipeline(Readable.from([bytes(1_000_000)]), api.stream.put('upload'), sink)
    note('upload', (await answer).toString())
    note('missing', await api('missing').catch(failure))
    note('retried', { text: await api('flaky').text() })
    note('cut', await api('cut', { retry: { limit: 0 } }).catch(failure))
    note(
      'timeout',
      await api('never', {
        timeout: { request: 50 },
        retry: { limit: 0 },
      }).catch(failure),
    )
    const response = await api('json')
    note('timings', Object.keys(response.timings.phases).sort())
    note('address', response.ip)
  },
  operation: () => api('json').json(),
  lanes: 4,
  close() {
    agent.http.destroy()
  },
})
