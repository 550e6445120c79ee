// For every web framework: node:http by hand, fetch, and autocannon as the load.
import http from 'node:http'
import { buffer, text } from 'node:stream/consumers'
import { createHash } from 'node:crypto'
import { HOST, ORIGIN, PORT, bytes, client, event } from './support.mjs'

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 })

async function ask(path, options = {}, body) {
  const request = http.request({
    host: HOST,
    port: PORT,
    path,
    agent,
    ...options,
  })
  request.end(body)
  const response = await event(request, 'response')
  const headers = Object.fromEntries(Object.entries(response.headers).filter(([name]) => name !== 'date'))
  return { status: response.statusCode, headers, response }
}

await client({
  async check(note) {
    for (const path of ['/hello/world?a=1&b=ünd', '/moved', '/fails', '/nowhere'].map(encodeURI)) {
      const { status, headers, response } = await ask(path)
      note(path, {
        status,
        headers: { ...headers, etag: undefined },
        text: await text(response),
      })
    }
    const post = await ask(
      '/echo',
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      '{"a":[1,2,{"b":null}]}',
    )
    note('post', { status: post.status, text: await text(post.response) })
    const large = JSON.stringify({ data: bytes(1_000_000).toString('base64') })
    const echoed = await ask(
      '/echo',
      { method: 'POST', headers: { 'content-type': 'application/json' } },
      large,
    )
    note(
      'large post',
      createHash('sha1')
        .update(await buffer(echoed.response))
        .digest('hex'),
    )
    const { response } = await ask('/large')
    note(
      'large',
      createHash('sha1')
        .update(await buffer(response))
        .digest('hex'),
    )
    const followed = await fetch(`${ORIGIN}/moved`)
    note('fetch', {
      status: followed.status,
      redirected: followed.redirected,
      json: await followed.json(),
    })
    const many = await Promise.all(
      Array.from({ length: 50 }, (_, at) => ask(`/hello/${at}`).then((a) => text(a.response))),
    )
    note('fifty at once', many)
  },
  async operation() {
    const { response } = await ask('/hello/load')
    await buffer(response)
  },
  lanes: 4,
  close() {
    agent.destroy()
  },
})
