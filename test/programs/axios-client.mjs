import http from 'node:http'
import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { ORIGIN, bytes, client, load } from './support.mjs'

const axios = await load('axios')
const httpAgent = new http.Agent({ keepAlive: true })
const api = axios.create({ baseURL: ORIGIN, httpAgent })
const sha1 = (data) => createHash('sha1').update(data).digest('hex')
const failure = (error) => ({
  code: error.code,
  status: error.response?.status,
  message: error.message,
})

await client({
  async check(note) {
    const { status, data } = await api.get('/json')
    note('get', { status, data })
    note('redirect', (await api.get('/moved')).request.path)
    note('gzip', sha1((await api.get('/gzip')).data))
    note('large', sha1((await api.get('/large', { responseType: 'arraybuffer' })).data))
    note('stream', sha1(await buffer((await api.get('/large', { responseType: 'stream' })).data)))
    note('post', (await api.post('/upload', { a: 1 })).data)
    note('upload', (await api.put('/upload', Readable.from([bytes(1_000_000)]))).data)
    note('missing', await api.get('/missing').catch(failure))
    note('cut', await api.get('/cut').catch(failure))
    note('timeout', await api.get('/never', { timeout: 50 }).catch(failure))
    const control = new AbortController()
    setTimeout(() => control.abort(), 20)
    note('aborted', await api.get('/never', { signal: control.signal }).catch(failure))
    const all = await Promise.all(Array.from({ length: 30 }, () => api.get('/json')))
    note(
      'thirty at once',
      all.every((answer) => answer.data.hello === 'world'),
    )
  },
  operation: () => api.get('/json'),
  lanes: 4,
  close() {
    httpAgent.destroy()
  },
})
