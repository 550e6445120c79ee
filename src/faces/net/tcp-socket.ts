import { constants } from 'node:os'
import { WSA, failure, isWildcard, success } from '../../spi/index.ts'
import type { Result, SocketAddress, Status, TcpipSocket, WsaCode } from '../../spi/index.ts'
import type { TcpHandle } from './internals.ts'
import type { ReservedPort, ReservedPorts } from './reserved-ports.ts'

/**
 * The TCP/IP provider's socket behind one native handle. The handle is the application's and stays without a descriptor
 * while a SAN carries the connection; a port reserved beside it keeps the local address.
 */
export class HandleTcpSocket implements TcpipSocket {
  readonly #handle: TcpHandle
  readonly #ports: ReservedPorts
  readonly #calls: { connect?: () => number; listen?: (backlog: number) => number }
  #reserved: ReservedPort | undefined
  /** What Node's own call answered last, a libuv number. */
  lastStatus = 0

  constructor(
    handle: TcpHandle,
    ports: ReservedPorts,
    calls: { connect?: () => number; listen?: (backlog: number) => number },
  ) {
    this.#handle = handle
    this.#ports = ports
    this.#calls = calls
  }

  reserve(destination: SocketAddress): Result<SocketAddress> {
    if (this.#reserved !== undefined) return success(this.#reserved.local)
    // The application has chosen its local address itself: the handle is bound already.
    const bound = this.localAddress()
    if (bound.ok)
      return success(
        isWildcard(bound.value) ? { ...leaving(destination), port: bound.value.port } : bound.value,
      )
    const reserved = this.#ports.take(destination)
    if (typeof reserved === 'number') return failure(codeOf(reserved))
    this.#reserved = reserved
    return success(reserved.local)
  }

  localAddress(): Result<SocketAddress> {
    const out: { address?: string; family?: string; port?: number } = {}
    if (this.#handle.getsockname(out) !== 0 || out.address === undefined || !out.port)
      return failure(WSA.WSAEINVAL)
    return success({ family: out.family === 'IPv6' ? 'IPv6' : 'IPv4', address: out.address, port: out.port })
  }

  listen(backlog: number): Status {
    return this.#status(this.#calls.listen?.(backlog) ?? 0)
  }

  connect(): Status {
    // TCP/IP may need the very descriptor.
    if (this.#reserved !== undefined) this.#ports.close(this.#reserved)
    this.#reserved = undefined
    return this.#status(this.#calls.connect?.() ?? 0)
  }

  release(): void {
    if (this.#reserved !== undefined) this.#ports.give(this.#reserved)
    this.#reserved = undefined
  }

  #status(uv: number): Status {
    this.lastStatus = uv
    return uv === 0 ? 0 : codeOf(uv)
  }
}

/** The address from which a connect to an address of this host leaves. */
function leaving(destination: SocketAddress): SocketAddress {
  return destination.address.startsWith('127.') ? { ...destination, address: '127.0.0.1' } : destination
}

function codeOf(uv: number): WsaCode {
  switch (-uv) {
    case constants.errno.EADDRINUSE:
      return WSA.WSAEADDRINUSE
    case constants.errno.EADDRNOTAVAIL:
      return WSA.WSAEADDRNOTAVAIL
    case constants.errno.EMFILE:
    case constants.errno.ENFILE:
      return WSA.WSAEMFILE
    case constants.errno.EINVAL:
      return WSA.WSAEINVAL
    default:
      return WSA.WSAENOBUFS
  }
}
