import type { Result, Status } from './errors.ts'
import type { Overlapped } from './overlapped.ts'

/** What the peer may do with exposed memory (WSD-MEM-13). The session exposes memory for reading only. */
export type RdmaAccess = 'read' | 'write' | 'readWrite'

/** What a provider that moves application memory says of it. */
export interface RdmaLimits {
  /** The longest stretch that can be exposed, and read in one call (SO_MAX_RDMA_SIZE). */
  readonly maxBytes: number
  /** From this size on it is worth while (SO_RDMA_THRESHOLD_SIZE); the switch may think otherwise. */
  readonly thresholdBytes: number
}

/**
 * What a socket can do beyond {@link SanSocket} when its provider names {@link RdmaLimits}: the application's own memory is
 * exposed to the peer, which reads it straight into its application's. Optional: without it everything goes through rings.
 *
 * @source WSD §3.10, §3.14; WSD-LARGE-2
 */
export interface RdmaSocket {
  /**
   * Exposes memory of the application to the peer of this connection, and to nobody else.
   *
   * - EXPOSE-1 Answers a descriptor, an unsigned 32-bit number, that works for reading and writing as `access` says, and for
   *   this peer over this connection only. The peer knows of it once it has heard of a later {@link SanSocket.signal}.
   * - EXPOSE-2 The same memory may be exposed again: each registration needs its own {@link deregisterRdmaMemory}, and the
   *   last one ends the access, even where the provider keeps the memory in a cache.
   * - EXPOSE-3 Nothing, or an access that is none: `WSAEINVAL`. More than {@link RdmaLimits.maxBytes}, or no room:
   *   `WSAENOBUFS`, and the connection goes on. Without a connection `WSAENOTCONN`.
   *
   * @param memory Not moved, freed or written by the application until it is deregistered.
   * @source WSPRegisterRdmaMemory
   */
  registerRdmaMemory?(memory: Uint8Array, access: RdmaAccess): Result<number>
  /**
   * Ends one registration.
   *
   * - EXPOSE-4 `WSAEINVAL` for a descriptor that is not one of this socket, or while the peer is reading there: that it may be
   *   asked again a completed receive tells, as it tells of signals.
   *
   * @source WSPDeregisterRdmaMemory
   */
  deregisterRdmaMemory?(descriptor: number): Status
  /**
   * Reads `target.length` bytes at `offset` of what the peer has exposed as `descriptor` into `target`.
   *
   * - READ-1 0 when done at once; `WSA_IO_PENDING` when `overlapped` will complete with the number of bytes, and `target` is the
   *   provider's until then. Without `overlapped`: `WSAEWOULDBLOCK`, and nothing is done, where it cannot be done at once.
   *   Too many under way, or no room for it: `WSAENOBUFS`.
   * - READ-2 The numbers are the peer's words: what is not wholly inside memory that is exposed for reading answers `WSAEFAULT`,
   *   and moves nothing.
   * - READ-3 A later {@link SanSocket.signal} does not overtake the read: the peer may use the memory again when it hears of it.
   * - READ-4 `WSAECONNRESET` once the peer is gone, `WSAENOTCONN` without a connection.
   * - READ-5 One that is under way at the close completes once `target` is the caller's, and before `closeSocketHandle` (CLOSE-2).
   *
   * @source WSPRdmaRead; WSD-LARGE-R3, -R6, RACE-19
   */
  rdmaRead?(descriptor: number, offset: number, target: Uint8Array, overlapped: Overlapped | null): Status
}
