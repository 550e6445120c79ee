import { readlinkSync } from 'node:fs'
import type { SocketAddress } from '../../spi/index.ts'

/**
 * What a process says over the IPC channel before it sends a switched socket. Node keeps messages with this prefix to itself, so
 * a process that does not know this one passes it over.
 */
export interface Offer {
  readonly cmd: typeof OFFER
  readonly version: number
  /** What carries the connection. */
  readonly provider: string
  /** What who takes the offer says first, so that it cannot be mistaken for what an application writes; 32 hex digits. */
  readonly nonce: string
}
export const OFFER = 'NODE_SOCKSWITCH_OFFER'
export const OFFER_VERSION = 1
/** The socket that was offered does not come. */
export const NO_OFFER: Offer = { cmd: OFFER, version: 0, provider: '', nonce: '' }
const NONCE_BYTES = 16

/** Who takes an offer. */
export interface Taker {
  readonly processId: number
  readonly userId: number
  /** Where its abstract names and process numbers mean something. */
  readonly namespaces: string
  /** It can carry one more connection. */
  readonly hasRoom: boolean
}

/** What the taker is answered: the connection itself, or that the descriptor is all there is. */
export interface Cargo {
  readonly moved: boolean
  readonly provider: string
  readonly direction: 'in' | 'out'
  readonly local: SocketAddress
  readonly remote: SocketAddress
  /** The end of the stream follows what was not sent. */
  readonly ends: boolean
  readonly typeOfService: number
  /** The session, as `suspend` packed it. */
  readonly session: Uint8Array
  /** What the application has written and the session has not taken. */
  readonly unsent: Uint8Array
}

/** The most that a connection may have unsent and still move, in bytes. */
export const MAX_UNSENT_BYTES = 64 << 20
/** A session puts by at most 16 MiB; and some hundred bytes of text. */
const MAX_CARGO_BYTES = MAX_UNSENT_BYTES + (17 << 20)
const MAX_TAKER_BYTES = 4096

export function self(): Omit<Taker, 'hasRoom'> {
  const namespaces = ['net', 'pid'].map((kind) => readlinkSync(`/proc/self/ns/${kind}`)).join()
  return { processId: process.pid, userId: process.geteuid?.() ?? -1, namespaces }
}

export function encodeTaker(nonce: string, taker: Taker): Buffer {
  return Buffer.concat([Buffer.from(nonce, 'hex'), framed(Buffer.from(JSON.stringify(taker)))])
}

/** The taker in `bytes`, of which more may come; or `other` when they are something else. */
export function decodeTaker(nonce: string, bytes: Buffer): Taker | 'more' | 'other' {
  const said = bytes.subarray(0, NONCE_BYTES)
  if (!Buffer.from(nonce, 'hex').subarray(0, said.length).equals(said)) return 'other'
  const frame = frameIn(bytes.subarray(NONCE_BYTES), MAX_TAKER_BYTES)
  if (frame === 'more' || frame === 'other') return frame
  return JSON.parse(frame.toString()) as Taker
}

export function encodeCargo({ session, unsent, ...rest }: Cargo): Buffer {
  const head = Buffer.from(JSON.stringify({ ...rest, sessionBytes: session.length }))
  return framed(Buffer.concat([framed(head), session, unsent]))
}

/** The cargo in `bytes`, of which more may come; or `other` when they are something else. */
export function decodeCargo(bytes: Buffer): Cargo | 'more' | 'other' {
  const frame = frameIn(bytes, MAX_CARGO_BYTES)
  if (frame === 'more' || frame === 'other') return frame
  const head = frameIn(frame, frame.length)
  if (head === 'more' || head === 'other') return 'other'
  const { sessionBytes, ...rest } = JSON.parse(head.toString()) as Cargo & { readonly sessionBytes: number }
  const session = frame.subarray(4 + head.length, 4 + head.length + sessionBytes)
  return { ...rest, session, unsent: frame.subarray(4 + head.length + sessionBytes) }
}

/** A length, and as many bytes. */
function framed(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(bytes.length)
  return Buffer.concat([length, bytes])
}

function frameIn(bytes: Buffer, maxBytes: number): Buffer | 'more' | 'other' {
  if (bytes.length < 4) return 'more'
  const length = bytes.readUInt32LE(0)
  if (length > maxBytes) return 'other'
  return bytes.length < 4 + length ? 'more' : bytes.subarray(4, 4 + length)
}
