import { Readable } from 'node:stream'
import { HOST, bytes, load, tell } from './support.mjs'

const fastify = await load('fastify')
const app = fastify({ bodyLimit: 4 << 20 })
app.get('/hello/:name', async (request) => ({
  hello: request.params.name,
  query: request.query,
  from: request.ip,
}))
app.post('/echo', async (request, reply) => {
  reply.code(201)
  return { length: JSON.stringify(request.body).length, body: request.body }
})
app.get('/large', (_request, reply) =>
  reply.type('application/octet-stream').send(Readable.from([bytes(3_000_000)])),
)
app.get('/moved', (_request, reply) => reply.redirect('/hello/moved', 302))
app.get('/fails', async (_request, reply) => {
  reply.code(418)
  return 'on purpose'
})
await app.listen({ host: HOST, port: 0 })
tell(app.server.address().port)
