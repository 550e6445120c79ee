/** What waits: bytes that nobody reads, and writes for which there is no room. */
import type { Socket } from 'node:net'
import { bytes, digest, happens, listen, serveOne, target, watch } from '../side.ts'
import type { Scenario, Side } from '../side.ts'

const ROUNDS = 20

/** Lets both ends turn: what could happen meanwhile has happened. */
async function askAround(side: Side): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) {
    side.tell(`asked ${i}`)
    await side.hear(`answered ${i}`)
  }
}

async function answerAround(side: Side): Promise<void> {
  for (let i = 0; i < ROUNDS; i++) {
    await side.hear(`asked ${i}`)
    side.tell(`answered ${i}`)
  }
}

async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', (data) => chunks.push(data)).resume()
  await happens(socket, 'end')
  return digest(Buffer.concat(chunks))
}

/** What each of the sockets writes. */
const LETTERS = ['a', 'b']
/** More than any ring, or the kernel, keeps for somebody who does not read. */
const MUCH = 18_000_000

export const WAITING: readonly Scenario[] = [
  {
    name: 'a socket that pauses in the middle is given no more',
    server: (side) =>
      serveOne(side, {}, (socket) => {
        watch(side, socket, 'socket').once('data', () => {
          socket.pause()
          void askAround(side).then(() => {
            side.log(`holds little: ${socket.readableLength < 2_000_000}`)
            socket.resume()
          })
        })
      }),
    async client(side) {
      const socket = watch(side, side.net.connect(await target(side)), 'socket')
      await happens(socket, 'connect')
      socket.end(bytes(MUCH))
      side.log(`bytesWritten ${socket.bytesWritten}`)
      await answerAround(side)
    },
  },
  {
    name: 'text that waits for room is not what other sockets write meanwhile',
    async server(side) {
      const written = side.hear('all is written')
      const server = side.net.createServer()
      const heard = new Promise<Promise<string>[]>((resolve) => {
        const reading: Promise<string>[] = []
        server.on('connection', (socket) => {
          socket.pause()
          if (reading.push(written.then(() => readAll(socket))) === LETTERS.length) resolve(reading)
        })
      })
      await listen(side, server)
      for (const text of (await Promise.all(await heard)).sort()) side.log(text)
      server.close()
    },
    async client(side) {
      const where = await target(side)
      const sockets = LETTERS.map((letter) => ({ letter, socket: side.net.connect(where) }))
      await Promise.all(sockets.map(({ socket }) => happens(socket, 'connect')))
      for (const { letter, socket } of sockets)
        for (let left = MUCH / 2; left > 0; left -= 15_000) socket.write(letter.repeat(15_000))
      side.tell('all is written')
      for (const { socket } of sockets) socket.end()
    },
  },
]
