import type { AsyncResource } from 'node:async_hooks'
import type { Cluster } from 'node:cluster'
import { createRequire } from 'node:module'
import net from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import type { Reason } from '../../switch/reasons.ts'
import type { Arrival } from '../../switch/listen.ts'
import type { ConnectOutcome, SwitchSocket } from '../../switch/socket.ts'
import type { Switch } from '../../switch/switch.ts'
import { destinationOf, isMapped, mapped } from './addresses.ts'
import { Bridge } from './bridge.ts'
import { Connection } from './connection.ts'
import type { ConnectionEnvironment } from './connection.ts'
import { uvError } from './errnos.ts'
import { Grafter, connectionOf, installWrites } from './graft.ts'
import { guardHandOffs } from './hand-off.ts'
import { asyncResource, findInternals, newSocketHandle, ownerOf, symbolOf } from './internals.ts'
import type { ConnectRequest, Internals, OwnerServer, OwnerSocket, TcpHandle } from './internals.ts'
import { Liveness } from './liveness.ts'
import { ReservedPorts } from './reserved-ports.ts'
import type { HostTcp } from './reserved-ports.ts'
import { HandleTcpSocket } from './tcp-socket.ts'

export interface NetFaceOptions {
  readonly switch: Switch
  readonly host: HostTcp
  readonly schedule: (job: () => void) => void
  /** As `schedule`, but before everything else that waits. */
  readonly soon: (job: () => void) => void
  readonly keepAlive: (on: boolean) => void
}

/** A listener as `sockswitch ls` shows it. */
export interface ListenerReport {
  readonly local: SocketAddress
  readonly providers: readonly string[]
  readonly reason?: Reason
}

/** Flag of libuv's bind: several listeners may share the port. */
const UV_TCP_REUSEPORT = 2

/** Why TCP/IP carries the connection of a handle. */
const REASON = Symbol('sockswitch.reason')
type Noted = TcpHandle & { [REASON]?: Reason }

/** What to do when a handle is closed; one thing at a time. */
const BEFORE_CLOSE = Symbol('sockswitch.beforeClose')

function beforeClose(handle: TcpHandle, action: () => void): void {
  ;(handle as TcpHandle & { [BEFORE_CLOSE]?: () => void })[BEFORE_CLOSE] = action
}

interface ListeningEntry {
  readonly socket: SwitchSocket
  readonly tcp: HandleTcpSocket
}

/**
 * The face for unmodified programs: sits under `node:net`, between its JavaScript and its native handles, and lets the
 * switch decide about each listen and connect. Everything above the handles stays Node's own.
 */
export class NetFace {
  readonly connections = new Set<Connection>()
  readonly #options: NetFaceOptions
  readonly #internals: Internals
  readonly #environment: ConnectionEnvironment
  readonly #grafter: Grafter
  readonly #ports: ReservedPorts
  readonly #covers: (owner: object | undefined) => boolean
  /** What each handle was bound with; a handle that is not in here was made elsewhere. */
  readonly #bound = new WeakMap<TcpHandle, number>()
  /** Handles whose stream native code asked for while they were still connecting. */
  readonly #askedEarly = new WeakSet<TcpHandle>()
  readonly #listening = new Map<TcpHandle, ListeningEntry>()
  /** Where a socket keeps the buffer that its user gave it to read into. */
  #bufferKey: symbol | undefined

  /** @param covers Which sockets and servers are this face's business. */
  constructor(options: NetFaceOptions, covers: (owner: object | undefined) => boolean) {
    this.#options = options
    this.#covers = covers
    this.#internals = findInternals()
    this.#ports = new ReservedPorts(options.host)
    this.#environment = {
      internals: this.#internals,
      liveness: new Liveness(options.keepAlive),
      schedule: options.schedule,
      soon: options.soon,
    }
    this.#grafter = new Grafter(this.#internals, (handle) => {
      this.bridge(handle)
    })
  }

  /** Puts the face under `node:net`. From now on it sees every TCP handle of the process. */
  install(): void {
    installWrites()
    this.#hookBind()
    this.#hookConnect()
    this.#hookListen()
    this.#hookIsStreamBase()
    this.#hookClose()
    guardHandOffs((handle) => {
      if (connectionOf(handle) !== undefined) this.bridge(handle)
      this.#listening.get(handle)?.socket.leaveSan('shared')
    })
  }

  listeners(): ListenerReport[] {
    return [...this.#listening.values()].flatMap(({ socket, tcp }) => {
      const local = tcp.localAddress()
      if (!local.ok) return []
      return [{ local: local.value, providers: socket.providers, ...(socket.reason && { reason: socket.reason }) }]
    })
  }

  /** Why TCP/IP carries the connection of this handle; undefined when the switch never had a say. */
  reasonOf(handle: TcpHandle): Reason | undefined {
    return (handle as Noted)[REASON]
  }

  /** Publishes the end of every stream, for a process that is about to end. */
  farewell(): void {
    for (const connection of this.connections) connection.session.close()
  }

  // --- hooks --------------------------------------------------------------------------------------------------------

  #hookBind(): void {
    const bound = this.#bound
    const { prototype } = this.#internals
    for (const name of ['bind', 'bind6'] as const) {
      const original = prototype[name]
      prototype[name] = function (this: TcpHandle, address, port, flags) {
        bound.set(this, flags ?? 0)
        return original.call(this, address, port, flags)
      }
    }
  }

  #hookConnect(): void {
    const connect = (handle: TcpHandle, request: ConnectRequest, address: string, port: number, call: () => number) =>
      this.#connect(handle, request, address, port, call)
    const { prototype } = this.#internals
    for (const name of ['connect', 'connect6'] as const) {
      const original = prototype[name]
      prototype[name] = function (this: TcpHandle, request, address, port) {
        return connect(this, request, address, port, () => original.call(this, request, address, port))
      }
    }
  }

  #hookListen(): void {
    const listen = (handle: TcpHandle, backlog: number, call: (backlog: number) => number): number =>
      this.#listen(handle, backlog, call)
    const { prototype } = this.#internals
    const original = prototype.listen
    prototype.listen = function (this: TcpHandle, backlog) {
      return listen(this, backlog, (n) => original.call(this, n))
    }
  }

  #hookIsStreamBase(): void {
    const asked = (handle: TcpHandle): void => {
      const owner = ownerOf(this.#internals, handle) as OwnerSocket | undefined
      if (owner?.connecting === true) this.#askedEarly.add(handle)
    }
    Object.defineProperty(this.#internals.prototype, 'isStreamBase', {
      configurable: true,
      get(this: TcpHandle) {
        asked(this)
        return true
      },
    })
  }

  #hookClose(): void {
    const { prototype } = this.#internals
    const original = prototype.close
    prototype.close = function (this: TcpHandle & { [BEFORE_CLOSE]?: (() => void) | undefined }, done) {
      const before = this[BEFORE_CLOSE]
      if (before !== undefined) {
        this[BEFORE_CLOSE] = undefined
        before()
      }
      original.call(this, done)
    }
  }

  // --- connecting ---------------------------------------------------------------------------------------------------

  #connect(handle: TcpHandle, request: ConnectRequest, address: string, port: number, call: () => number): number {
    const owner = ownerOf(this.#internals, handle) as OwnerSocket | undefined
    if (!this.#covers(owner)) return call()
    const destination = destinationOf(address, port)
    if (destination === undefined) return call()
    const tcp = new HandleTcpSocket(handle, this.#ports, { connect: call })
    const socket = this.#options.switch.socket(tcp)
    const stay = this.#connectStays(handle, owner)
    // The context of the connect, for what is told later.
    let resource: AsyncResource | undefined
    // Follows what happens to the request: it may be given up while we wait.
    const complete = request.oncomplete
    let synchronous = true
    let status = 0
    const alive = stay === undefined && handle.hasRef()
    socket.connect(
      destination,
      (outcome) => {
        if (outcome.kind === 'tcpip') {
          ;(handle as Noted)[REASON] = outcome.reason
          status = tcp.lastStatus
          if (synchronous) return
        } else {
          status = outcome.kind === 'failed' ? uvError(outcome.code) : 0
        }
        if (alive) this.#environment.liveness.release()
        // Happy eyeballs has given the attempt up, or the socket was destroyed: its handle is closed.
        const givenUp = request.oncomplete !== complete || complete === undefined || owner?._handle !== handle
        if (outcome.kind === 'san') {
          if (givenUp) {
            outcome.session.reset()
            tcp.release()
            return
          }
          // In the context of the connect, as the handle itself was made.
          resource?.runInAsyncScope(() => {
            this.#establish(handle, outcome, tcp, address, destination)
          })
        } else if (outcome.kind === 'tcpip' && status === 0) {
          return
        }
        if (givenUp) return
        const connected = status === 0
        resource?.runInAsyncScope(complete, request, status, handle, request, connected, connected)
        resource?.emitDestroy()
      },
      stay,
    )
    synchronous = false
    if (socket.state === 'connecting') {
      resource = asyncResource('TCPCONNECTWRAP')
      if (alive) this.#environment.liveness.hold()
      this.#cancelOnClose(handle, socket, alive)
    }
    return status
  }

  #connectStays(handle: TcpHandle, owner: OwnerSocket | null | undefined): Reason | undefined {
    if (!owner || owner.encrypted === true) return 'tls'
    if (this.#askedEarly.has(handle)) return 'native-stream'
    return undefined
  }

  // A handle closed while its companion connects takes the attempt with it.
  #cancelOnClose(handle: TcpHandle, socket: SwitchSocket, alive: boolean): void {
    beforeClose(handle, () => {
      if (socket.state !== 'connecting') return
      socket.close()
      if (alive) this.#environment.liveness.release()
    })
  }

  #establish(
    handle: TcpHandle,
    outcome: ConnectOutcome & { kind: 'san' },
    tcp: HandleTcpSocket,
    address: string,
    destination: SocketAddress,
  ): void {
    const show = isMapped(address) ? mapped : (plain: SocketAddress) => plain
    this.#adopt(handle, {
      session: outcome.session,
      local: show(outcome.local),
      remote: show(destination),
      provider: outcome.provider,
      direction: 'out',
      release: () => {
        tcp.release()
      },
    })
    const owner = ownerOf(this.#internals, handle) as unknown as Record<symbol, unknown> | undefined
    if (owner === undefined) return
    this.#bufferKey ??= symbolOf(owner, 'kBuffer')
    const buffer = this.#bufferKey === undefined ? undefined : owner[this.#bufferKey]
    if (buffer instanceof Uint8Array) handle.useUserBuffer(buffer)
  }

  #adopt(handle: TcpHandle, parts: Omit<Connection['parts'], 'handle'>): void {
    const connection: Connection = new Connection(this.#environment, {
      ...parts,
      handle,
      release: () => {
        this.connections.delete(connection)
        parts.release()
      },
    })
    this.connections.add(connection)
    this.#grafter.graft(handle, connection)
  }

  // --- listening ----------------------------------------------------------------------------------------------------

  #listen(handle: TcpHandle, backlog: number, call: (backlog: number) => number): number {
    const owner = ownerOf(this.#internals, handle) as OwnerServer | undefined
    if (!(owner instanceof net.Server) || !this.#covers(owner) || this.#listening.has(handle)) return call(backlog)
    const tcp = new HandleTcpSocket(handle, this.#ports, { listen: call })
    const socket = this.#options.switch.socket(tcp)
    const resource = asyncResource('TCPSERVERWRAP')
    const onconnection = handle.onconnection
    let family: SocketAddress['family'] = 'IPv4'
    const status = socket.listen(
      backlog,
      (arrival) => {
        this.#arrive(handle, family, arrival, resource)
      },
      this.#listenStays(handle, owner),
    )
    if (status !== 0) return tcp.lastStatus
    const bound = tcp.localAddress()
    if (bound.ok) family = bound.value.family
    this.#listening.set(handle, { socket, tcp })
    this.#options.switch.track(socket)
    beforeClose(handle, () => {
      this.#listening.delete(handle)
      this.#options.switch.untrack(socket)
      socket.close()
    })
    // A cluster primary takes the listener from its server on 'listening', which is emitted in the next tick.
    process.nextTick(() => {
      process.nextTick(() => {
        if (handle.onconnection !== onconnection) socket.leaveSan('cluster')
      })
    })
    return 0
  }

  #listenStays(handle: TcpHandle, server: OwnerServer): Reason | undefined {
    if (isClusterWorker()) return 'cluster'
    const flags = this.#bound.get(handle)
    if (flags === undefined) return 'inherited'
    if ((flags & UV_TCP_REUSEPORT) !== 0) return 'reuse-port'
    if (typeof (server as { setSecureContext?: unknown }).setSecureContext === 'function') return 'tls'
    if (/^Http2(Secure)?Server$/.test(server.constructor.name)) return 'http2'
    if (server.pauseOnConnect === true) return 'pause-on-connect'
    return undefined
  }

  #arrive(handle: TcpHandle, family: SocketAddress['family'], arrival: Arrival, resource: AsyncResource): void {
    const onconnection = handle.onconnection
    if (onconnection === undefined) {
      arrival.session.reset()
      return
    }
    // An IPv6 listener shows IPv4 peers as mapped addresses.
    const show = family === 'IPv6' ? mapped : (plain: SocketAddress) => plain
    // A native handle is made before the callback enters the listener's context, and knows nothing of it.
    const client = newSocketHandle(this.#internals)
    this.#adopt(client, {
      session: arrival.session,
      local: show(arrival.local),
      remote: show(arrival.remote),
      provider: arrival.provider,
      direction: 'in',
      release() {
        // The listener's port is not ours to give back.
      },
    })
    resource.runInAsyncScope(onconnection, handle, 0, client)
  }

  // --- the way out --------------------------------------------------------------------------------------------------

  /** Puts a genuine descriptor under a grafted handle, for native code that wants one; no byte is lost. */
  bridge(handle: TcpHandle): void {
    const connection = connectionOf(handle)
    if (connection === undefined) return
    this.#options.switch.stats.stayed('bridged')
    new Bridge(this.#internals, this.#options.host, handle, connection, () => {
      this.#grafter.ungraft(handle)
    })
    ;(handle as Noted)[REASON] = 'bridged'
  }
}

let clusterWorker: boolean | undefined

// `net` itself loads `cluster` at every listen, so this costs nothing more.
function isClusterWorker(): boolean {
  clusterWorker ??= (createRequire(import.meta.url)('node:cluster') as Cluster).isWorker
  return clusterWorker
}
