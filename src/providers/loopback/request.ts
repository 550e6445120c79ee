import { WSA, failure, success } from '../../spi/index.ts'
import type { ConnectionRequest, Result, SocketAddress, WsaCode } from '../../spi/index.ts'
import type { Attempt, Connection, ConnectionOwner, IncomingRequest } from '../../san/index.ts'
import { LoopbackConnection } from './connection.ts'
import type { ConnectionHost, Side } from './connection.ts'

/** A request, as both sides have it: the opener's attempt, and what waits at the listener. */
export class LoopbackRequest implements IncomingRequest, Attempt {
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly callerData: Uint8Array
  readonly #opener: Side
  readonly #acceptor: ConnectionHost
  #withdrawn: (() => void) | undefined
  #isOpen = true

  constructor(opener: Side, acceptor: ConnectionHost, request: ConnectionRequest) {
    this.#opener = opener
    this.#acceptor = acceptor
    this.remote = request.remote
    this.local = request.local
    this.callerData = request.callerData
  }

  isOpen(): boolean {
    return this.#isOpen
  }

  accept(owner: ConnectionOwner, calleeData: Uint8Array): Result<Connection> {
    if (!this.#isOpen) return failure(WSA.WSAECONNRESET)
    this.#isOpen = false
    const [near, far] = LoopbackConnection.pair({ host: this.#acceptor, owner }, this.#opener)
    this.#opener.owner.accepted(far, calleeData.slice())
    return success(near)
  }

  refuse(code: WsaCode): void {
    if (this.#isOpen) this.#opener.owner.refused(code)
    this.#isOpen = false
  }

  pend(withdrawn: () => void): boolean {
    this.#withdrawn = withdrawn
    this.#opener.owner.judging()
    return true
  }

  unpend(): void {
    this.#withdrawn = undefined
  }

  /** The opener gives it up. */
  close(): void {
    this.#isOpen = false
    this.#withdrawn?.()
  }
}
