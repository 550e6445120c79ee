import { WSA, failure, success } from '../../spi/index.ts'
import type { ConnectionMemory, MemoryRegion, RegisteredMemory, Result, Status } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import { step } from '../../base/machine.ts'
import type { Quota } from '../../base/quota.ts'
import { FurtherMemory } from '../../san/index.ts'
import type { Connection, ConnectionOwner } from '../../san/index.ts'
import { TRANSITIONS } from './connection-state.ts'
import type { ConnectionEvent, ConnectionState } from './connection-state.ts'
import { linger } from './lingering.ts'
import type { SlotHolder } from './slot-table.ts'
import type { FurtherPiece } from './link-memory.ts'
import { drawTicket, encodePassage, ticketIn } from './moving.ts'
import type { Passages } from './passages.ts'
import type { Slot } from './slot.ts'

/** Waits for the next process of its peer. */
export interface Expecting {
  /** False once it has been closed. */
  readonly isParked: boolean
  /** That process has asked for the connection, in a slot that it now holds. */
  rejoin(slot: Slot): void
  /** Nobody has come in time. */
  abandoned(): void
}

/** What a connection needs of the provider around it. */
export interface ConnectionHost {
  /** For all its connections; each gives its own back when it closes. */
  readonly connections: Quota
  /** Where it waits for a peer that has moved. */
  readonly passages: Pick<Passages, 'expect'>
}

/** One end of a connection, in a slot of a link; in another one when its peer has moved to another process. */
export class ShmConnection implements Connection, SlotHolder, Expecting {
  readonly #host: ConnectionHost
  readonly #owner: ConnectionOwner
  readonly #further = new FurtherMemory<FurtherPiece>()
  #slot: Slot
  #memory: ConnectionMemory
  #state: ConnectionState = 'standing'
  #stopWaiting: Cancel | undefined

  /** @param slot In use by both sides; the caller lets the link tell us of it. */
  constructor(host: ConnectionHost, owner: ConnectionOwner, slot: Slot) {
    this.#host = host
    this.#owner = owner
    this.#slot = slot
    this.#memory = slot.memory
  }

  #move(event: ConnectionEvent): void {
    this.#state = step('connection', TRANSITIONS, this.#state, event)
  }

  // --- data ---------------------------------------------------------------------------------------------------------

  get memory(): ConnectionMemory {
    return this.#memory
  }

  register(bytes: number): Result<RegisteredMemory> {
    const taken = this.#slot.link.memory.take(bytes)
    if (taken.ok) this.#further.add(taken.value)
    return taken
  }

  deregister(memory: RegisteredMemory): Status {
    const further = this.#further.remove(memory)
    if (further === undefined) return WSA.WSAEINVAL
    this.#slot.link.memory.give(further.piece)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    return this.#slot.link.memory.peerRegion(descriptor, bytes)
  }

  /** The peer sees it already. While it is parked what we had registered is gone, or will be. */
  write(memory: RegisteredMemory): Status {
    const isOurs = memory === this.#memory.send || this.#further.find(memory) !== undefined
    return isOurs || this.#state === 'parked' ? 0 : WSA.WSAEINVAL
  }

  signal(): Status {
    if (this.#state === 'standing') this.#slot.link.notify(this.#slot.id)
    return 0
  }

  poll(): void {
    this.ended()
  }

  // --- what the link tells ------------------------------------------------------------------------------------------

  notified(): void {
    if (this.#state === 'standing') this.#owner.signalled()
  }

  ended(): void {
    if (this.#state === 'standing' && this.#slot.peerEnded) this.#peerEnded()
  }

  linkDown(): void {
    if (this.#state === 'standing') this.#peerEnded()
  }

  // --- moving -------------------------------------------------------------------------------------------------------

  duplicate(processId: number): Result<Uint8Array> {
    if (this.#state !== 'standing') return failure(WSA.WSAENOTCONN)
    if (this.#slot.peerEnded) return failure(WSA.WSAECONNRESET)
    const ticket = drawTicket()
    this.#slot.leave(ticket.bytes)
    this.#move('leave')
    return success(encodePassage({ processId, peerPid: this.#slot.link.peer.pid, ticket }))
  }

  // The peer's side has ended: it has closed, or left to another process.
  #peerEnded(): void {
    if (!this.#parks()) this.#peerGone()
  }

  /** Waits for the next process of the peer, if that has left to one. */
  #parks(): boolean {
    const ticket = this.#slot.peerTicket
    this.#stopWaiting = ticket === undefined ? undefined : this.#host.passages.expect(ticketIn(ticket), this)
    if (this.#stopWaiting === undefined) return false
    this.#move('peerLeft')
    return true
  }

  #peerGone(): void {
    this.#move('peerGone')
    this.#owner.ended(WSA.WSAECONNRESET)
  }

  rejoin(slot: Slot): void {
    this.#stopWaiting?.()
    this.#stopWaiting = undefined
    this.#giveFurther()
    this.#slot.end()
    this.#slot.link.free(this.#slot.id)
    this.#slot = slot
    this.#memory = slot.memory
    slot.link.hold(slot.id, this)
    this.#move('rejoined')
    slot.accept(new Uint8Array())
  }

  get isParked(): boolean {
    return this.#state === 'parked'
  }

  abandoned(): void {
    if (!this.isParked) return
    this.#stopWaiting = undefined
    this.#peerGone()
  }

  #giveFurther(): void {
    for (const { piece } of this.#further.clear()) this.#slot.link.memory.give(piece)
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  close(): void {
    // Whoever has the connection now goes on.
    if (this.#state !== 'left') this.#slot.end()
    // Who comes for the peer's side is to hear at once that it is over, also when we have not noticed yet that it has left.
    if (this.#state === 'standing') this.#parks()
    this.#move('close')
    linger(this.#slot, this.#further.clear())
    this.#host.connections.give()
  }
}
