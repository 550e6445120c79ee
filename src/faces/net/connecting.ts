import type { AsyncResource } from 'node:async_hooks'
import { unmapped } from '../../base/mapped-address.ts'
import { isLeftAlone } from '../../base/unswitched.ts'
import type { SocketAddress } from '../../spi/index.ts'
import { shownIn } from '../../switch/addresses.ts'
import type { ConnectOutcome, SwitchSocket } from '../../switch/socket.ts'
import { literalDestination } from './addresses.ts'
import { uvError } from './errnos.ts'
import { asyncResource, ownerOf, userBufferOf } from './internals.ts'
import type { ConnectRequest, OwnerSocket, TcpHandle } from './internals.ts'
import { beforeClose, noteReason } from './surroundings.ts'
import type { Surroundings } from './surroundings.ts'
import { HandleTcpSocket } from './tcp-socket.ts'

/** The connecting half of the face: lets the switch decide about each connect of a native handle. */
export class Connecting {
  readonly #surroundings: Surroundings

  constructor(surroundings: Surroundings) {
    this.#surroundings = surroundings
  }

  install(): void {
    this.#hookConnect()
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

  #connect(
    handle: TcpHandle,
    request: ConnectRequest,
    address: string,
    port: number,
    call: () => number,
  ): number {
    if (isLeftAlone(handle)) return call()
    const { internals, native } = this.#surroundings
    // Happy eyeballs make handles for a TLS socket that are the engine's alone.
    const owner = (ownerOf(internals, handle) as OwnerSocket | undefined) ?? native.tlsSocketOn(handle)
    if (!this.#surroundings.covers(owner)) return call()
    const destination = literalDestination(address, port)
    if (destination === undefined) return call()
    const tcp = new HandleTcpSocket(handle, this.#surroundings.ports, { connect: call })
    const socket = this.#surroundings.switch.socket(tcp)
    // The context of the connect, for what is told later.
    let resource: AsyncResource | undefined
    // Follows what happens to the request: it may be given up while we wait.
    const complete = request.oncomplete
    let synchronous = true
    let status = 0
    const alive = handle.hasRef()
    socket.connect(destination, (outcome) => {
      if (outcome.kind === 'tcpip') {
        noteReason(handle, outcome.reason)
        status = tcp.lastStatus
        if (synchronous) return
      } else {
        status = outcome.kind === 'failed' ? uvError(outcome.code) : 0
      }
      if (alive) this.#surroundings.environment.liveness.release()
      // Happy eyeballs has given the attempt up, or the socket was destroyed: its handle is closed.
      const givenUp = request.oncomplete !== complete || complete === undefined || !usedBy(owner, handle)
      if (outcome.kind === 'san') {
        if (givenUp) {
          outcome.session.reset()
          tcp.release()
          return
        }
        // In the context of the connect, as the handle itself was made.
        resource?.runInAsyncScope(() => {
          this.#establish(handle, outcome, tcp, address, destination)
          native.established(handle)
        })
      } else if (outcome.kind === 'tcpip' && status === 0) {
        return
      }
      if (givenUp) return
      const connected = status === 0
      resource?.runInAsyncScope(complete, request, status, handle, request, connected, connected)
      resource?.emitDestroy()
    })
    synchronous = false
    if (socket.state === 'connecting') {
      resource = asyncResource('TCPCONNECTWRAP')
      if (alive) this.#surroundings.environment.liveness.hold()
      this.#cancelOnClose(handle, socket, alive)
    }
    return status
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
    const family = unmapped(address) === undefined ? destination.family : 'IPv6'
    this.#surroundings.adopt(handle, {
      session: outcome.session,
      local: shownIn(family, outcome.local),
      remote: shownIn(family, destination),
      provider: outcome.provider,
      direction: 'out',
      release: () => {
        tcp.release()
      },
    })
    const buffer = userBufferOf(ownerOf(this.#surroundings.internals, handle))
    if (buffer !== undefined) handle.useUserBuffer(buffer)
  }
}

/** True while `handle` is still that of its socket, be it under a TLS engine. */
function usedBy(owner: OwnerSocket | undefined, handle: TcpHandle): boolean {
  const current = owner?._handle as (TcpHandle & { readonly _parent?: TcpHandle }) | null | undefined
  return current === handle || current?._parent === handle
}
