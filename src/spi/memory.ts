/**
 * A stretch of registered memory. `bytes` and `words` view the same memory, are usually larger than the region, and
 * only `[offset, offset + length)` belongs to it; sharing the views keeps a connection small.
 */
export interface MemoryRegion {
  readonly bytes: Uint8Array
  /** 32-bit words of the same memory, for `Atomics`; word index = byte offset / 4. */
  readonly words: Int32Array
  /** First byte of the region in `bytes`; a multiple of 64. */
  readonly offset: number
  /** Bytes in the region. */
  readonly length: number
}

/** Memory that the socket registered for sending: it writes here, the peer sees it read-only. */
export interface RegisteredMemory extends MemoryRegion {
  /** What the peer passes to {@link SanSocket.peerMemory} to see this region; an unsigned 32-bit number. */
  readonly descriptor: number
}

/**
 * The two contiguous regions of a connected socket (WSD-MEM-6), as *reflective memory*: what I write into my send region
 * appears, in order, in the peer's receive region. Writing into the receive region is a fault of the process: it may be
 * mapped read-only. The first 256 bytes of each are zero when the connection is made; the rest is undefined.
 */
export interface ConnectionMemory {
  readonly send: RegisteredMemory
  readonly receive: MemoryRegion
}
