import { WSA, failure, success } from '../../spi/index.ts'
import type {
  ConnectionMemory,
  MemoryRegion,
  Overlapped,
  RegisteredMemory,
  Result,
  Status,
} from '../../spi/index.ts'

/** Runs `action` in a turn of its own, in the order of the calls; no upcall is made from inside a down-call (UP-1). */
export function later(action: () => void): void {
  setImmediate(action)
}

/** Announces that `overlapped` ended with `status`. */
export type Announce = (overlapped: Overlapped, status: Status) => void

export interface ConnectionLimits {
  readonly regionBytes: number
  readonly maxMemoryBytes: number
  readonly registeredBytes: number
}

const REGION_ALIGNMENT = 64

/**
 * One end of a connection. Reflective memory is memory that both ends view: my send region is the peer's receive region,
 * so that writing is publishing and `rdmaWrite` has nothing to move.
 */
export class LoopbackEnd {
  readonly memory: ConnectionMemory
  readonly #limits: ConnectionLimits
  readonly #announce: Announce
  readonly #registered = new Map<number, RegisteredMemory>()
  #peer: LoopbackEnd = this
  #descriptors = 0
  #bytesLeft: number
  #posted: Overlapped | null = null
  #signalled = false
  #closed = false
  #resetReported = false

  /** Makes both ends of a connection. */
  static pair(limits: ConnectionLimits, one: Announce, other: Announce): readonly [LoopbackEnd, LoopbackEnd] {
    const length = limits.regionBytes
    const stride = Math.ceil(length / REGION_ALIGNMENT) * REGION_ALIGNMENT
    const whole = viewsOf(new ArrayBuffer(2 * stride))
    const first = { ...whole, offset: 0, length, descriptor: 0 }
    const second = { ...whole, offset: stride, length, descriptor: 0 }
    const ends = [
      new LoopbackEnd(limits, { send: first, receive: second }, one),
      new LoopbackEnd(limits, { send: second, receive: first }, other),
    ] as const
    ends[0].#peer = ends[1]
    ends[1].#peer = ends[0]
    return ends
  }

  private constructor(limits: ConnectionLimits, memory: ConnectionMemory, announce: Announce) {
    this.#limits = limits
    this.#bytesLeft = limits.registeredBytes
    this.memory = memory
    this.#announce = announce
    this.#registered.set(memory.send.descriptor, memory.send)
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (bytes < 1 || !Number.isInteger(Math.log2(bytes))) return failure(WSA.WSAEINVAL)
    if (bytes > this.#limits.maxMemoryBytes || bytes > this.#bytesLeft) return failure(WSA.WSAENOBUFS)
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

  signal(): Status {
    const peer = this.#peer
    if (peer.#closed) return WSA.WSAECONNRESET
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

  close(): void {
    this.#closed = true
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
      if (!posted.silent) this.#announce(posted, status)
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
