import type { AsyncResource } from 'node:async_hooks'
import { isLeftAlone } from '../../base/unswitched.ts'
import type { SocketAddress } from '../../spi/index.ts'
import type { Reason } from '../../switch/reasons.ts'
import type { ConnectOutcome, SwitchSocket } from '../../switch/socket.ts'
import { destinationOf, isMapped, mapped } from './addresses.ts'
import { uvError } from './errnos.ts'
import { asyncResource, ownerOf, symbolOf } from './internals.ts'
import type { ConnectRequest, OwnerSocket, TcpHandle } from './internals.ts'
import { beforeClose, noteReason, plainly } from './surroundings.ts'
import type { Surroundings } from './surroundings.ts'
import { HandleTcpSocket } from './tcp-socket.ts'

/** The connecting half of the face: lets the switch decide about each connect of a native handle. */
export class Connecting {
  readonly #surroundings: Surroundings
  /** Handles whose stream native code asked for while they were still connecting. */
  readonly #askedEarly = new WeakSet<TcpHandle>()
  /** Where a socket keeps the buffer that its user gave it to read into. */
  #bufferKey: symbol | undefined

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  install(): void {
    this.#hookConnect()
    this.#hookIsStreamBase()
  }

  #hookConnect(): void {
    const connect = (
      handle: TcpHandle,
      request: ConnectRequest,
      address: string,
      port: number,
      call: () => number,
    ) => this.#connect(handle, request, address, port, call)
    const { prototype } = this.#surroundings.internals
    for (const name of ['connect', 'connect6'] as const) {
      const original = prototype[name]
      prototype[name] = function (this: TcpHandle, request, address, port) {
        return connect(this, request, address, port, () => original.call(this, request, address, port))
      }
    }
  }

  #hookIsStreamBase(): void {
    const { internals } = this.#surroundings
    const asked = (handle: TcpHandle): void => {
      const owner = ownerOf(internals, handle) as OwnerSocket | undefined
      if (owner?.connecting === true) this.#askedEarly.add(handle)
    }
    Object.defineProperty(internals.prototype, 'isStreamBase', {
      configurable: true,
      get(this: TcpHandle) {
        asked(this)
        return true
      },
    })
  }

  #connect(
    handle: TcpHandle,
    request: ConnectRequest,
    address: string,
    port: number,
    call: () => number,
  ): number {
    if (isLeftAlone(handle)) return call()
    const owner = ownerOf(this.#surroundings.internals, handle) as OwnerSocket | undefined
    if (!this.#surroundings.covers(owner)) return call()
    const destination = destinationOf(address, port)
    if (destination === undefined) return call()
    const tcp = new HandleTcpSocket(handle, this.#surroundings.ports, { connect: call })
    const socket = this.#surroundings.switch.socket(tcp)
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
          noteReason(handle, outcome.reason)
          status = tcp.lastStatus
          if (synchronous) return
        } else {
          status = outcome.kind === 'failed' ? uvError(outcome.code) : 0
        }
        if (alive) this.#surroundings.environment.liveness.release()
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
      if (alive) this.#surroundings.environment.liveness.hold()
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
      if (alive) this.#surroundings.environment.liveness.release()
    })
  }

  #establish(
    handle: TcpHandle,
    outcome: ConnectOutcome & { kind: 'san' },
    tcp: HandleTcpSocket,
    address: string,
    destination: SocketAddress,
  ): void {
    const show = isMapped(address) ? mapped : plainly
    this.#surroundings.adopt(handle, {
      session: outcome.session,
      local: show(outcome.local),
      remote: show(destination),
      provider: outcome.provider,
      direction: 'out',
      release: () => {
        tcp.release()
      },
    })
    const owner = ownerOf(this.#surroundings.internals, handle) as unknown as
      Record<symbol, unknown> | undefined
    if (owner === undefined) return
    this.#bufferKey ??= symbolOf(owner, 'kBuffer')
    const buffer = this.#bufferKey === undefined ? undefined : owner[this.#bufferKey]
    if (buffer instanceof Uint8Array) handle.useUserBuffer(buffer)
  }
}
