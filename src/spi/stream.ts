import type { Status, WsaCode } from './errors.ts'
import type { SocketOption } from './options.ts'

/** Whoever uses a stream hears from it through these, never from inside a call into it. */
export interface StreamOwner {
  /** Bytes, the end or a reset can be read. */
  readable(): void
  /** A write that was cut short may go on, or has become hopeless; or nothing is {@link Stream.unsent} any more. */
  writable(): void
}

/** Where a connection stands, whoever carries it. */
export type StreamState = 'negotiating' | 'open' | 'draining' | 'halfOpen' | 'finished' | 'reset' | 'closed'

/**
 * A connection, whoever carries it: a byte stream each way, half-close and reset, with the meaning TCP gives them on Linux.
 * A session is one over a SAN, the TCP/IP provider makes the others. Nothing here waits, and nothing is read from the peer
 * beyond what the carrier's own window takes: a reader that does not read holds the writer back.
 *
 * @source WSD §3.9, §3.12, §3.13
 */
export interface Stream {
  readonly state: StreamState
  readonly bytesRead: number
  readonly bytesWritten: number

  /** Who hears of what happens. What has happened before is told by a later event or found by asking. */
  attach(owner: StreamOwner): void

  /**
   * Takes what fits of `chunks`, from byte `offset` of the one at `index` on, and copies it: the memory is the caller's again
   * when this returns. Fewer bytes than offered: the writer is blocked, and {@link StreamOwner.writable} follows.
   *
   * @returns bytes taken; or, negative, `WSAESHUTDOWN` after the end was sent here or the peer has closed,
   *   `WSAECONNRESET` after a reset.
   */
  write(chunks: readonly Uint8Array[], index?: number, offset?: number): number
  /** Bytes taken that the carrier has not: 0 over a SAN, where taken bytes are the peer's to read. */
  readonly unsent: number
  /** Sends the end of the stream after everything written. Idempotent. */
  shutdown(): void

  /** Bytes that can be read now. */
  readonly available: number
  /** A new buffer of at most `maxBytes` that the caller owns, or undefined when nothing is there. */
  read(maxBytes: number): Buffer | undefined
  /** Copies at most `maxBytes` into the caller's own buffer at `to`; returns how many bytes. */
  readInto(target: Uint8Array, to: number, maxBytes: number): number
  /**
   * What follows when nothing more can be read: `more` may come, the peer's `end` was reached, or the connection was
   * `reset`. Ask after {@link read} found nothing.
   */
  readEnd(): 'more' | 'end' | 'reset'
  /** True once the peer is known to have reset the connection, also while bytes from before are still unread. */
  readonly aborted: boolean

  /** `WSAENOPROTOOPT` where it means nothing on this carrier. */
  setOption(option: SocketOption, value: number): Status

  /** Closes. Bytes left unread make it a reset, as closing a TCP socket does. */
  close(): void
  /** Ends the connection abruptly; the peer reads `WSAECONNRESET` after what it was sent before. */
  reset(): void
}

/** A code that {@link Stream.write} answers, as it does: negative. */
export function writeFailure(taken: number): WsaCode {
  return -taken as WsaCode
}
