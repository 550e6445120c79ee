/** What one fabric provider may use; beyond it connections stay on TCP/IP, or go on with what they have. */
export interface FabricLimits {
  /** Links to other event loops, both roles. */
  readonly maxLinks: number
  /** Links with event loops at one address. */
  readonly maxLinksPerPeer: number
  /** Connections on all links; one link holds at most 1024. */
  readonly maxConnections: number
  /** How long a link may take to come up, in ms. */
  readonly handshakeMs: number
  /** For how long a connect waits for a link that is coming up, in ms; others than the first do not wait any longer. */
  readonly patienceMs: number
  /** How long nothing is tried at an address that did not answer, in ms. */
  readonly silentMs: number
  /** How long a link without connections is kept, in ms. */
  readonly idleLinkMs: number
  /** A peer that has been silent for this long is asked whether it is there; the fourth time it counts as dead, in ms. */
  readonly heartbeatMs: number
  /** Sends of more bytes than this the peer reads where they are, past the ring; infinitely many: none. */
  readonly readBytes: number
}

export const DEFAULT_LIMITS: FabricLimits = {
  maxLinks: 128,
  maxLinksPerPeer: 32,
  maxConnections: 16_384,
  handshakeMs: 10_000,
  patienceMs: 50,
  silentMs: 10_000,
  idleLinkMs: 30_000,
  heartbeatMs: 5000,
  readBytes: 256 << 10,
}
