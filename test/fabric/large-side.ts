// A program of its own for large-sends.test.ts: listens over the fabric, checks what each connection brings, and answers as much of
// its own. Every answer begins with what was wrong: 4 bytes, 0 when nothing was. `large-side.js OPTIONS`, JSON.
import type { FabricLimits } from '../../src/providers/fabric/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { fabricAddresses, fabricProvider } from '../support/fabric-provider.ts'
import { Pattern } from '../support/pattern.ts'
import { listening, program } from '../winsock/pair.ts'

const { bytesAtOnce, limits } = JSON.parse(process.argv[2] ?? '{}') as {
  readonly bytesAtOnce: number
  readonly limits: Partial<FabricLimits>
}
const fabric = fabricProvider({ limits })
const one = program(fabric, { schedule: fabric.schedule })
// Providers keep no process alive.
setInterval(() => undefined, 1000)
const { listener, address } = listening(one, { local: await fabricAddresses('IPv4')('listener') })
process.on('message', (question) => {
  if (question === 'reads') {
    process.send?.({ reads: fabric.stats.reads })
    return
  }
  one.winsock.cleanup()
  process.exit()
})
process.send?.({ address })

async function serve(socket: WinsockSocket): Promise<void> {
  const pattern = new Pattern(1)
  const buffer = Buffer.alloc(bytesAtOnce)
  let total = 0
  let damage = 0
  for (let read = -1; read !== 0; total += read) {
    read = await socket.blocking.recv(buffer)
    damage ||= pattern.damageIn(buffer.subarray(0, read), total) === undefined ? 0 : total + 1
  }
  const verdict = Buffer.alloc(4)
  verdict.writeUInt32LE(damage)
  await socket.blocking.send([verdict, new Pattern(2).copy(0, total)])
  socket.closesocket()
}

for (;;) {
  const socket = await listener.blocking.accept()
  // Whoever resets its connection is content with that.
  serve(socket).catch(() => socket.closesocket())
}
