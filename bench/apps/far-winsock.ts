// One end of bench/fabric-reads.ts, over Winsock: `far-winsock.js server HOST LENGTH` swallows what comes, LENGTH bytes at a time;
// `far-winsock.js client HOST PORT LENGTH BYTES` sends so much, LENGTH at a time and two sends ahead. Says what it found as JSON.
import { SD_SEND, winsock } from '../../src/winsock.ts'
import type { Result, WinsockSocket } from '../../src/winsock.ts'

const [role, host = '', port = '0', length = '65536', bytes = '0'] = process.argv.slice(2)
const WARM_UP = 64 << 20
const AHEAD = 2

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function valueOf<T>(result: Result<T>): T {
  if (!result.ok) throw new Error(`Winsock answered ${String(result.error)}`)
  return result.value
}

/** The first connects may find the fabric still coming up, and go over TCP/IP. */
async function open(): Promise<WinsockSocket> {
  for (let attempt = 0; ; attempt++) {
    const socket = valueOf(winsock().socket())
    await socket.blocking.connect({ family: 'IPv4', address: host, port: Number(port) })
    if (socket.provider === 'fabric' || attempt === 50) return socket
    socket.closesocket()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function sendAll(socket: WinsockSocket, total: number): Promise<void> {
  const buffers = Array.from({ length: AHEAD }, () => Buffer.alloc(Number(length), 7))
  let left = total
  const one = async (buffer: Buffer): Promise<void> => {
    while (left > 0) {
      left -= buffer.length
      await socket.blocking.send(buffer)
    }
  }
  await Promise.all(buffers.map(one))
}

async function client(): Promise<void> {
  const socket = await open()
  await sendAll(socket, WARM_UP)
  // The other side says when it has the rest, too.
  const answer = Buffer.alloc(64)
  await socket.blocking.recv(answer)
  const cpu = cpuSeconds()
  const start = performance.now()
  await sendAll(socket, Number(bytes))
  socket.shutdown(SD_SEND)
  const said = await socket.blocking.recv(answer)
  const gigabytes = Number(bytes) / 1e9
  const far = Number(answer.toString('utf8', 0, said))
  console.log(
    JSON.stringify({
      carriedBy: socket.provider,
      gigabytesPerSecond: gigabytes / ((performance.now() - start) / 1e3),
      cpuPerGigabyte: (cpuSeconds() - cpu + far) / gigabytes,
    }),
  )
  socket.closesocket()
}

async function swallow(socket: WinsockSocket): Promise<void> {
  const buffer = Buffer.alloc(Number(port))
  let cpu = 0
  let total = 0
  for (let read = -1; read !== 0;) {
    read = await socket.blocking.recv(buffer)
    const before = total
    total += read
    if (before >= WARM_UP || total < WARM_UP) continue
    await socket.blocking.send(Buffer.from('go'))
    cpu = cpuSeconds()
  }
  await socket.blocking.send(Buffer.from(String(cpuSeconds() - cpu)))
  socket.closesocket()
}

async function serve(): Promise<void> {
  const listener = valueOf(winsock().socket())
  listener.bind({ family: 'IPv4', address: host, port: 0 })
  listener.listen(8)
  console.log(JSON.stringify({ port: valueOf(listener.getsockname()).port }))
  for (;;) swallow(await listener.blocking.accept()).catch(() => undefined)
}

valueOf(winsock().startup())
await (role === 'server' ? serve() : client())
if (role === 'client') winsock().cleanup()
