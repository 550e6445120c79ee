import type { Status } from './errors.ts'

/** The only two network events between switch and provider; a mask is their sum (WSD-SYNC-2). */
export const FD_ACCEPT = 0x08
export const FD_CONNECT = 0x10

/**
 * A manual-reset event. Signalling never calls back into the provider from inside the provider's own code: whoever waits
 * is told later, in a turn of its own.
 *
 * @source the Win32 event object of WSD-LISTEN-8 and WSD-CONN-4
 */
export interface EventObject {
  set(): void
  reset(): void
  readonly isSet: boolean
}

/** What happened on a socket since the last enumeration. */
export interface NetworkEvents {
  /** Sum of the `FD_…` bits that occurred. */
  readonly mask: number
  /** Result of the connect, or `WSA_IO_PENDING` where the peer has pended it; meaningful with {@link FD_CONNECT} in the mask. */
  readonly connectStatus: Status
}
