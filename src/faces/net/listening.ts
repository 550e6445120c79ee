import type { AsyncResource } from 'node:async_hooks'
import net from 'node:net'
import { SOMAXCONN } from '../../spi/index.ts'
import type { Sharing, SocketAddress } from '../../spi/index.ts'
import { shownIn } from '../../switch/addresses.ts'
import type { Arrival } from '../../switch/listen.ts'
import type { ListenerReport } from '../../switch/face.ts'
import type { ListenOptions, SwitchSocket } from '../../switch/socket.ts'
import { hasRoom, isWorker, loadCluster, onTakeOver } from './cluster.ts'
import { holdArrivals } from './held-arrivals.ts'
import { asyncResource, newSocketHandle, ownerOf } from './internals.ts'
import type { OwnerServer, TcpHandle } from './internals.ts'
import { afterClose } from './surroundings.ts'
import type { ShowAddress, Surroundings } from './surroundings.ts'
import { HandleTcpSocket } from './tcp-socket.ts'

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
    this.#hookFakeListen()
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

  // A cluster worker whose primary hands connections out holds no TCP handle, and calls no native listen.
  #hookFakeListen(): void {
    const listen = (server: OwnerServer): void => {
      const handle = server._handle
      if (handle !== null && !(handle instanceof this.#surroundings.internals.TCP))
        this.#listenAsMember(handle, server)
    }
    const prototype = net.Server.prototype as unknown as {
      _listen2: (this: OwnerServer, ...args: unknown[]) => void
    }
    const original = prototype._listen2
    prototype._listen2 = function (...args) {
      original.apply(this, args)
      listen(this)
    }
  }

  #listen(handle: TcpHandle, backlog: number, call: (backlog: number) => number): number {
    const owner = ownerOf(this.#surroundings.internals, handle) as OwnerServer | undefined
    if (!(owner instanceof net.Server) || !this.#surroundings.covers(owner) || this.#listening.has(handle))
      return call(backlog)
    const tcp = new HandleTcpSocket(handle, this.#surroundings.ports, { listen: call })
    const socket = this.#serve(handle, owner, tcp, backlog, { sharing: this.#sharingOf(handle) })
    if (socket === undefined) return tcp.lastStatus
    // TCP/IP first: a peer that the SAN turns away finds nobody there.
    afterClose(handle, () => {
      this.#leave(handle)
    })
    const cluster = loadCluster()
    if (cluster.isPrimary && Object.keys(cluster.workers ?? {}).length > 0) {
      onTakeOver(handle, () => {
        socket.share({ as: 'head', mayJoin: isWorker })
      })
    }
    return 0
  }

  // A worker holds no TCP socket; its primary has the one for all of them.
  #listenAsMember(handle: TcpHandle, server: OwnerServer): void {
    if (!loadCluster().isWorker || typeof handle.getsockname !== 'function') return
    if (!this.#surroundings.covers(server)) return
    const tcp = new HandleTcpSocket(handle, this.#surroundings.ports, {})
    this.#serve(handle, server, tcp, SOMAXCONN, { sharing: { as: 'member' }, hasRoom: () => hasRoom(server) })
    const close = handle.close
    handle.close = (...args) => {
      close.apply(handle, args)
      this.#leave(handle)
    }
  }

  /** Lets the switch listen beside `handle`; undefined when TCP/IP could not. */
  #serve(
    handle: TcpHandle,
    server: OwnerServer,
    tcp: HandleTcpSocket,
    backlog: number,
    how: Pick<ListenOptions, 'sharing' | 'hasRoom'>,
  ): SwitchSocket | undefined {
    const socket = this.#surroundings.switch.socket(tcp)
    const resource = asyncResource('TCPSERVERWRAP')
    const inspections = holdArrivals(server, handle)
    let family: SocketAddress['family'] = 'IPv4'
    const condition = inspections?.condition(() => showFor(family))
    const status = socket.listen(
      backlog,
      (arrival) => {
        if (arrival.request !== undefined) inspections?.arrived(arrival.request)
        this.#arrive(handle, family, arrival, resource)
      },
      {
        ...how,
        condition: condition && ((request) => resource.runInAsyncScope(condition, undefined, request)),
      },
    )
    if (status !== 0) return undefined
    const bound = tcp.localAddress()
    if (bound.ok) family = bound.value.family
    this.#listening.set(handle, { socket, tcp })
    this.#surroundings.switch.track(socket)
    return socket
  }

  #leave(handle: TcpHandle): void {
    const entry = this.#listening.get(handle)
    if (entry === undefined) return
    this.#listening.delete(handle)
    this.#surroundings.switch.untrack(entry.socket)
    entry.socket.close()
  }

  #sharingOf(handle: TcpHandle): Sharing | undefined {
    const flags = this.#bound.get(handle)
    // Made elsewhere: whoever made it may accept from it, too.
    if (flags === undefined) return { as: 'holder', descriptor: handle.fd }
    return (flags & UV_TCP_REUSEPORT) === 0 ? undefined : { as: 'port', descriptor: handle.fd }
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
  return (address) => shownIn(family, address)
}
