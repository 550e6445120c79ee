// Opens many connections, uses each once, lets them all rest, and at the end proves that each still works.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { collectGarbage, ENDPOINT, endpointOf, fail, readOptions, runClient } from './control.ts'

const options = readOptions({ ...ENDPOINT, count: 200, duration: 5000, warmup: 500 })

/** Connections opened or used at the same time. */
const LANES = 64

async function eachOfMany(count: number, step: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await step(next++)
  }
  await Promise.all(Array.from({ length: LANES }, lane))
}

async function echoByte(socket: Socket, byte: number): Promise<void> {
  socket.write(Buffer.of(byte))
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  if (chunk.length !== 1 || chunk[0] !== byte) fail('the byte that came back is not the one sent')
}

async function open(index: number): Promise<Socket> {
  const socket = connect(endpointOf(options))
  socket.on('error', fail)
  await once(socket, 'connect')
  await echoByte(socket, index % 256)
  socket.on('close', () => fail('the server closed an idle connection'))
  return socket
}

// Once before memory is first looked at, because the means to collect takes memory itself.
collectGarbage()
runClient(async () => {
  const sockets: Socket[] = []
  await eachOfMany(options.count, async (index) => {
    sockets.push(await open(index))
  })
  await setTimeout(options.warmup)
  collectGarbage()
  return {
    connections: sockets.length,
    measure: async () => {
      await setTimeout(options.duration)
      return { units: sockets.length }
    },
    finish: () => eachOfMany(sockets.length, (index) => echoByte(sockets[index]!, index % 256)),
  }
})
