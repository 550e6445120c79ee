import { WSA, failure, success } from 'sockswitch/spi'
import type {
  ConnectionMemory,
  MemoryRegion,
  Overlapped,
  RegisteredMemory,
  Result,
  Status,
} from 'sockswitch/spi'
import type { Channel, Frame } from './channel.ts'

export const REGION_BYTES = 4096
export const MAX_MEMORY_BYTES = 1 << 20
/** What one side of a connection may register. */
const REGISTERED_BYTES = 4 << 20

function region(length: number): MemoryRegion {
  const buffer = new ArrayBuffer(length)
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), offset: 0, length }
}

/**
 * The data plane of one end. Memory is _mirrored_: `rdmaWrite` sends a range of ours, and the peer copies it to the same place
 * in its copy. Frames arrive in order, and so do writes and signals.
 */
export class Connection {
  readonly memory: ConnectionMemory = {
    send: { ...region(REGION_BYTES), descriptor: 0 },
    receive: region(REGION_BYTES),
  }
  readonly #channel: Channel
  readonly #announce: (overlapped: Overlapped) => void
  readonly #ours = new Map<number, RegisteredMemory>([[0, this.memory.send]])
  readonly #theirs = new Map<number, MemoryRegion>([[0, this.memory.receive]])
  #descriptors = 0
  #bytesLeft = REGISTERED_BYTES
  #theirBytesLeft = REGISTERED_BYTES
  #posted: Overlapped | null = null
  #signalled = false
  #gone = false
  #goneReported = false

  constructor(channel: Channel, announce: (overlapped: Overlapped) => void) {
    this.#channel = channel
    this.#announce = announce
  }

  /** False when the peer breaks the rules. */
  hear(frame: Frame): boolean {
    switch (frame.kind) {
      case 'signal':
        this.#signalled = true
        this.#finishReceive()
        return true
      case 'register':
        this.#theirBytesLeft -= frame.bytes
        if (this.#theirBytesLeft < 0 || frame.bytes % 4 !== 0 || this.#theirs.has(frame.descriptor))
          return false
        this.#theirs.set(frame.descriptor, region(frame.bytes))
        return true
      case 'forget':
        this.#theirBytesLeft += this.#theirs.get(frame.descriptor)?.length ?? 0
        return frame.descriptor !== 0 && this.#theirs.delete(frame.descriptor)
      case 'write': {
        const target = this.#theirs.get(frame.descriptor)
        if (target === undefined || frame.offset + frame.data.length > target.length) return false
        target.bytes.set(frame.data, frame.offset)
        return true
      }
      default:
        return false
    }
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    if (!(bytes >= 4) || !Number.isInteger(Math.log2(bytes))) return failure(WSA.WSAEINVAL)
    if (bytes > MAX_MEMORY_BYTES || bytes > this.#bytesLeft || this.#gone) return failure(WSA.WSAENOBUFS)
    this.#bytesLeft -= bytes
    this.#descriptors += 1
    const memory = { ...region(bytes), descriptor: this.#descriptors }
    this.#ours.set(memory.descriptor, memory)
    this.#channel.send({ kind: 'register', descriptor: memory.descriptor, bytes })
    return success(memory)
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    if (memory.descriptor === 0 || this.#ours.get(memory.descriptor) !== memory) return WSA.WSAEINVAL
    this.#ours.delete(memory.descriptor)
    this.#bytesLeft += memory.length
    if (!this.#gone) this.#channel.send({ kind: 'forget', descriptor: memory.descriptor })
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const memory = descriptor === 0 ? undefined : this.#theirs.get(descriptor)
    return memory?.length === bytes ? success(memory) : failure(WSA.WSAEFAULT)
  }

  rdmaWrite(memory: RegisteredMemory, offset: number, length: number): Status {
    if (this.#ours.get(memory.descriptor) !== memory) return WSA.WSAEINVAL
    if (!(offset >= 0 && length >= 0 && offset + length <= memory.length)) return WSA.WSAEINVAL
    if (this.#gone) return WSA.WSAECONNRESET
    const data = memory.bytes.subarray(offset, offset + length)
    this.#channel.send({ kind: 'write', descriptor: memory.descriptor, offset, data })
    return 0
  }

  signal(): Status {
    if (this.#gone) return WSA.WSAECONNRESET
    this.#channel.send({ kind: 'signal' })
    return 0
  }

  receive(overlapped: Overlapped): Status {
    if (this.#posted !== null) return WSA.WSAEALREADY
    if (this.#goneReported) return WSA.WSAECONNRESET
    overlapped.begin()
    this.#posted = overlapped
    setImmediate(() => {
      this.#finishReceive()
    })
    return WSA.WSA_IO_PENDING
  }

  /** The peer is gone; what it wrote stays readable. */
  lose(): void {
    this.#gone = true
    this.#finishReceive()
  }

  /** Ends the posted receive, silently: the caller announces it. */
  abort(): Overlapped | null {
    const posted = this.#posted
    this.#posted = null
    posted?.end(WSA.WSA_OPERATION_ABORTED, 0)
    return posted
  }

  // Signals come before the peer's end.
  #finishReceive(): void {
    const posted = this.#posted
    if (posted === null || (!this.#signalled && !this.#gone)) return
    this.#posted = null
    posted.end(this.#signalled ? 0 : WSA.WSAECONNRESET, 0)
    if (this.#signalled) this.#signalled = false
    else this.#goneReported = true
    if (!posted.silent) this.#announce(posted)
  }
}
