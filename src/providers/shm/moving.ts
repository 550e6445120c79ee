import { randomBytes } from 'node:crypto'
import { MOVE_PREFIX } from './names.ts'

/** How often the next process looks whether the peer is there, in ms; that it has opened it is told. */
export const LOOK_MS = 20
/** Connections whose peer has moved, waiting at a time. */
export const MAX_EXPECTED = 64

const NAME_BYTES = 8
const SECRET_BYTES = 16
export const TICKET_BYTES = NAME_BYTES + SECRET_BYTES + NAME_BYTES

/**
 * What a process that leaves a connection draws, and tells the peer and the next process: the name under which they meet, and
 * what the next one shows there. Names can be seen by anybody, the secret cannot.
 */
export interface Ticket {
  readonly bytes: Uint8Array
  /** The rendezvous that the peer offers. */
  readonly name: string
  readonly secret: Uint8Array
  /** Where the next process hears that the peer has opened. */
  readonly summons: string
}

export function drawTicket(): Ticket {
  return ticketIn(randomBytes(TICKET_BYTES))
}

/** @param bytes A private copy of {@link TICKET_BYTES}. */
export function ticketIn(bytes: Uint8Array): Ticket {
  const secretEnd = NAME_BYTES + SECRET_BYTES
  return {
    bytes,
    name: nameOf(bytes.subarray(0, NAME_BYTES)),
    secret: bytes.subarray(NAME_BYTES, secretEnd),
    summons: nameOf(bytes.subarray(secretEnd)),
  }
}

function nameOf(bytes: Uint8Array): string {
  return MOVE_PREFIX + Buffer.from(bytes).toString('hex')
}

/** What `duplicate` answers: for which process it is, who the peer is, and the ticket. */
export interface Passage {
  readonly processId: number
  readonly peerPid: number
  readonly ticket: Ticket
}

const PASSAGE_BYTES = 8 + TICKET_BYTES

export function encodePassage({ processId, peerPid, ticket }: Passage): Uint8Array {
  const bytes = Buffer.alloc(PASSAGE_BYTES)
  bytes.writeUInt32LE(processId >>> 0, 0)
  bytes.writeUInt32LE(peerPid >>> 0, 4)
  bytes.set(ticket.bytes, 8)
  return bytes
}

export function decodePassage(bytes: Uint8Array): Passage | undefined {
  if (bytes.length !== PASSAGE_BYTES) return undefined
  const all = Buffer.from(bytes)
  return { processId: all.readUInt32LE(0), peerPid: all.readUInt32LE(4), ticket: ticketIn(all.subarray(8)) }
}
