/**
 * Where things lie in the memory two event loops share. Each side writes only its own segments; every word has exactly
 * one writer. Changing anything here changes {@link LAYOUT_VERSION}.
 *
 * Segment 0 of each side: cursors, notification ring, slots 0 to 63. Further slot segments hold 256 slots each. Ring
 * segments hold the registered memory of the sessions.
 */
export const LAYOUT_VERSION = 1
export const LINK_MAGIC = 0x57_53_44_31

export const PAGE_BYTES = 4096

/** Word indexes in segment 0, each on a cache line of its own. */
export const LINK_ID = 0
export const NOTIFY_PRODUCED = 16
export const NOTIFY_CONSUMED = 32

export const MAX_CONNECTIONS = 16_384
/** A slot has at most one entry of each kind unread: a signal, and an end. */
export const NOTIFY_ENTRIES = MAX_CONNECTIONS * 2
const NOTIFY_RING_BYTE = PAGE_BYTES
export const NOTIFY_RING_WORD = NOTIFY_RING_BYTE / 4
export const NOTIFY_MASK = NOTIFY_ENTRIES - 1
/** Set in an entry that says "this side is through with the slot"; the rest is the slot's number. */
export const NOTIFY_END = 1 << 30

/** A slot: the provider's own line, then the session's region. */
export const SLOT_HEADER_BYTES = 64
export const REGION_BYTES = 1216
export const SLOT_BYTES = SLOT_HEADER_BYTES + REGION_BYTES
/** Where in a region the request and its answer lie until the connection is made; before it, zeroes. */
export const CONNECT_DATA_BYTE = 256
/** Word indexes in a slot's header. */
export const SLOT_STATE = 0
export const SLOT_DETAIL = 1
export const SLOT_DATA_BYTES = 2
/** Byte in a slot's header: the ticket of a side that has moved. */
export const SLOT_TICKET_BYTE = 16

const FIRST_SLOTS = 64
const FIRST_SLOTS_BYTE = NOTIFY_RING_BYTE + NOTIFY_ENTRIES * 4
const SLOTS_PER_SEGMENT = 256

export const LINK_SEGMENT_BYTES = pages(FIRST_SLOTS_BYTE + FIRST_SLOTS * SLOT_BYTES)
export const RING_SEGMENT_BYTES = 1 << 20
export const SLOT_SEGMENT_BYTES = pages(SLOTS_PER_SEGMENT * SLOT_BYTES)

/** Where slot `id` is: in which slot segment (0 is segment 0 itself), and at which byte. */
export function slotPlace(id: number): { readonly group: number; readonly byte: number } {
  if (id < FIRST_SLOTS) return { group: 0, byte: FIRST_SLOTS_BYTE + id * SLOT_BYTES }
  const rest = id - FIRST_SLOTS
  return { group: 1 + Math.floor(rest / SLOTS_PER_SEGMENT), byte: (rest % SLOTS_PER_SEGMENT) * SLOT_BYTES }
}

/** What a slot's state word says; the rest of the word is the generation, which tells one use of a slot from the next. */
export const PHASE_FREE = 0
/** The opener wants, or has, a connection. */
export const PHASE_OPEN = 1
/** The acceptor has accepted. */
export const PHASE_ACCEPTED = 2
/** The acceptor has refused; the detail word has the code. */
export const PHASE_REFUSED = 3
/** This side is through with the slot. */
export const PHASE_CLOSED = 4
/** The acceptor's application is judging the request; its answer follows. */
export const PHASE_JUDGING = 5
/** This side is through with the slot, and another process comes for the connection with the ticket. */
export const PHASE_MOVED = 6

const PHASE_BITS = 3
const GENERATION_MASK = (1 << (31 - PHASE_BITS)) - 1

export function slotState(generation: number, phase: number): number {
  return (generation << PHASE_BITS) | phase
}
export function phaseOf(state: number): number {
  return state & ((1 << PHASE_BITS) - 1)
}
export function generationOf(state: number): number {
  return (state >>> PHASE_BITS) & GENERATION_MASK
}
export function nextGeneration(generation: number): number {
  return (generation + 1) & GENERATION_MASK
}

/** Words of the status page; `native/poller.h` writes them. */
export const STATUS_BYTES = PAGE_BYTES
export const STATUS_SLEEPING = 0
export const STATUS_EPOCH = 1

function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES
}
