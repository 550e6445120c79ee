/** Many connections at once over `node:net`: connects, then, when told, sends and verifies, then, when told, leaves. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { createInterface } from 'node:readline'

const [port = 0, count = 0, bytes = 0] = process.argv.slice(2).map(Number)
const orders = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

function say(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

async function open(): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

async function verify(socket: Socket, at: number): Promise<number> {
  const out = Buffer.alloc(bytes, `connection ${at}, `)
  const back: Buffer[] = []
  let left = out.length
  const echoed = new Promise<void>((resolve, reject) => {
    socket.on('data', (piece) => {
      back.push(piece)
      left -= piece.length
      if (left <= 0) resolve()
    })
    socket.once('close', () => {
      reject(new Error(`connection ${at} ended early`))
    })
  })
  socket.write(out)
  await echoed
  if (!Buffer.concat(back).equals(out)) throw new Error(`other bytes came back over connection ${at}`)
  return bytes
}

const sockets: Socket[] = []
while (sockets.length < count) {
  sockets.push(...(await Promise.all(Array.from({ length: Math.min(50, count - sockets.length) }, open))))
}
say({ event: 'connected', connections: sockets.length })
await orders.next()
const verified = await Promise.all(sockets.map(verify))
say({ event: 'verified', bytes: verified.reduce((sum, one) => sum + one, 0) })
await orders.next()
await Promise.all(
  sockets.map(async (socket) => {
    socket.removeAllListeners('close').end()
    await once(socket, 'close')
  }),
)
process.exit(0)
