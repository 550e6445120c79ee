import { LINK_WORD_BYTES } from '../../native/fabric.ts'

/**
 * Where things lie in the memory of a link, and so in the peer's mirror of it. Both sides have the same layout; changing
 * anything here changes {@link WIRE_VERSION}.
 */
export const WIRE_VERSION = 1
export const WIRE_MAGIC = 0x57_53_44_46

export const PAGE_BYTES = 4096

/** Messages posted for receiving, and under way, each way. */
export const MESSAGES = 64
export const MESSAGE_BYTES = 4096
/** RDMA writes under way. */
export const WRITES = 128
/** RDMA reads under way: what else goes over the link may have to wait for all of them. */
export const READS = 4

/** Stretches of the application's memory that one connection may expose at a time, and the longest one. */
export const MAX_EXPOSED = 16
export const MAX_EXPOSED_BYTES = 4 << 20

/** So many heartbeats without giving, or taking, what is to be read are the peer's death. */
export const MAX_STALLED_BEATS = 4

export const REGION_BYTES = 1216
/** Connections on one link. */
export const MAX_SLOTS = 1024

/** The arena: the regions of all slots, then the further memory of all connections. */
export const REGIONS_BYTES = MAX_SLOTS * REGION_BYTES
export const MAX_RING_BYTES = 1 << 20
const RING_SEGMENTS = 16
export const RINGS_BYTES = RING_SEGMENTS * MAX_RING_BYTES
export const ARENA_BYTES = REGIONS_BYTES + RINGS_BYTES

/** Bytes from the start of a link's memory. */
export const SENT_AT = LINK_WORD_BYTES
export const RECEIVED_AT = SENT_AT + MESSAGES * MESSAGE_BYTES
export const ARENA_AT = RECEIVED_AT + MESSAGES * MESSAGE_BYTES
export const MIRROR_AT = ARENA_AT + ARENA_BYTES

/** What the interface promises to be zero when a connection is made. */
export const ZEROED_BYTES = 256
