import { WSA, failure } from 'sockswitch/spi'
import type { ConnectionMemory, MemoryRegion, RegisteredMemory, Result, Status } from 'sockswitch/spi'
import type { Connection, ConnectionOwner } from 'sockswitch/san'
import type { Channel, Frame, Hearer } from './channel.ts'

/** What we say of ourselves: two regions for each connection, and no memory beyond them. */
export const BOUNDS = { regionBytes: 1 << 16, maxMemoryBytes: 0, pieceBytes: 1 << 14 }

function region(): MemoryRegion {
  const buffer = new ArrayBuffer(BOUNDS.regionBytes)
  return {
    bytes: new Uint8Array(buffer),
    words: new Int32Array(buffer),
    offset: 0,
    length: buffer.byteLength,
  }
}

/**
 * One end of a connection. Memory is _mirrored_: `write` sends a range of ours, and the peer copies it to the same place in its
 * copy. Frames arrive in order, and so do writes and signals. What the peer says is checked before it is used.
 */
export class UnixConnection implements Connection, Hearer {
  readonly memory: ConnectionMemory = { send: { ...region(), descriptor: 0 }, receive: region() }
  readonly #channel: Channel
  readonly #owner: ConnectionOwner

  constructor(channel: Channel, owner: ConnectionOwner) {
    this.#channel = channel
    this.#owner = owner
    channel.hearer = this
  }

  register(): Result<RegisteredMemory> {
    return failure(WSA.WSAENOBUFS)
  }

  deregister(): Status {
    return WSA.WSAEINVAL
  }

  peerMemory(): Result<MemoryRegion> {
    return failure(WSA.WSAEFAULT)
  }

  write(memory: RegisteredMemory, offset: number, length: number): Status {
    if (memory !== this.memory.send) return WSA.WSAEINVAL
    this.#channel.send('write', offset, memory.bytes.subarray(offset, offset + length))
    return 0
  }

  signal(): Status {
    this.#channel.send('signal')
    return 0
  }

  close(): void {
    this.#channel.close()
  }

  hear({ kind, number: offset, data }: Frame): boolean {
    const { receive } = this.memory
    if (kind === 'signal') this.#owner.signalled()
    else if (kind === 'write' && offset + data.length <= receive.length) receive.bytes.set(data, offset)
    else return false
    return true
  }

  /** What it wrote stays readable. */
  lost(): void {
    this.#owner.ended(WSA.WSAECONNRESET)
  }
}
