import { WSA, failure, success } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  MemoryRegion,
  Overlapped,
  RdmaLimits,
  RegisteredMemory,
  Result,
  Status,
} from '../../spi/index.ts'
import { ExposedMemory } from './exposed.ts'
import type { PinnedMemory } from './pinned.ts'

/** Runs `action` in a turn of its own, in the order of the calls; no upcall is made from inside a down-call (UP-1). */
export function later(action: () => void): void {
  setImmediate(action)
}

/** Announces that `overlapped` has ended. */
export type Announce = (overlapped: Overlapped) => void

export interface ConnectionLimits {
  readonly regionBytes: number
  readonly maxMemoryBytes: number
  readonly registeredBytes: number
  readonly rdma?: RdmaLimits | undefined
  /** True: no read of the peer's application memory is done at once. */
  readonly slowReads: boolean
}

/** What a connection needs of the socket at one of its ends. */
export interface Side {
  readonly limits: ConnectionLimits
  readonly pinned: PinnedMemory
  readonly announce: Announce
  /** The connection goes on over `end`: the other one has moved to another process. */
  readonly rejoined: (end: LoopbackEnd) => void
}

const REGION_ALIGNMENT = 64

/**
 * One end of a connection. Reflective memory is memory that both ends view: my send region is the peer's receive region,
 * so that writing is publishing and `rdmaWrite` has nothing to move.
 */
export class LoopbackEnd {
  readonly memory: ConnectionMemory
  readonly #side: Side
  readonly #registered = new Map<number, RegisteredMemory>()
  readonly exposed: ExposedMemory
  #peer: LoopbackEnd = this
  #descriptors = 0
  #bytesLeft: number
  #posted: Overlapped | null = null
  #signalled = false
  /** Reads under way, and the signal that must not overtake them. */
  #reads = 0
  #signalAfterReads = false
  #closed = false
  #resetReported = false

  /** Makes both ends of a connection. */
  static pair(one: Side, other: Side): readonly [LoopbackEnd, LoopbackEnd] {
    const length = one.limits.regionBytes
    const stride = Math.ceil(length / REGION_ALIGNMENT) * REGION_ALIGNMENT
    const whole = viewsOf(new ArrayBuffer(2 * stride))
    const first = { ...whole, offset: 0, length, descriptor: 0 }
    const second = { ...whole, offset: stride, length, descriptor: 0 }
    const ends = [
      new LoopbackEnd(one, { send: first, receive: second }),
      new LoopbackEnd(other, { send: second, receive: first }),
    ] as const
    ends[0].#peer = ends[1]
    ends[1].#peer = ends[0]
    return ends
  }

  private constructor(side: Side, memory: ConnectionMemory) {
    const { limits, pinned } = side
    this.#side = side
    this.exposed = new ExposedMemory(limits.rdma, pinned)
    this.#bytesLeft = limits.registeredBytes
    this.memory = memory
    this.#registered.set(memory.send.descriptor, memory.send)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (bytes < 1 || !Number.isInteger(Math.log2(bytes))) return failure(WSA.WSAEINVAL)
    if (bytes > this.#side.limits.maxMemoryBytes || bytes > this.#bytesLeft) return failure(WSA.WSAENOBUFS)
    this.#bytesLeft -= bytes
    this.#descriptors += 1
    const views = viewsOf(new ArrayBuffer(Math.max(bytes, Int32Array.BYTES_PER_ELEMENT)))
    const memory = { ...views, offset: 0, length: bytes, descriptor: this.#descriptors }
    this.#registered.set(memory.descriptor, memory)
    return success(memory)
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    if (memory === this.memory.send || !this.#owns(memory)) return WSA.WSAEINVAL
    this.#registered.delete(memory.descriptor)
    this.#bytesLeft += memory.length
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const memory = this.#peer.#registered.get(descriptor)
    return memory?.length === bytes ? success(memory) : failure(WSA.WSAEFAULT)
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number): Status {
    if (!this.#owns(memory)) return WSA.WSAEINVAL
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) return WSA.WSAEINVAL
    return this.#peer.#closed ? WSA.WSAECONNRESET : 0
  }

  rdmaRead(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status {
    const { rdma, slowReads } = this.#side.limits
    if (rdma === undefined) return WSA.WSAEOPNOTSUPP
    if (this.#peer.#closed) return WSA.WSAECONNRESET
    if (target.length > rdma.maxBytes) return WSA.WSAEINVAL
    const reading = this.#peer.exposed.beginRead(descriptor, offset, target.length)
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
    if (!overlapped.silent) this.#side.announce(overlapped)
    if (this.#reads > 0 || !this.#signalAfterReads) return
    this.#signalAfterReads = false
    this.signal()
  }

  signal(): Status {
    const peer = this.#peer
    if (peer.#closed) return WSA.WSAECONNRESET
    if (this.#reads > 0) {
      this.#signalAfterReads = true
      return 0
    }
    peer.#signalled = true
    peer.#wake()
    return 0
  }

  receive(overlapped: Overlapped): Status {
    if (this.#posted !== null) return WSA.WSAEALREADY
    if (this.#resetReported) return WSA.WSAECONNRESET
    overlapped.begin()
    this.#posted = overlapped
    this.#wake()
    return WSA.WSA_IO_PENDING
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    const announce = this.#finishReceive()
    if (announce !== null) later(announce)
    if (overlapped.status === WSA.WSA_IO_PENDING) return failure(WSA.WSA_IO_INCOMPLETE)
    return overlapped.status === 0 ? success(overlapped.bytes) : failure(overlapped.status)
  }

  /** This side leaves the connection to another process: its receive ends with nothing (DUP-1). */
  leave(): void {
    const posted = this.#posted
    this.#posted = null
    if (posted === null) return
    posted.end(0, 0)
    later(() => {
      if (!posted.silent) this.#side.announce(posted)
    })
  }

  /**
   * Another process takes this side over: both sides get new memory, and the peer keeps what it has posted and what it was
   * told.
   *
   * @returns the new end, or undefined when the peer is gone.
   */
  takeOver(side: Side): LoopbackEnd | undefined {
    const peer = this.#peer
    if (peer.#closed) return undefined
    const [near, far] = LoopbackEnd.pair(side, peer.#side)
    far.#posted = peer.#posted
    far.#signalled = peer.#signalled
    peer.#posted = null
    peer.#side.rejoined(far)
    far.#wake()
    return near
  }

  close(): void {
    this.#closed = true
    this.exposed.clear()
    this.#wake()
    this.#peer.#wake()
  }

  #owns(memory: RegisteredMemory): boolean {
    return this.#registered.get(memory.descriptor) === memory
  }

  #wake(): void {
    later(() => this.#finishReceive()?.())
  }

  /** Ends the posted receive if there is something to tell; returns what announces it. */
  #finishReceive(): (() => void) | null {
    const posted = this.#posted
    const status = this.#news()
    if (posted === null || status === null) return null
    this.#posted = null
    if (status === 0) this.#signalled = false
    if (status === WSA.WSAECONNRESET) this.#resetReported = true
    posted.end(status, 0)
    return () => {
      if (!posted.silent) this.#side.announce(posted)
    }
  }

  /** How a receive would end now; null while there is nothing to tell. Signals come before the peer's end. */
  #news(): Status | null {
    if (this.#closed) return WSA.WSA_OPERATION_ABORTED
    if (this.#signalled) return 0
    return this.#peer.#closed ? WSA.WSAECONNRESET : null
  }
}

function viewsOf(buffer: ArrayBuffer): { readonly bytes: Uint8Array; readonly words: Int32Array } {
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer) }
}
