// An echo server in a process of its own, over a provider in which chosen calls fail: says where it listens, ends when told.
import { fault } from '../../src/providers/wrap/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { listening, program } from './pair.ts'

const plan = JSON.parse(process.argv[2] ?? '[]') as Fault[]
const shm = shmProvider()
const one = program(fault(shm, { plan }), { schedule: shm.schedule })
shm.keepAlive(true)
const { listener, address } = listening(one, { backlog: 64 })
process.on('message', () => {
  one.winsock.cleanup()
  process.exit()
})
process.send?.({ address })

async function echo(socket: WinsockSocket): Promise<void> {
  const buffer = Buffer.alloc(1 << 16)
  try {
    for (;;) {
      const length = await socket.blocking.recv(buffer)
      if (length === 0) break
      await socket.blocking.send(buffer.subarray(0, length))
    }
  } catch {
    // What was sent may be lost: its other end must not take this for a good end.
    socket.setsockopt('SO_LINGER', 0)
  }
  socket.closesocket()
}

for (;;) void echo(await listener.blocking.accept())
