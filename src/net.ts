/**
 * `sockswitch/net`: `node:net` with the switch under the sockets and servers made here, and only under them. Everything
 * that is not about making them is Node's own.
 */
import diagnostics from 'node:diagnostics_channel'
import net from 'node:net'
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'
import { inspectConnections } from './faces/net/held-arrivals.ts'
import type { Inspect } from './faces/net/inspect.ts'

export { BlockList, SocketAddress, isIP, isIPv4, isIPv6 } from 'node:net'
export type * from 'node:net'
export type { Inspect, InspectRequest, Inspection } from './faces/net/inspect.ts'

/**
 * Lets the switch carry what somebody else has made: a server that does not listen yet, or a socket that does not connect yet,
 * such as that of `https.createServer` or `tls.connect`. Sockets begin to connect in the next tick at the earliest.
 *
 * @throws when it is something else, or the server listens already.
 */
export function claim<T extends net.Server | net.Socket>(owner: T): T {
  if (!(owner instanceof net.Server || owner instanceof net.Socket))
    throw new TypeError('Cannot claim: it is neither a server nor a socket of node:net')
  if (owner instanceof net.Server && owner.listening)
    throw new Error('Cannot claim: the server listens already')
  enlist(owner)
  return owner
}

function enlist(owner: object): void {
  const whole = processSwitch()
  if ('unavailable' in whole) {
    warnUnavailable(whole.unavailable)
    return
  }
  whole.install(false)
  whole.claim(owner)
}

/** A `net.Socket` whose connections the switch may carry over a SAN. */
export class Socket extends net.Socket {
  constructor(options?: net.SocketConstructorOpts) {
    super(options)
    enlist(this)
  }
}

/** Options of `net.createServer`, and one more. */
export interface ServerOpts extends net.ServerOpts {
  /** Judges each peer before it is connected. */
  readonly inspect?: Inspect
}

type ConnectionListener = (socket: net.Socket) => void

/** A `net.Server` that listens on the SAN providers, too. */
export class Server extends net.Server {
  constructor(connectionListener?: ConnectionListener)
  constructor(options?: ServerOpts, connectionListener?: ConnectionListener)
  constructor(...args: unknown[]) {
    super(...(args as ConstructorParameters<typeof net.Server>))
    enlist(this)
    const [options] = args as [ServerOpts?]
    if (options?.inspect !== undefined) setInspect(this, options.inspect)
  }
}

/**
 * Lets `inspect` judge whoever connects to `server`: any server, of `node:http` as well, switched or not.
 *
 * @throws when the server listens already.
 */
export function setInspect(server: net.Server, inspect: Inspect): void {
  if (!(server instanceof net.Server))
    throw new TypeError('Cannot inspect connections: the first argument is no server of node:net')
  if (typeof inspect !== 'function')
    throw new TypeError('Cannot inspect connections: inspect is not a function')
  if (server.listening) throw new Error('Cannot inspect connections: the server listens already')
  const whole = processSwitch()
  const under = 'unavailable' in whole ? inspectConnections : whole.inspect
  under(server, inspect)
}

/** As `net.createServer`; `inspect` among the options judges each peer before it is connected. */
export function createServer(connectionListener?: ConnectionListener): Server
export function createServer(options?: ServerOpts, connectionListener?: ConnectionListener): Server
export function createServer(...args: unknown[]): Server {
  return new Server(...(args as ConstructorParameters<typeof Server>))
}

/** Where `net.connect` tells of the sockets that it makes. */
const CLIENT_SOCKETS = 'net.client.socket'
const clientSockets = diagnostics.channel(CLIENT_SOCKETS)

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
  const start = (): Socket => (socket.connect as (...args: unknown[]) => Socket)(...args)
  return clientSockets.hasSubscribers ? tellOf(socket, start) : start()
}

// Node's later versions have the socket itself tell when it connects, earlier ones `net.connect`.
function tellOf(socket: Socket, start: () => Socket): Socket {
  const told: unknown[] = []
  const listen = (message: unknown): void => {
    told.push((message as { socket: unknown }).socket)
  }
  diagnostics.subscribe(CLIENT_SOCKETS, listen)
  try {
    start()
  } finally {
    diagnostics.unsubscribe(CLIENT_SOCKETS, listen)
  }
  if (!told.includes(socket)) clientSockets.publish({ socket })
  return socket
}

export const createConnection = connect

const face = {
  ...net,
  Socket,
  Server,
  setInspect,
  Stream: Socket,
  createServer,
  connect,
  createConnection,
  claim,
}
export default face
