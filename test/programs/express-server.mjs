import { createServer } from 'node:http'
import { bytes, load, serve } from './support.mjs'

const express = await load('express')
const app = express()
app.use(express.json({ limit: '4mb' }))
app.get('/hello/:name', (request, response) => {
  response.json({
    hello: request.params.name,
    query: request.query,
    from: request.ip,
  })
})
app.post('/echo', (request, response) => {
  response.status(201).json({ length: JSON.stringify(request.body).length, body: request.body })
})
app.get('/large', (_request, response) => {
  response.type('application/octet-stream').send(bytes(3_000_000))
})
app.get('/moved', (_request, response) => {
  response.redirect(302, '/hello/moved')
})
app.get('/fails', () => {
  throw Object.assign(new Error('on purpose'), { status: 418 })
})
app.use((error, _request, response, next) => {
  void next
  response.status(error.status ?? 500).send(error.message)
})
serve(createServer(app))
