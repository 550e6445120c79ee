import { fileURLToPath } from 'node:url'
import { HOST, PORT, bytes, client, event, load } from './support.mjs'

const grpc = await load('@grpc/grpc-js')
const loader = await load('@grpc/proto-loader')
const { programs } = grpc.loadPackageDefinition(
  loader.loadSync(fileURLToPath(new URL('echo.proto', import.meta.url))),
)
const echo = new programs.Echo(`${HOST}:${PORT}`, grpc.credentials.createInsecure(), {
  'grpc.max_receive_message_length': 8 << 20,
})
const say = (message, options = {}) =>
  new Promise((resolve, reject) => {
    echo.say(message, new grpc.Metadata(), options, (error, answer) =>
      error ? reject(error) : resolve(answer),
    )
  })

async function all(call) {
  const messages = []
  for await (const message of call) messages.push(message)
  return messages
}

await client({
  async check(note) {
    note('unary', await say({ text: 'ünd', number: 7 }))
    note('large', bytes(3_000_000).equals((await say({ data: bytes(3_000_000) })).data))
    note(
      'failure',
      await say({ text: 'fail' }).catch(({ code, details }) => ({
        code,
        details,
      })),
    )
    note('server stream', (await all(echo.count({ number: 1000 }))).length)
    note(
      'client stream',
      await new Promise((resolve) => {
        const call = echo.sum((_error, answer) => resolve(answer.number))
        for (let at = 0; at < 1000; at += 1) call.write({ number: at })
        call.end()
      }),
    )
    const talk = echo.talk()
    const heard = all(talk)
    for (let at = 0; at < 200; at += 1) talk.write({ number: at, data: bytes(10_000) })
    talk.end()
    note(
      'both',
      (await heard).every(({ number }, at) => number === at),
    )
    const cancelled = echo.count({ number: 100_000 })
    const error = event(cancelled, 'error')
    cancelled.once('data', () => cancelled.cancel()).resume()
    note('cancelled', (await error).code)
    note('late', await say({ text: 'x' }, { deadline: Date.now() - 1000 }).catch(({ code }) => code))
  },
  operation: () => say({ text: 'a short text', number: 1 }),
  lanes: 4,
  close() {
    echo.close()
  },
})
