import { createHash } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { ORIGIN, bytes, client, load } from './support.mjs'

const { Agent, Client, Pool, fetch, request, stream, pipeline, setGlobalDispatcher } = await load('undici')
setGlobalDispatcher(new Agent({ connections: 8 }))
const sha1 = (data) => createHash('sha1').update(data).digest('hex')
const pool = new Pool(ORIGIN, { connections: 4, pipelining: 10 })

await client({
  async check(note) {
    const { statusCode, body } = await request(`${ORIGIN}/json`)
    note('request', { statusCode, json: await body.json() })
    note('fetch', await (await fetch(`${ORIGIN}/moved`)).json())
    note('gzip', sha1(await (await fetch(`${ORIGIN}/gzip`)).text()))
    const sink = new PassThrough()
    const received = buffer(sink)
    await stream(`${ORIGIN}/large`, { opaque: sink }, ({ opaque }) => opaque)
    note('stream', sha1(await received))
    const put = pipeline(`${ORIGIN}/upload`, { method: 'PUT' }, ({ body: answer }) => answer)
    put.end(bytes(2_000_000))
    note('pipeline', (await buffer(put)).toString())
    const one = new Client(ORIGIN, { pipelining: 5 })
    const all = await Promise.all(
      Array.from({ length: 30 }, () =>
        one.request({ path: '/json', method: 'GET' }).then((r) => r.body.text()),
      ),
    )
    note('pipelined', all.length)
    await one.close()
    note(
      'cut',
      await request(`${ORIGIN}/cut`)
        .then((r) => r.body.text())
        .catch((error) => error.code ?? error.message),
    )
    const control = new AbortController()
    setTimeout(() => control.abort(), 20)
    note('aborted', await fetch(`${ORIGIN}/never`, { signal: control.signal }).catch((error) => error.name))
    note('timeout', await request(`${ORIGIN}/never`, { headersTimeout: 50 }).catch((error) => error.code))
  },
  async operation() {
    const { body } = await pool.request({ path: '/json', method: 'GET' })
    await body.text()
  },
  lanes: 8,
  close: () => pool.destroy(),
})
