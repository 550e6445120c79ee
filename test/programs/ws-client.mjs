import { HOST, PORT, bytes, client, event, load } from './support.mjs'

const WebSocket = await load('ws')
const open = (path, options) => {
  const socket = new WebSocket(`ws://${HOST}:${PORT}${path}`, options)
  const inbox = []
  const takers = []
  socket.on('message', (data, isBinary) => {
    const taker = takers.shift()
    if (taker) taker({ data, isBinary })
    else inbox.push({ data, isBinary })
  })
  const next = () =>
    inbox.length > 0 ? Promise.resolve(inbox.shift()) : new Promise((resolve) => takers.push(resolve))
  return { socket, next }
}

const main = open('/main', { origin: 'http://origin.test' })

await client({
  async check(note) {
    note('greeting', (await main.next()).data.toString())
    for (const length of [0, 1, 125, 126, 65_535, 65_536, 2_000_000]) {
      main.socket.send(bytes(length))
      const { data, isBinary } = await main.next()
      note(`binary ${length}`, { isBinary, same: bytes(length).equals(data) })
    }
    main.socket.send('text ünd ⚑'.repeat(1000))
    note('text', (await main.next()).data.toString().length)
    main.socket.ping('are you there')
    note('pong', (await event(main.socket, 'pong')).toString())
    for (let at = 0; at < 500; at += 1) main.socket.send(String(at))
    let inOrder = true
    for (let at = 0; at < 500; at += 1) inOrder &&= (await main.next()).data.toString() === String(at)
    note('in order', inOrder)
    const plain = open('/plain', { perMessageDeflate: false })
    note('greeting', (await plain.next()).data.toString())
    plain.socket.send('close me')
    const code = await event(plain.socket, 'close')
    note('closed with', code)
    if (typeof globalThis.WebSocket === 'function') {
      const built = new globalThis.WebSocket(`ws://${HOST}:${PORT}/built-in`)
      note(
        'built-in',
        await new Promise((resolve) => {
          built.onmessage = ({ data }) => resolve(data)
        }),
      )
      built.close()
    }
  },
  async operation() {
    main.socket.send('a message of the usual length, give or take')
    await main.next()
  },
  close() {
    main.socket.terminate()
  },
})
