import type { AsyncResource } from 'node:async_hooks'
import type { Cluster } from 'node:cluster'
import { createRequire } from 'node:module'
import net from 'node:net'
import type { SocketAddress } from '../../spi/index.ts'
import type { Arrival } from '../../switch/listen.ts'
import type { Reason } from '../../switch/reasons.ts'
import type { SwitchSocket } from '../../switch/socket.ts'
import { mapped } from './addresses.ts'
import { holdArrivals } from './held-arrivals.ts'
import { asyncResource, newSocketHandle, ownerOf } from './internals.ts'
import type { OwnerServer, TcpHandle } from './internals.ts'
import { afterClose, plainly } from './surroundings.ts'
import type { ShowAddress, Surroundings } from './surroundings.ts'
import { HandleTcpSocket } from './tcp-socket.ts'

/** A listener as `sockswitch ls` shows it. */
export interface ListenerReport {
  readonly local: SocketAddress
  readonly providers: readonly string[]
  readonly reason?: Reason
}

/** Flag of libuv's bind: several listeners may share the port. */
const UV_TCP_REUSEPORT = 2

interface ListeningEntry {
  readonly socket: SwitchSocket
  readonly tcp: HandleTcpSocket
}

/** The listening half of the face: lets the switch listen beside each native listener, and hands arrivals to it. */
export class Listening {
  readonly #surroundings: Surroundings
  /** What each handle was bound with; a handle that is not in here was made elsewhere. */
  readonly #bound = new WeakMap<TcpHandle, number>()
  readonly #listening = new Map<TcpHandle, ListeningEntry>()

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  install(): void {
    this.#hookBind()
    this.#hookListen()
  }

  listeners(): ListenerReport[] {
    return [...this.#listening.values()].flatMap(({ socket, tcp }) => {
      const local = tcp.localAddress()
      if (!local.ok) return []
      return [
        { local: local.value, providers: socket.providers, ...(socket.reason && { reason: socket.reason }) },
      ]
    })
  }

  /** The handle goes to another process, which may accept from it, too. */
  handOff(handle: TcpHandle): void {
    this.#listening.get(handle)?.socket.leaveSan('shared')
  }

  #hookBind(): void {
    const bound = this.#bound
    const { prototype } = this.#surroundings.internals
    for (const name of ['bind', 'bind6'] as const) {
      const original = prototype[name]
      prototype[name] = function (this: TcpHandle, address, port, flags) {
        bound.set(this, flags ?? 0)
        return original.call(this, address, port, flags)
      }
    }
  }

  #hookListen(): void {
    const listen = (handle: TcpHandle, backlog: number, call: (backlog: number) => number): number =>
      this.#listen(handle, backlog, call)
    const { prototype } = this.#surroundings.internals
    const original = prototype.listen
    prototype.listen = function (this: TcpHandle, backlog) {
      return listen(this, backlog, (n) => original.call(this, n))
    }
  }

  #listen(handle: TcpHandle, backlog: number, call: (backlog: number) => number): number {
    const owner = ownerOf(this.#surroundings.internals, handle) as OwnerServer | undefined
    if (!(owner instanceof net.Server) || !this.#surroundings.covers(owner) || this.#listening.has(handle))
      return call(backlog)
    const tcp = new HandleTcpSocket(handle, this.#surroundings.ports, { listen: call })
    const socket = this.#surroundings.switch.socket(tcp)
    const resource = asyncResource('TCPSERVERWRAP')
    const inspections = holdArrivals(owner, handle)
    const onconnection = handle.onconnection
    let family: SocketAddress['family'] = 'IPv4'
    const condition = inspections?.condition(() => showFor(family))
    const status = socket.listen(
      backlog,
      (arrival) => {
        if (arrival.request !== undefined) inspections?.arrived(arrival.request)
        this.#arrive(handle, family, arrival, resource)
      },
      {
        stay: this.#listenStays(handle, owner),
        condition: condition && ((request) => resource.runInAsyncScope(condition, undefined, request)),
      },
    )
    if (status !== 0) return tcp.lastStatus
    const bound = tcp.localAddress()
    if (bound.ok) family = bound.value.family
    this.#listening.set(handle, { socket, tcp })
    this.#surroundings.switch.track(socket)
    // TCP/IP first: a peer that the SAN turns away finds nobody there.
    afterClose(handle, () => {
      this.#listening.delete(handle)
      this.#surroundings.switch.untrack(socket)
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
    if (server.pauseOnConnect === true) return 'pause-on-connect'
    return undefined
  }

  #arrive(
    handle: TcpHandle,
    family: SocketAddress['family'],
    arrival: Arrival,
    resource: AsyncResource,
  ): void {
    const onconnection = handle.onconnection
    if (onconnection === undefined) {
      arrival.session.reset()
      return
    }
    const show = showFor(family)
    // A native handle is made before the callback enters the listener's context, and knows nothing of it.
    const client = newSocketHandle(this.#surroundings.internals)
    this.#surroundings.adopt(client, {
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
}

/** An IPv6 listener shows IPv4 peers as mapped addresses. */
function showFor(family: SocketAddress['family']): ShowAddress {
  return family === 'IPv6' ? mapped : plainly
}

let clusterWorker: boolean | undefined

// `net` itself loads `cluster` at every listen, so this costs nothing more.
function isClusterWorker(): boolean {
  clusterWorker ??= (createRequire(import.meta.url)('node:cluster') as Cluster).isWorker
  return clusterWorker
}
