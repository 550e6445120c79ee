/** What one shared-memory provider may use; beyond it connections stay on TCP/IP, or go on with what they have. */
export interface ShmLimits {
  /** Links to other event loops, both roles. */
  readonly maxLinks: number
  /** Connections on one link; at most 16384. */
  readonly maxConnectionsPerLink: number
  /** Connections on all links. */
  readonly maxConnections: number
  /** Bytes this side allocates for one link, and accepts from its peer. */
  readonly maxBytesPerLink: number
  /** Bytes this side allocates in all. */
  readonly maxBytes: number
  /** The largest ring of one direction of a connection; a power of two. */
  readonly maxRingBytes: number
  /** How long an accepted rendezvous may take to say what it wants, in ms. */
  readonly handshakeMs: number
  /** How long a link without connections is kept, in ms. */
  readonly idleLinkMs: number
  /** How long a connection that one process has left waits for the next, in ms. */
  readonly moveMs: number
}

export const DEFAULT_LIMITS: ShmLimits = {
  maxLinks: 256,
  maxConnectionsPerLink: 16_384,
  maxConnections: 65_536,
  maxBytesPerLink: 256 << 20,
  maxBytes: 1024 << 20,
  maxRingBytes: 1 << 20,
  handshakeMs: 1000,
  idleLinkMs: 30_000,
  moveMs: 5000,
}
