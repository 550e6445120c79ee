import { fileURLToPath } from 'node:url'
import { HOST, load, tell } from './support.mjs'

const grpc = await load('@grpc/grpc-js')
const loader = await load('@grpc/proto-loader')
const { programs } = grpc.loadPackageDefinition(
  loader.loadSync(fileURLToPath(new URL('echo.proto', import.meta.url))),
)
const server = new grpc.Server({ 'grpc.max_receive_message_length': 8 << 20 })
server.addService(programs.Echo.service, {
  say({ request }, callback) {
    if (request.text === 'fail') callback({ code: grpc.status.FAILED_PRECONDITION, details: 'as asked' })
    else callback(null, request)
  },
  count(call) {
    for (let at = 0; at < call.request.number; at += 1) call.write({ text: `number ${at}`, number: at })
    call.end()
  },
  sum(call, callback) {
    let number = 0
    call.on('data', (message) => {
      number += message.number
    })
    call.on('end', () => callback(null, { text: 'sum', number }))
  },
  talk(call) {
    call.on('data', (message) => call.write(message))
    call.on('end', () => call.end())
  },
})
server.bindAsync(`${HOST}:0`, grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error
  tell(port)
})
