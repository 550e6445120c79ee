/**
 * Listeners of several processes at one address, made in each of the ways that Node offers. The host does as it is told over
 * stdin; its members, which run this file, too, do as it tells them.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import cluster from 'node:cluster'
import net from 'node:net'
import type { AddressInfo, ListenOptions, Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { obey } from './orders.ts'
import type { Order, Orders } from './orders.ts'

type Way =
  'round robin' | 'shared handle' | 'exclusive' | 'server sent' | 'handle sent' | 'descriptor' | 'reusePort'

const CLUSTERED: readonly string[] = ['round robin', 'shared handle', 'exclusive']
const HOST = '127.0.0.1'
const SCRIPT = fileURLToPath(import.meta.url)

interface Handled extends Server {
  /** Null where it does not listen. */
  readonly _handle: { readonly fd: number } | null
}

/** A server that echoes, and how many connections it has had. */
class Echo {
  readonly server = net.createServer((socket) => {
    this.#take(socket)
  })
  count = 0

  #take(socket: net.Socket): void {
    this.count += 1
    socket.on('error', () => undefined)
    socket.pipe(socket)
  }

  adopt(server: Server): void {
    server.on('connection', (socket) => {
      this.#take(socket)
    })
  }

  listen(options: ListenOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.on('error', reject).listen(options, () => {
        resolve((this.server.address() as AddressInfo).port)
      })
    })
  }
}

// --- members --------------------------------------------------------------------------------------------------------

function beMember(way: Way, port: number): void {
  const echo = new Echo()
  let { server } = echo
  const say = (message: object): void => {
    process.send?.(message)
  }
  const listen = (options: ListenOptions): void => {
    echo.listen(options).then(
      (at) => {
        say({ listening: at })
      },
      (error: unknown) => {
        say({ failed: String(error) })
      },
    )
  }
  const clustered = CLUSTERED.includes(way)
  if (clustered) listen({ host: HOST, port, exclusive: way === 'exclusive' })
  if (way === 'descriptor') listen({ fd: 3 } as ListenOptions)
  if (way === 'reusePort') listen({ host: HOST, port, reusePort: true } as ListenOptions)
  // Whoever holds our output waits for us.
  process.on('disconnect', () => {
    if (cluster.worker?.exitedAfterDisconnect !== true) process.exit(0)
  })
  process.on('message', (order: Order, handle: unknown) => {
    switch (order['command']) {
      case 'serve':
        if (handle instanceof net.Server) {
          server = handle
          echo.adopt(handle)
          say({ listening: port })
        } else {
          listen(handle as ListenOptions)
        }
        break
      case 'count':
        say({ count: echo.count })
        break
      case 'limit':
        server.maxConnections = order['connections'] as number
        say({ limited: true })
        break
      case 'close':
        server.close()
        say({ closed: true })
        break
      case 'disconnect':
        cluster.worker?.disconnect()
        break
      default:
        process.exit(0)
    }
  })
}

// --- the host -------------------------------------------------------------------------------------------------------

/** What members are started with where it is not what the host was. */
const EXEC_ARGV = process.argv.slice(3)
const members: ChildProcess[] = []
const own = new Echo()

/** The next message of `member` that has `key`. */
function heard(member: ChildProcess, key: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const listen = (message: Order): void => {
      if ('failed' in message) reject(new Error(message['failed'] as string))
      if (!(key in message)) return
      member.off('message', listen)
      resolve(message[key])
    }
    member.on('message', listen)
  })
}

async function addMember(way: Way, port: number): Promise<number> {
  const args = ['member', way, String(port)]
  const fd = (own.server as Handled)._handle?.fd
  let member: ChildProcess
  if (CLUSTERED.includes(way)) {
    cluster.setupPrimary({ exec: SCRIPT, args, ...(EXEC_ARGV.length > 0 && { execArgv: EXEC_ARGV }) })
    member = cluster.fork().process
  } else {
    member = fork(SCRIPT, args, {
      stdio: [
        'inherit',
        'inherit',
        'inherit',
        fd === undefined || way !== 'descriptor' ? 'ignore' : fd,
        'ipc',
      ],
    })
  }
  members.push(member)
  const listening = heard(member, 'listening')
  if (way === 'server sent') member.send({ command: 'serve' }, own.server)
  if (way === 'handle sent')
    member.send({ command: 'serve' }, (own.server as Handled)._handle as unknown as Server)
  return (await listening) as number
}

const orders: Orders = {
  async start({ way, count, port: wanted }) {
    if (way === 'shared handle') cluster.schedulingPolicy = cluster.SCHED_NONE
    let port = (wanted as number | undefined) ?? 0
    const options = { host: HOST, port, reusePort: way === 'reusePort' } as ListenOptions
    if (!CLUSTERED.includes(way as Way)) port = await own.listen(options)
    // A cluster knows a listener by what was asked for: all of its workers ask for any port, and get the same.
    const asked = port
    for (let i = 0; i < (count as number); i += 1) port = await addMember(way as Way, asked)
    return { port }
  },
  async more({ way, port }) {
    return { port: await addMember(way as Way, CLUSTERED.includes(way as Way) ? 0 : (port as number)) }
  },
  /** How many connections each has had, the host first. */
  async counts() {
    const living = members.filter((member) => member.connected)
    const counts = await Promise.all(
      living.map((member) => {
        const count = heard(member, 'count')
        member.send({ command: 'count' })
        return count
      }),
    )
    return { counts: [own.count, ...counts] }
  },
  /** Tells a member what to do, and waits until it says that it does. */
  async tell({ member: at, what, answer, ...rest }) {
    const member = members[at as number] as ChildProcess
    const said = heard(member, answer as string)
    member.send({ ...rest, command: what as string })
    await said
    return {}
  },
  /** Ends a member, and waits until it is gone. */
  async end({ member: at, how }) {
    const member = members[at as number] as ChildProcess
    const gone = new Promise((resolve) => member.once('exit', resolve))
    if (how === 'kill') member.kill('SIGKILL')
    else member.send({ command: how as string })
    await gone
    return {}
  },
  stop({ member: at, signal }) {
    members[at as number]?.kill(signal as NodeJS.Signals)
    return Promise.resolve({})
  },
  close() {
    own.server.close()
    return Promise.resolve({})
  },
}

function endMembers(): void {
  for (const member of members) member.kill('SIGKILL')
}

const [, , role, way, port] = process.argv
if (role === 'member') beMember(way as Way, Number(port))
else obey(orders, endMembers)
