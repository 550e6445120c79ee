import { WSA, failure, success } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  MemoryRegion,
  Overlapped,
  RdmaAccess,
  RdmaLimits,
  RegisteredMemory,
  Result,
  Status,
} from '../../spi/index.ts'
import type { Connection, ConnectionOwner } from '../../san/index.ts'
import { ExposedMemory } from './exposed.ts'
import type { PinnedMemory } from './pinned.ts'

/** Runs `action` in a turn of its own, in the order of the calls; no upcall is made from inside a down-call (UP-1). */
export function later(action: () => void): void {
  setImmediate(action)
}

export interface ConnectionLimits {
  readonly regionBytes: number
  readonly registeredBytes: number
  readonly rdma?: RdmaLimits | undefined
  /** True: no read of the peer's application memory is done at once. */
  readonly slowReads: boolean
}

/** What a connection needs of the provider around it. */
export interface ConnectionHost {
  readonly connectionLimits: ConnectionLimits
  readonly pinned: PinnedMemory
  /** Keeps an end for the process that takes it over; returns what that shows. */
  leave(end: LoopbackConnection, processId: number): Uint8Array
}

/** Whose an end is. */
export interface Side {
  readonly host: ConnectionHost
  readonly owner: ConnectionOwner
}

const REGION_ALIGNMENT = 64

/**
 * One end of a connection. Reflective memory is memory that both ends view: my send region is the peer's receive region,
 * so that writing is publishing and `write` has nothing to move.
 */
export class LoopbackConnection implements Connection {
  readonly #host: ConnectionHost
  readonly #owner: ConnectionOwner
  readonly #exposed: ExposedMemory
  readonly #registered = new Map<number, RegisteredMemory>()
  #memory: ConnectionMemory
  #peer: LoopbackConnection = this
  #descriptors = 0
  #bytesLeft: number
  /** The owner is to be told. */
  #signalled = false
  /** Reads under way, and the signal that must not overtake them. */
  #reads = 0
  #signalAfterReads = false
  #state: 'standing' | 'left' | 'closed' = 'standing'

  get #closed(): boolean {
    return this.#state === 'closed'
  }

  /** Makes both ends of a connection. */
  static pair(one: Side, other: Side): readonly [LoopbackConnection, LoopbackConnection] {
    const [first, second] = regions(one.host.connectionLimits.regionBytes)
    const near = new LoopbackConnection(one, { send: first, receive: second })
    const far = new LoopbackConnection(other, { send: second, receive: first })
    near.#peer = far
    far.#peer = near
    return [near, far]
  }

  private constructor({ host, owner }: Side, memory: ConnectionMemory) {
    this.#host = host
    this.#owner = owner
    this.#memory = memory
    this.#exposed = new ExposedMemory(host.connectionLimits.rdma, host.pinned)
    this.#bytesLeft = host.connectionLimits.registeredBytes
  }

  get memory(): ConnectionMemory {
    return this.#memory
  }

  register(bytes: number): Result<RegisteredMemory> {
    if (bytes > this.#bytesLeft) return failure(WSA.WSAENOBUFS)
    this.#bytesLeft -= bytes
    this.#descriptors += 1
    const views = viewsOf(new ArrayBuffer(Math.max(bytes, Int32Array.BYTES_PER_ELEMENT)))
    const memory = { ...views, offset: 0, length: bytes, descriptor: this.#descriptors }
    this.#registered.set(memory.descriptor, memory)
    return success(memory)
  }

  deregister(memory: RegisteredMemory): Status {
    if (!this.#has(memory)) return WSA.WSAEINVAL
    this.#registered.delete(memory.descriptor)
    this.#bytesLeft += memory.length
    return 0
  }

  #has(memory: RegisteredMemory): boolean {
    return this.#registered.get(memory.descriptor) === memory
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const memory = this.#peer.#registered.get(descriptor)
    return memory?.length === bytes ? success(memory) : failure(WSA.WSAEFAULT)
  }

  write(memory: RegisteredMemory): Status {
    if (memory !== this.#memory.send && !this.#has(memory)) return WSA.WSAEINVAL
    return this.#peer.#closed ? WSA.WSAECONNRESET : 0
  }

  signal(): Status {
    if (this.#peer.#closed) return WSA.WSAECONNRESET
    if (this.#reads > 0) {
      this.#signalAfterReads = true
      return 0
    }
    this.#peer.#signalled = true
    later(this.#peer.#tell)
    return 0
  }

  poll(): void {
    this.#tell()
  }

  // Signals come before the peer's end.
  readonly #tell = (): void => {
    if (this.#closed) return
    if (this.#signalled) {
      this.#signalled = false
      this.#owner.signalled()
    }
    if (this.#peer.#closed) this.#owner.ended(WSA.WSAECONNRESET)
  }

  // --- application memory -------------------------------------------------------------------------------------------

  expose(memory: Uint8Array, access: RdmaAccess): Result<number> {
    return this.#exposed.register(memory, access)
  }

  conceal(descriptor: number): Status {
    return this.#exposed.deregister(descriptor)
  }

  read(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    const { rdma, slowReads } = this.#host.connectionLimits
    if (rdma === undefined) return WSA.WSAEOPNOTSUPP
    if (this.#peer.#closed) return WSA.WSAECONNRESET
    if (target.length > rdma.maxBytes) return WSA.WSAEINVAL
    const reading = this.#peer.#exposed.beginRead(descriptor, offset, target.length)
    if (reading === undefined) return WSA.WSAEFAULT
    if (!slowReads) {
      target.set(reading.bytes)
      reading.end()
      return 0
    }
    if (overlapped === null) {
      reading.end()
      return WSA.WSAEWOULDBLOCK
    }
    overlapped.begin()
    this.#reads += 1
    later(() => {
      reading.end()
      this.#readDone(overlapped, reading.bytes, target)
    })
    return WSA.WSA_IO_PENDING
  }

  #readDone(overlapped: Overlapped, bytes: Uint8Array, target: Uint8Array): void {
    this.#reads -= 1
    if (!this.#closed) target.set(bytes)
    overlapped.end(this.#closed ? WSA.WSA_OPERATION_ABORTED : 0, this.#closed ? 0 : target.length)
    this.#owner.completed(overlapped)
    if (this.#reads > 0 || !this.#signalAfterReads) return
    this.#signalAfterReads = false
    this.signal()
  }

  // --- moving, and the end ------------------------------------------------------------------------------------------

  /** This side waits for the process that takes it over, and the peer hears nothing of it. */
  duplicate(processId: number): Result<Uint8Array> {
    this.#state = 'left'
    return success(this.#host.leave(this, processId))
  }

  /**
   * Another process takes this side over: both sides get new memory, and what they had registered is gone.
   *
   * @returns the new end, or undefined when the peer is gone.
   */
  takeOver(side: Side): LoopbackConnection | undefined {
    const peer = this.#peer
    if (peer.#closed) return undefined
    const [first, second] = regions(side.host.connectionLimits.regionBytes)
    const near = new LoopbackConnection(side, { send: first, receive: second })
    near.#peer = peer
    peer.#peer = near
    peer.#memory = { send: second, receive: first }
    peer.#registered.clear()
    peer.#bytesLeft = peer.#host.connectionLimits.registeredBytes
    peer.#exposed.clear()
    return near
  }

  /** What its owner has left is not the owner's to end. */
  close(): void {
    if (this.#state === 'standing') this.end()
  }

  end(): void {
    this.#state = 'closed'
    this.#exposed.clear()
    later(this.#peer.#tell)
  }
}

function regions(length: number): readonly [RegisteredMemory, RegisteredMemory] {
  const stride = Math.ceil(length / REGION_ALIGNMENT) * REGION_ALIGNMENT
  const whole = viewsOf(new ArrayBuffer(2 * stride))
  return [
    { ...whole, offset: 0, length, descriptor: 0 },
    { ...whole, offset: stride, length, descriptor: 0 },
  ]
}

function viewsOf(buffer: ArrayBuffer): { readonly bytes: Uint8Array; readonly words: Int32Array } {
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) }
}
