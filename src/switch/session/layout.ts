/**
 * The session header at the start of each side's send region: words that only its owner writes. The rest of the region
 * is the first ring. docs/session-protocol.md explains each.
 */
export const SESSION_VERSION = 1

export const HEADER_BYTES = 192
export const MIN_REGION_BYTES = HEADER_BYTES + 1024

// First cache line: what the owner sends.
export const PRODUCED = 0
export const FLAGS = 1
export const RING_GENERATION = 2
export const RING_DESCRIPTOR = 3
export const RING_BYTES = 4
export const RING_START = 5
/** How often something was announced that is not a plain byte; what it was stands in the words after it. */
export const NEWS = 6
/** Cursor of the newest urgent byte. */
export const URGENT_AT = 7
/** How many urgent bytes there were, above the newest one in the low 8 bits. */
export const URGENT = 8
/** The newest large block: its number, the cursor before which it lies, its length, and the peer's way to it. */
export const BLOCK = 9
export const BLOCK_AT = 10
export const BLOCK_BYTES = 11
export const BLOCK_DESCRIPTOR = 12
// Second cache line: what the owner has taken of the peer's.
export const CONSUMED = 16
export const ADOPTED_GENERATION = 17
/** The newest block that was read to its end. */
export const BLOCK_TAKEN = 18

/** The owner takes the connection: the initiator goes through with it, the acceptor has seen that. */
export const FLAG_OPEN = 1
/** No byte follows the produced cursor. */
export const FLAG_END = 2
/** The owner has closed; it reads no more. */
export const FLAG_CLOSED = 4
/** The connection ended abruptly, as a TCP reset does. */
export const FLAG_ABORT = 8
/** The owner waits for room: signal when there is some. */
export const FLAG_BLOCKED = 16
/** The owner wants to hand its end to another process: the peer is to stand still. */
export const FLAG_SUSPEND = 32
/** The owner stands still: it has taken all it was sent, and sends nothing. */
export const FLAG_SUSPENDED = 64
/** The owner goes on over new memory. */
export const FLAG_RESUMED = 128
