/**
 * Runs programs on another machine as if they ran here, for tests between machines: input, output, errors and the end of the
 * program go through one TCP connection; whoever is killed here is killed there.
 *
 *     remote.js serve ADDRESS           on the other machine
 *     remote.js run ADDRESS COMMAND…    here; ends as the command ends
 *     remote.js stop ADDRESS            ends the one that serves
 */
import { spawn } from 'node:child_process'
import net from 'node:net'
import type { Socket } from 'node:net'

const PORT = 7777
/** What a frame from the other machine holds: one byte of these, four of length, then the bytes. */
const STDOUT = 1
const STDERR = 2
const EXIT = 3
const HEAD_BYTES = 5

interface Order {
  /** Empty: stop serving. */
  readonly command: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
}

interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

function frame(kind: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head[0] = kind
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

/** The first line of `socket`, and what came behind it. */
function firstLine(socket: Socket, heard: (line: string, rest: Buffer) => void): void {
  let all = Buffer.alloc(0)
  const take = (chunk: Buffer): void => {
    all = Buffer.concat([all, chunk])
    const end = all.indexOf('\n')
    if (end < 0) return
    socket.off('data', take).pause()
    heard(all.toString('utf8', 0, end), all.subarray(end + 1))
  }
  socket.on('data', take)
}

function obey(socket: Socket, { command: [name = '', ...args], env, cwd }: Order, input: Buffer): void {
  const child = spawn(name, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => undefined)
  child.stdin.write(input)
  socket.pipe(child.stdin)
  child.stdout.on('data', (bytes: Buffer) => socket.write(frame(STDOUT, bytes)))
  child.stderr.on('data', (bytes: Buffer) => socket.write(frame(STDERR, bytes)))
  child.on('error', (error) => socket.write(frame(STDERR, Buffer.from(error.message))))
  child.on('close', (code, signal) => {
    socket.end(frame(EXIT, Buffer.from(JSON.stringify({ code, signal } satisfies Exit))))
  })
  socket.on('close', () => child.kill('SIGKILL'))
}

function serve(address: string): void {
  const server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined)
    firstLine(socket, (line, rest) => {
      const order = JSON.parse(line) as Order
      if (order.command.length === 0) process.exit(0)
      obey(socket, order, rest)
    })
  })
  server.listen(PORT, address)
}

function run(address: string, command: readonly string[]): void {
  const socket = net.connect({ port: PORT, host: address, noDelay: true, allowHalfOpen: true })
  // We are not to be switched ourselves.
  const order: Order = { command, env: { ...process.env, SOCKSWITCH: undefined }, cwd: process.cwd() }
  socket.write(`${JSON.stringify(order)}\n`)
  if (command.length > 0) process.stdin.pipe(socket)
  let exit: Exit = { code: command.length === 0 ? 0 : 1, signal: null }
  let all = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    all = Buffer.concat([all, chunk])
    while (all.length >= HEAD_BYTES && all.length >= HEAD_BYTES + all.readUInt32BE(1)) {
      const end = HEAD_BYTES + all.readUInt32BE(1)
      const bytes = all.subarray(HEAD_BYTES, end)
      if (all[0] === EXIT) exit = JSON.parse(bytes.toString()) as Exit
      else (all[0] === STDOUT ? process.stdout : process.stderr).write(bytes)
      all = all.subarray(end)
    }
  })
  // Our own input may go on for ever.
  socket.on('end', () => socket.destroy())
  socket.on('error', (error) => process.stderr.write(`Cannot reach ${address}: ${error.message}\n`))
  socket.on('close', () => {
    if (exit.signal !== null) process.kill(process.pid, exit.signal)
    process.exit(exit.code ?? 1)
  })
}

const [role, address = '', ...command] = process.argv.slice(2)
if (role === 'serve') serve(address)
else run(address, role === 'run' ? command : [])
