import type { Hello } from './hello.ts'
import type { SessionState } from './session-state.ts'

/** The urgent byte that lies among what is unread. */
export interface SavedMark {
  /** Bytes before it. */
  readonly ahead: number
  readonly byte: number
  readonly taken: boolean
}

/** What was taken out of the peer's rings and not read yet. */
export interface Unread {
  readonly bytes: Uint8Array
  readonly mark?: SavedMark | undefined
  readonly inline: boolean
}

/** A session between two processes. It travels over a channel of the application's, which is trusted. */
export interface PackedSession {
  readonly version: number
  /** What the provider makes the socket from. */
  readonly duplicate: Uint8Array
  readonly role: 'initiator' | 'acceptor'
  readonly state: Exclude<SessionState, 'negotiating' | 'closed' | 'reset'>
  readonly peerHello: Hello
  /** The cursors of the next byte to send and to receive. */
  readonly sent: number
  readonly received: number
  readonly bytesRead: number
  readonly bytesWritten: number
  readonly unread: Unread
}

export const PACKED_VERSION = 1

/** A length, as much JSON, then the two byte strings. */
export function encodePacked(session: PackedSession): Uint8Array {
  const { duplicate, unread, ...rest } = session
  const { mark, inline } = unread
  const head = Buffer.from(
    JSON.stringify({
      ...rest,
      duplicateBytes: duplicate.length,
      unreadBytes: unread.bytes.length,
      mark,
      inline,
    }),
  )
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  return Buffer.concat([length, head, duplicate, unread.bytes])
}

/** The session in `bytes`; undefined when that is none, or one of another version. */
export function decodePacked(bytes: Uint8Array): PackedSession | undefined {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  if (all.length < 4) return undefined
  const from = 4 + all.readUInt32LE(0)
  if (from > all.length) return undefined
  let head: Omit<PackedSession, 'duplicate' | 'unread'> &
    Omit<Unread, 'bytes'> & { readonly duplicateBytes: number; readonly unreadBytes: number }
  try {
    head = JSON.parse(all.toString('utf8', 4, from)) as typeof head
  } catch {
    return undefined
  }
  const { duplicateBytes, unreadBytes, mark, inline, ...rest } = head
  if (rest.version !== PACKED_VERSION || from + duplicateBytes + unreadBytes !== all.length) return undefined
  const duplicate = all.subarray(from, from + duplicateBytes)
  return { ...rest, duplicate, unread: { bytes: all.subarray(from + duplicateBytes), mark, inline } }
}
