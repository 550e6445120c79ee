/**
 * `sockswitch/net`: `node:net` with the switch under the sockets and servers made here, and only under them. Everything
 * that is not about making them is Node's own.
 */
import net from 'node:net'
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'

export { BlockList, SocketAddress, isIP, isIPv4, isIPv6 } from 'node:net'
export type * from 'node:net'

let warned = false

function claim(owner: object): void {
  const whole = processSwitch()
  if ('unavailable' in whole) {
    if (!warned) warnUnavailable(whole.unavailable)
    warned = true
    return
  }
  whole.install(false)
  whole.claim(owner)
}

/** A `net.Socket` whose connections the switch may carry over a SAN. */
export class Socket extends net.Socket {
  constructor(options?: net.SocketConstructorOpts) {
    super(options)
    claim(this)
  }
}

/** A `net.Server` that listens on the SAN providers, too. */
export class Server extends net.Server {
  constructor(...args: ConstructorParameters<typeof net.Server>) {
    super(...args)
    claim(this)
  }
}

/** As `net.createServer`. */
export function createServer(...args: Parameters<typeof net.createServer>): Server {
  return new Server(...(args as ConstructorParameters<typeof net.Server>))
}

type ConnectArguments = Parameters<typeof net.connect>

/** As `net.connect`: `(options, listener?)`, `(port, host?, listener?)` or `(path, listener?)`. */
export function connect(...args: ConnectArguments): Socket
export function connect(port: number, host: string, connectionListener?: () => void): Socket
export function connect(portOrPath: number | string, connectionListener?: () => void): Socket
export function connect(...args: unknown[]): Socket {
  const [first] = args
  const options = typeof first === 'object' && first !== null ? (first as net.NetConnectOpts) : undefined
  const socket = new Socket(options)
  if (options?.timeout) socket.setTimeout(options.timeout)
  return (socket.connect as (...args: unknown[]) => Socket)(...args)
}

export const createConnection = connect

const face = { ...net, Socket, Server, Stream: Socket, createServer, connect, createConnection }
export default face
