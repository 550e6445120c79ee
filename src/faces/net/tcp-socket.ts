import { constants } from 'node:os'
import { WSA, failure, success } from '../../spi/index.ts'
import type { Result, SocketAddress, Status, TcpipSocket, WsaCode } from '../../spi/index.ts'
import type { TcpHandle } from './internals.ts'

/** What the face asks of the host's TCP/IP that Node cannot do; handed in by the composition root. */
export interface HostTcp {
  /** Keeps a TCP port on the local address from which a connect would leave; a negative errno on failure. */
  reserveTcpPort(
    address: string,
    port: number,
  ): { readonly fd: number; readonly address: string; readonly port: number } | number
  socketPair(): readonly [number, number] | number
  close(fd: number): number
}

/**
 * The TCP/IP provider's socket behind one native handle. The handle is the application's and stays without a descriptor
 * while a SAN carries the connection; a port reserved beside it keeps the local address.
 */
export class HandleTcpSocket implements TcpipSocket {
  readonly #handle: TcpHandle
  readonly #host: HostTcp
  readonly #calls: { connect?: () => number; listen?: (backlog: number) => number }
  #reservedFd = -1
  #reserved: SocketAddress | undefined
  /** What Node's own call answered last, a libuv number. */
  lastStatus = 0

  constructor(
    handle: TcpHandle,
    host: HostTcp,
    calls: { connect?: () => number; listen?: (backlog: number) => number },
  ) {
    this.#handle = handle
    this.#host = host
    this.#calls = calls
  }

  reserve(destination: SocketAddress): Result<SocketAddress> {
    if (this.#reserved !== undefined) return success(this.#reserved)
    // The application has chosen its local address itself: the handle is bound already.
    const bound = this.localAddress()
    if (bound.ok) return bound
    const reserved = this.#host.reserveTcpPort(destination.address, destination.port)
    if (typeof reserved === 'number') return failure(codeOf(reserved))
    this.#reservedFd = reserved.fd
    this.#reserved = { family: destination.family, address: reserved.address, port: reserved.port }
    return success(this.#reserved)
  }

  localAddress(): Result<SocketAddress> {
    const out: { address?: string; family?: string; port?: number } = {}
    if (this.#handle.getsockname(out) !== 0 || out.address === undefined || !out.port) return failure(WSA.WSAEINVAL)
    return success({ family: out.family === 'IPv6' ? 'IPv6' : 'IPv4', address: out.address, port: out.port })
  }

  listen(backlog: number): Status {
    return this.#status(this.#calls.listen?.(backlog) ?? 0)
  }

  connect(): Status {
    this.release()
    return this.#status(this.#calls.connect?.() ?? 0)
  }

  release(): void {
    if (this.#reservedFd >= 0) this.#host.close(this.#reservedFd)
    this.#reservedFd = -1
    this.#reserved = undefined
  }

  #status(uv: number): Status {
    this.lastStatus = uv
    return uv === 0 ? 0 : codeOf(uv)
  }
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
