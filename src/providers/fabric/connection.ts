import { WSA, failure, success } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  ConnectionRequest,
  MemoryRegion,
  RegisteredMemory,
  Result,
  Status,
  WsaCode,
} from '../../spi/index.ts'
import type { Quota } from '../../base/quota.ts'
import { FurtherMemory } from '../../san/index.ts'
import type { Connection, ConnectionOwner } from '../../san/index.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import type { Answer, FurtherPiece, Slot, SlotHolder } from './slot.ts'

/** What a connection needs of the provider around it. */
export interface ConnectionHost {
  /** For all its connections; each gives its own back when it closes. */
  readonly connections: Quota
  /** Nobody listens at the end of the link any more. */
  forget(link: Link): void
  /** Handles what has arrived, and tells nobody from inside this call. */
  progress(): void
}

/** One end of a connection in a slot of a link, from its request on. */
export class FabricConnection implements Connection, SlotHolder {
  readonly #host: ConnectionHost
  readonly #owner: ConnectionOwner
  readonly #slot: Slot
  readonly #further = new FurtherMemory<FurtherPiece>()
  #phase: 'asking' | 'standing' | 'closed'

  /** Asks for it; it has its place. */
  static ask(
    host: ConnectionHost,
    owner: ConnectionOwner,
    link: Link,
    request: ConnectionRequest,
  ): Result<FabricConnection> {
    const id = link.takeId()
    if (!id.ok) return id
    return success(new FabricConnection(host, owner, 'asking', (me) => link.request(id.value, me, request)))
  }

  /** Says yes to the request in slot `id`; it has its place. */
  static accept(
    host: ConnectionHost,
    owner: ConnectionOwner,
    link: Link,
    id: number,
    calleeData: Uint8Array,
  ): FabricConnection {
    return new FabricConnection(host, owner, 'standing', (me) => link.accept(id, me, calleeData))
  }

  private constructor(
    host: ConnectionHost,
    owner: ConnectionOwner,
    phase: 'asking' | 'standing',
    hold: (me: SlotHolder) => Slot,
  ) {
    this.#host = host
    this.#owner = owner
    this.#phase = phase
    this.#slot = hold(this)
    this.#slot.open()
  }

  // --- data ---------------------------------------------------------------------------------------------------------

  get memory(): ConnectionMemory {
    return this.#slot.memory
  }

  register(bytes: number): Result<RegisteredMemory> {
    const taken = this.#slot.link.take(bytes)
    if (taken.ok) {
      this.#further.add(taken.value)
      this.#slot.announce(taken.value)
    }
    return taken
  }

  deregister(memory: RegisteredMemory): Status {
    const further = this.#further.remove(memory)
    if (further === undefined) return WSA.WSAEINVAL
    this.#slot.withdraw(further)
    this.#slot.link.give(further.piece)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const length = this.#slot.lengthOf(descriptor)
    if (length === undefined || !(bytes > 0 && bytes <= length)) return failure(WSA.WSAEFAULT)
    const { bytes: all, words } = this.#slot.link
    const offset = layout.MIRROR_AT + descriptor * layout.PAGE_BYTES
    return success({ bytes: all, words, offset, length: bytes })
  }

  write(memory: RegisteredMemory, offset: number, length: number): Status {
    if (memory === this.#slot.memory.send) {
      this.#slot.wroteRegion(offset, offset + length)
      return 0
    }
    const further = this.#further.find(memory)
    if (further === undefined) return WSA.WSAEINVAL
    this.#slot.wroteFurther(further, offset, offset + length)
    return 0
  }

  signal(): Status {
    this.#slot.signal()
    return 0
  }

  poll(): void {
    this.#host.progress()
  }

  // --- what the slot tells ------------------------------------------------------------------------------------------

  answered(answer: Answer): void {
    if (this.#phase !== 'asking') return
    switch (answer.kind) {
      case 'accepted':
        this.#phase = 'standing'
        this.#owner.accepted(this, answer.calleeData)
        break
      case 'judging':
        this.#owner.judging()
        break
      case 'refused':
        if (answer.code === WSA.WSAETIMEDOUT) this.#host.forget(this.#slot.link)
        this.#refused(answer.code)
        break
    }
  }

  signalled(): void {
    this.#owner.signalled()
  }

  ended(): void {
    // Accepted and given up in one breath: nobody there has heard of us, so this is not final.
    if (this.#phase === 'asking') this.#giveUp(WSA.WSAECONNABORTED)
    else this.#owner.ended(WSA.WSAECONNRESET)
  }

  linkDown(code: WsaCode): void {
    const isOver = code === WSA.WSAECONNRESET || code === WSA.WSAECONNABORTED
    if (this.#phase === 'asking') this.#giveUp(isOver ? WSA.WSAETIMEDOUT : code)
    else this.#owner.ended(code === WSA.WSAECONNABORTED ? code : WSA.WSAECONNRESET)
  }

  released(): void {
    for (const { piece } of this.#further.clear()) this.#slot.link.give(piece)
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  #giveUp(code: WsaCode): void {
    this.#slot.end()
    this.#refused(code)
  }

  #refused(code: WsaCode): void {
    this.#phase = 'closed'
    this.#host.connections.give()
    this.#owner.refused(code)
  }

  close(): void {
    this.#phase = 'closed'
    this.#slot.end()
    this.#host.connections.give()
  }
}
