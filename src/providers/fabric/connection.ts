import { WSA, failure, success } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  ConnectionRequest,
  MemoryRegion,
  Overlapped,
  RdmaAccess,
  RegisteredMemory,
  Result,
  Status,
  WsaCode,
} from '../../spi/index.ts'
import type { Quota } from '../../base/quota.ts'
import { FurtherMemory } from '../../san/index.ts'
import type { Connection, ConnectionOwner } from '../../san/index.ts'
import type { FurtherPiece } from './further-pool.ts'
import * as layout from './layout.ts'
import type { Link } from './link.ts'
import { ConnectionReads } from './reads.ts'
import type { Answer, Slot, SlotHolder } from './slot.ts'

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
  readonly #reads = new ConnectionReads()
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
    const taken = this.#slot.link.further.take(bytes)
    if (taken.ok) {
      this.#further.add(taken.value)
      this.#slot.register(taken.value)
    }
    return taken
  }

  deregister(memory: RegisteredMemory): Status {
    const further = this.#further.remove(memory)
    if (further === undefined) return WSA.WSAEINVAL
    this.#slot.withdraw(further)
    this.#slot.link.further.give(further)
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
    this.#reads.after(this.#signal)
    return 0
  }

  readonly #signal = (): void => {
    this.#slot.signal()
  }

  poll(): void {
    this.#host.progress()
  }

  // --- application memory -------------------------------------------------------------------------------------------

  expose(memory: Uint8Array, access: RdmaAccess): Result<number> {
    return this.#slot.link.exposures.expose(this.#slot, memory, access)
  }

  conceal(descriptor: number): Status {
    return this.#slot.link.exposures.conceal(this.#slot, descriptor)
  }

  read(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    if (target.length > layout.MAX_EXPOSED_BYTES) return WSA.WSAEINVAL
    const from = this.#slot.exposed.find(descriptor, offset, target.length)
    if (from === undefined) return WSA.WSAEFAULT
    if (target.length === 0) return 0
    if (overlapped === null) return WSA.WSAEWOULDBLOCK
    if (!this.#reads.begin()) return WSA.WSAENOBUFS
    overlapped.begin()
    const done = (status: Status): void => {
      this.#readDone(overlapped, this.#phase === 'closed' ? WSA.WSA_OPERATION_ABORTED : status, target.length)
    }
    this.#slot.link.read({ target, from, done })
    return WSA.WSA_IO_PENDING
  }

  #readDone(overlapped: Overlapped, status: Status, length: number): void {
    overlapped.end(status, status === 0 ? length : 0)
    this.#owner.completed(overlapped)
    this.#reads.end()
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
    this.#slot.link.exposures.peerClosed(this.#slot)
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
    for (const further of this.#further.clear()) this.#slot.link.further.give(further)
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

  // What is being read is the fabric's to write until it is there, and the peer may not take its memory back before.
  close(): void {
    this.#phase = 'closed'
    this.#host.connections.give()
    this.#slot.link.exposures.closed(this.#slot)
    this.#reads.after(() => {
      this.#slot.end()
    })
  }
}
