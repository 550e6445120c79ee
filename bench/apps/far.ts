// One end of bench/fabric.ts: `far.js server HOST` echoes at one port and swallows at the next; `far.js client HOST PORT
// ROUNDS BYTES WARM-UP` measures round trips of 64 bytes, then one way in writes of 64 KiB. Says what it found as JSON.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { createLatency, recordMs, summarize } from './latency.ts'

const [role, host = '', port = '0', rounds = '0', bytes = '0', warmUp = '3000'] = process.argv.slice(2)
const PIECE = Buffer.alloc(65_536, 7)

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** The first connects may find the fabric still coming up, and go over TCP/IP. */
async function open(at: number): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect({ host, port: at, noDelay: true, allowHalfOpen: true })
    await once(socket, 'connect')
    const { fd } = (socket as Socket & { _handle: { fd: number } })._handle
    if (fd === -1 || process.env['SOCKSWITCH_FABRIC'] === undefined || attempt === 50) return socket
    socket.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function roundTrips(): Promise<object> {
  const socket = await open(Number(port))
  const message = Buffer.alloc(64, 1)
  const latency = createLatency()
  let cpu = 0
  for (let round = -Number(warmUp); round < Number(rounds); round++) {
    if (round === 0) cpu = cpuSeconds()
    const sent = performance.now()
    socket.write(message)
    await once(socket, 'data')
    if (round >= 0) recordMs(latency, performance.now() - sent)
  }
  const { p50Us, p99Us } = summarize(latency)
  const cpuUs = ((cpuSeconds() - cpu) * 1e6) / Number(rounds)
  const { fd } = (socket as Socket & { _handle: { fd: number } })._handle
  socket.destroy()
  return { carriedBy: fd === -1 ? 'fabric' : 'tcpip', p50Us, p99Us, cpuUs }
}

async function oneWay(): Promise<object> {
  const socket = await open(Number(port) + 1)
  const cpu = cpuSeconds()
  const start = performance.now()
  for (let left = Number(bytes); left > 0; left -= PIECE.length) {
    if (!socket.write(PIECE)) await once(socket, 'drain')
  }
  socket.end()
  const [far] = (await once(socket, 'data')) as [Buffer]
  const gigabytes = Number(bytes) / 1e9
  return {
    gigabytesPerSecond: gigabytes / ((performance.now() - start) / 1e3),
    cpuPerGigabyte: (cpuSeconds() - cpu + Number(String(far))) / gigabytes,
  }
}

function serve(): void {
  const ignore = (socket: Socket): Socket => socket.on('error', () => undefined)
  const echo = createServer({ noDelay: true }, (socket) => ignore(socket).pipe(socket))
  echo.listen(0, host, () => {
    const at = (echo.address() as AddressInfo).port
    const sink = createServer({ allowHalfOpen: true }, (socket) => {
      const cpu = cpuSeconds()
      ignore(socket)
        .on('end', () => socket.end(String(cpuSeconds() - cpu)))
        .resume()
    })
    sink.listen(at + 1, host, () => {
      console.log(JSON.stringify({ port: at }))
    })
  })
}

if (role === 'server') serve()
else console.log(JSON.stringify({ ...(await roundTrips()), ...(await oneWay()) }))
