import { mapped, unmapped } from '../../base/mapped-address.ts'
import { step } from '../../base/machine.ts'
import { leaveAlone } from '../../base/unswitched.ts'
import { WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type {
  AddressFamily,
  HostSocket,
  Result,
  SocketAddress,
  SocketOption,
  Status,
  TcpipOwner,
} from '../../spi/index.ts'
import type { TcpBinding, TcpHandle } from './binding.ts'
import { statusOf } from './errnos.ts'
import { leavingFor } from './leaving.ts'
import { TRANSITIONS } from './socket-state.ts'
import type { TcpSocketEvent, TcpSocketState } from './socket-state.ts'
import { TcpStream } from './stream.ts'

const ANY: Readonly<Record<AddressFamily, string>> = { IPv4: '0.0.0.0', IPv6: '::' }

/** An application's socket on a native handle, which has a descriptor once it is bound. */
export class TcpSocket implements HostSocket {
  readonly #binding: TcpBinding
  readonly #family: AddressFamily
  readonly #owner: TcpipOwner
  readonly #options = new Map<SocketOption, number>()
  /** A stream's, or closed, once the socket is spent. */
  readonly #handle: TcpHandle
  #state: TcpSocketState = 'idle'
  /** Undefined until it is bound. */
  #local: SocketAddress | undefined

  constructor(binding: TcpBinding, family: AddressFamily, owner: TcpipOwner) {
    this.#binding = binding
    this.#family = family
    this.#owner = owner
    this.#handle = binding.newHandle()
    leaveAlone(this.#handle)
  }

  #move(event: TcpSocketEvent): void {
    this.#state = step('TCP socket', TRANSITIONS, this.#state, event)
  }

  bind(address: SocketAddress, ipv6Only = false): Status {
    if (this.#state !== 'idle' || this.#local !== undefined) return WSA.WSAEINVAL
    const handle = this.#handle
    if (address.family !== this.#family) return WSA.WSAEAFNOSUPPORT
    const status =
      this.#family === 'IPv6'
        ? handle.bind6(address.address, address.port, ipv6Only ? this.#binding.ipv6Only : 0)
        : handle.bind(address.address, address.port)
    if (status !== 0) return statusOf(status)
    // libuv keeps a port in use to itself until the next call; the kernel's answer shows in the name.
    const local = nameOf(handle, 'getsockname')
    if (local === undefined || local.port === 0) return WSA.WSAEADDRINUSE
    this.#local = local
    return 0
  }

  localAddress(): Result<SocketAddress> {
    return this.#local === undefined ? failure(WSA.WSAEINVAL) : success(this.#local)
  }

  reserve(destination: SocketAddress): Result<SocketAddress> {
    if (this.#local === undefined) {
      const status = this.bind({ family: this.#family, address: ANY[this.#family], port: 0 })
      if (status !== 0) return failure(status)
    }
    const local = this.#local as SocketAddress
    if (!isWildcard(local)) return success(plain(local))
    const address = leavingFor(destination)
    return address === undefined
      ? failure(WSA.WSAEADDRNOTAVAIL)
      : success({ family: destination.family, address, port: local.port })
  }

  setOption(option: SocketOption, value: number): Status {
    if (option !== 'TCP_NODELAY' && option !== 'SO_KEEPALIVE') return WSA.WSAENOPROTOOPT
    this.#options.set(option, value)
    return 0
  }

  listen(backlog: number): Status {
    const handle = this.#handle
    // Again, it changes the backlog, and nothing else.
    if (this.#state === 'listening') return statusOf(handle.listen(backlog))
    if (this.#state !== 'idle') return WSA.WSAEINVAL
    handle.onconnection = (status, client) => {
      if (client === undefined) return
      leaveAlone(client)
      const local = nameOf(client, 'getsockname')
      const remote = nameOf(client, 'getpeername')
      // The peer may be gone already; then nobody can say who it was.
      if (status !== 0 || local === undefined || remote === undefined) client.close()
      else this.#owner.arrived({ stream: this.#stream(client), local, remote })
    }
    const status = statusOf(handle.listen(backlog))
    if (status === 0) this.#move('listen')
    return status
  }

  connect(destination: SocketAddress): Status {
    if (this.#state !== 'idle') return WSA.WSAEINVAL
    const handle = this.#handle
    const request = this.#binding.newConnect()
    request.oncomplete = (uv) => {
      // Closed while it was connecting: nobody waits for it any more.
      if (this.#state === 'closed') return
      this.#move('settled')
      if (uv === 0) {
        this.#local = nameOf(handle, 'getsockname') ?? this.#local
        this.#owner.connected(0, this.#stream(handle))
      } else {
        handle.close()
        this.#owner.connected(statusOf(uv))
      }
    }
    const { address, family, port } = destination
    const status =
      this.#family === 'IPv6'
        ? handle.connect6(request, family === 'IPv4' ? mapped(address) : address, port)
        : handle.connect(request, address, port)
    if (status === 0) this.#move('connect')
    return statusOf(status)
  }

  release(): void {
    this.close()
  }

  close(): void {
    if (this.#state === 'closed') return
    if (this.#state !== 'spent') this.#handle.close()
    this.#move('close')
  }

  #stream(handle: TcpHandle): TcpStream {
    const stream = new TcpStream(this.#binding, handle)
    for (const [option, value] of this.#options) stream.setOption(option, value)
    return stream
  }
}

function nameOf(handle: TcpHandle, call: 'getsockname' | 'getpeername'): SocketAddress | undefined {
  const out: { address?: string; family?: string; port?: number } = {}
  if (handle[call](out) !== 0 || out.address === undefined) return undefined
  return { family: out.family === 'IPv6' ? 'IPv6' : 'IPv4', address: out.address, port: out.port ?? 0 }
}

/** Providers know no mapped addresses: an IPv4 peer of an IPv6 socket is an IPv4 peer. */
function plain(address: SocketAddress): SocketAddress {
  const inner = unmapped(address.address)
  return inner === undefined ? address : { family: 'IPv4', address: inner, port: address.port }
}
