import { WSA, failure, success } from '../../spi/index.ts'
import type { Result, SocketAddress, WsaCode } from '../../spi/index.ts'
import type { Connection, ConnectionOwner, IncomingRequest } from '../../san/index.ts'
import { ShmConnection } from './connection.ts'
import type { ConnectionHost } from './connection.ts'
import type { Link } from './link.ts'
import type { SlotHolder } from './slot-table.ts'
import type { SlotRequest } from './request.ts'
import { Slot, agreeEnded, announceJudging, isOpen, refuse } from './slot.ts'

/** A request in a slot of a link. While it waits for judgement it holds its slot, and so hears when the opener gives up. */
export class Incoming implements IncomingRequest, SlotHolder {
  readonly link: Link
  readonly id: number
  readonly generation: number
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly callerData: Uint8Array
  readonly #host: ConnectionHost
  #withdrawn: (() => void) | undefined

  constructor(host: ConnectionHost, link: Link, id: number, generation: number, request: SlotRequest) {
    this.#host = host
    this.link = link
    this.id = id
    this.generation = generation
    this.remote = request.remote
    this.local = request.local
    this.callerData = request.callerData
  }

  isOpen(): boolean {
    // A slot carries one connection at a time, however often a peer asks.
    const isFree = this.#withdrawn !== undefined || !this.link.isHeld(this.id)
    return isFree && isOpen(this)
  }

  accept(owner: ConnectionOwner, calleeData: Uint8Array): Result<Connection> {
    if (!this.#host.connections.take()) return failure(WSA.WSAEPROCLIM)
    const slot = Slot.of(this)
    if (slot === undefined) {
      this.#host.connections.give()
      return failure(WSA.WSAENOBUFS)
    }
    const connection = new ShmConnection(this.#host, owner, slot)
    slot.link.hold(slot.id, connection)
    slot.accept(calleeData)
    return success(connection)
  }

  refuse(code: WsaCode): void {
    if (this.isOpen()) refuse(this, code)
    else if (this.link.state === 'up') agreeEnded(this)
  }

  pend(withdrawn: () => void): boolean {
    if (!announceJudging(this)) return false
    this.#withdrawn = withdrawn
    this.link.hold(this.id, this)
    return true
  }

  unpend(): void {
    this.#withdrawn = undefined
    this.link.free(this.id)
  }

  notified(): void {
    this.#look()
  }
  ended(): void {
    this.#look()
  }
  linkDown(): void {
    this.#look()
  }

  #look(): void {
    if (!this.isOpen()) this.#withdrawn?.()
  }
}
