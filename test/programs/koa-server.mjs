import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { Readable } from 'node:stream'
import { bytes, load, serve } from './support.mjs'

const Koa = await load('koa')
const app = new Koa()
app.silent = true
app.use(async (context) => {
  const { path, method } = context
  if (path.startsWith('/hello/')) {
    context.body = {
      hello: path.slice('/hello/'.length),
      query: context.query,
      from: context.ip,
    }
  } else if (path === '/echo' && method === 'POST') {
    const body = JSON.parse(await text(context.req))
    context.status = 201
    context.body = { length: JSON.stringify(body).length, body }
  } else if (path === '/large') {
    context.type = 'application/octet-stream'
    context.body = Readable.from([bytes(3_000_000)])
  } else if (path === '/moved') {
    context.redirect('/hello/moved')
  } else if (path === '/fails') {
    context.throw(418, 'on purpose')
  }
})
serve(createServer(app.callback()))
