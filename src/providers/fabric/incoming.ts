import { WSA, failure, success } from '../../spi/index.ts'
import type { ConnectionRequest, Result, SocketAddress, WsaCode } from '../../spi/index.ts'
import type { Connection, ConnectionOwner, IncomingRequest } from '../../san/index.ts'
import { FabricConnection } from './connection.ts'
import type { ConnectionHost } from './connection.ts'
import type { Link } from './link.ts'

/** A request in a slot of a link. */
export class Incoming implements IncomingRequest {
  readonly link: Link
  readonly id: number
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly callerData: Uint8Array
  readonly #host: ConnectionHost
  /** Called when the opener gives up, while the answer takes a while. */
  #withdrawn: (() => void) | undefined
  #isOpen = true

  constructor(host: ConnectionHost, link: Link, id: number, request: ConnectionRequest) {
    this.#host = host
    this.link = link
    this.id = id
    this.remote = request.remote
    this.local = request.local
    this.callerData = request.callerData
  }

  isOpen(): boolean {
    return this.#isOpen
  }

  /** The opener has given it up, or is gone. */
  withdraw(): void {
    this.#isOpen = false
    this.#withdrawn?.()
  }

  accept(owner: ConnectionOwner, calleeData: Uint8Array): Result<Connection> {
    if (!this.#isOpen) return failure(WSA.WSAECONNRESET)
    if (!this.#host.connections.take()) return failure(WSA.WSAEPROCLIM)
    return success(FabricConnection.accept(this.#host, owner, this.link, this.id, calleeData))
  }

  refuse(code: WsaCode): void {
    if (this.#isOpen) this.link.refuse(this.id, code)
  }

  pend(withdrawn: () => void): boolean {
    this.#withdrawn = withdrawn
    this.link.judging(this.id)
    return true
  }

  unpend(): void {
    this.#withdrawn = undefined
  }
}
