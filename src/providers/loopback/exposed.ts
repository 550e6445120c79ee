import { WSA, failure, success } from '../../spi/index.ts'
import type { RdmaAccess, RdmaLimits, Result, Status } from '../../spi/index.ts'
import type { PinnedMemory } from './pinned.ts'

interface Exposed {
  readonly memory: Uint8Array
  readonly access: RdmaAccess
  /** Registrations that have not been taken back. */
  count: number
  /** Reads of the peer that are under way. */
  readers: number
}

const ACCESSES: readonly string[] = ['read', 'write', 'readWrite']
/** Stretches that one socket may expose at a time. */
const EXPOSED_AT_MOST = 256

/** The application memory that one end of a connection has exposed to the other. */
export class ExposedMemory {
  readonly #limits: RdmaLimits | undefined
  readonly #pinned: PinnedMemory
  readonly #byDescriptor = new Map<number, Exposed>()
  #descriptors = 0

  constructor(limits: RdmaLimits | undefined, pinned: PinnedMemory) {
    this.#limits = limits
    this.#pinned = pinned
  }

  register(memory: Uint8Array, access: RdmaAccess): Result<number> {
    if (this.#limits === undefined) return failure(WSA.WSAEOPNOTSUPP)
    if (memory.length === 0 || !ACCESSES.includes(access)) return failure(WSA.WSAEINVAL)
    if (memory.length > this.#limits.maxBytes) return failure(WSA.WSAENOBUFS)
    for (const [descriptor, each] of this.#byDescriptor) {
      if (each.access !== access || !isSame(each.memory, memory)) continue
      each.count += 1
      return success(descriptor)
    }
    if (this.#byDescriptor.size >= EXPOSED_AT_MOST) return failure(WSA.WSAENOBUFS)
    this.#pinned.pin(memory)
    this.#descriptors += 1
    this.#byDescriptor.set(this.#descriptors, { memory, access, count: 1, readers: 0 })
    return success(this.#descriptors)
  }

  deregister(descriptor: number): Status {
    const exposed = this.#byDescriptor.get(descriptor)
    if (exposed === undefined || (exposed.count === 1 && exposed.readers > 0)) return WSA.WSAEINVAL
    exposed.count -= 1
    if (exposed.count === 0) this.#byDescriptor.delete(descriptor)
    return 0
  }

  /** What the peer may read there: `length` bytes at `offset`; the caller ends the reading. */
  beginRead(
    descriptor: number,
    offset: number,
    length: number,
  ): { readonly bytes: Uint8Array; end(): void } | undefined {
    const exposed = this.#byDescriptor.get(descriptor)
    if (exposed === undefined || exposed.access === 'write') return undefined
    const inside = Number.isInteger(offset) && offset >= 0 && offset + length <= exposed.memory.length
    if (!inside) return undefined
    exposed.readers += 1
    return {
      bytes: exposed.memory.subarray(offset, offset + length),
      end: () => {
        exposed.readers -= 1
      },
    }
  }

  clear(): void {
    this.#byDescriptor.clear()
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.buffer === other.buffer && one.byteOffset === other.byteOffset && one.length === other.length
}
