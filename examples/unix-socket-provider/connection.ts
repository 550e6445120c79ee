import { WSA, failure, success } from 'sockswitch/spi'
import type { ConnectionMemory, MemoryRegion, RegisteredMemory, Result, Status } from 'sockswitch/spi'
import type { Connection, ConnectionOwner } from 'sockswitch/san'
import type { Channel, Frame, Hearer } from './channel.ts'

/** What we say of ourselves. */
export const BOUNDS = { regionBytes: 4096, maxMemoryBytes: 1 << 20, pieceBytes: 1 << 16 }
/** What one side of a connection may register beyond its region. */
const REGISTERED_BYTES = 4 << 20

function region(length: number): MemoryRegion {
  const buffer = new ArrayBuffer(length)
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), offset: 0, length }
}

/**
 * One end of a connection. Memory is _mirrored_: `write` sends a range of ours, and the peer copies it to the same place in its
 * copy. Frames arrive in order, and so do writes and signals. What the peer says is checked before it is used.
 */
export class UnixConnection implements Connection, Hearer {
  readonly memory: ConnectionMemory = {
    send: { ...region(BOUNDS.regionBytes), descriptor: 0 },
    receive: region(BOUNDS.regionBytes),
  }
  readonly #channel: Channel
  readonly #owner: ConnectionOwner
  readonly #ours = new Map<number, RegisteredMemory>([[0, this.memory.send]])
  readonly #theirs = new Map<number, MemoryRegion>([[0, this.memory.receive]])
  #descriptors = 0
  #bytesLeft = REGISTERED_BYTES
  #theirBytesLeft = REGISTERED_BYTES

  constructor(channel: Channel, owner: ConnectionOwner) {
    this.#channel = channel
    this.#owner = owner
    channel.hearer = this
  }

  // --- what we do ---------------------------------------------------------------------------------------------------

  register(bytes: number): Result<RegisteredMemory> {
    if (bytes > this.#bytesLeft) return failure(WSA.WSAENOBUFS)
    this.#bytesLeft -= bytes
    this.#descriptors += 1
    const memory = { ...region(bytes), descriptor: this.#descriptors }
    this.#ours.set(memory.descriptor, memory)
    this.#channel.send('register', memory.descriptor, bytes)
    return success(memory)
  }

  deregister(memory: RegisteredMemory): Status {
    if (memory.descriptor === 0 || this.#ours.get(memory.descriptor) !== memory) return WSA.WSAEINVAL
    this.#ours.delete(memory.descriptor)
    this.#bytesLeft += memory.length
    this.#channel.send('forget', memory.descriptor)
    return 0
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const memory = descriptor === 0 ? undefined : this.#theirs.get(descriptor)
    return memory?.length === bytes ? success(memory) : failure(WSA.WSAEFAULT)
  }

  write(memory: RegisteredMemory, offset: number, length: number): Status {
    if (this.#ours.get(memory.descriptor) !== memory) return WSA.WSAEINVAL
    const range = memory.bytes.subarray(offset, offset + length)
    this.#channel.send('write', memory.descriptor, offset, range)
    return 0
  }

  signal(): Status {
    this.#channel.send('signal')
    return 0
  }

  close(): void {
    this.#channel.close()
  }

  // --- what the peer does -------------------------------------------------------------------------------------------

  hear({ kind, one: descriptor, two, data }: Frame): boolean {
    const memory = this.#theirs.get(descriptor)
    switch (kind) {
      case 'signal':
        this.#owner.signalled()
        return true
      case 'write':
        if (memory === undefined || two + data.length > memory.length) return false
        memory.bytes.set(data, two)
        return true
      case 'register':
        this.#theirBytesLeft -= two
        if (memory !== undefined || this.#theirBytesLeft < 0 || two % 4 !== 0) return false
        this.#theirs.set(descriptor, region(two))
        return true
      case 'forget':
        this.#theirBytesLeft += memory?.length ?? 0
        return descriptor !== 0 && this.#theirs.delete(descriptor)
      default:
        return false
    }
  }

  /** What it wrote stays readable. */
  lost(): void {
    this.#owner.ended(WSA.WSAECONNRESET)
  }
}
