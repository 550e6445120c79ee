import type { SocketAddress } from '../spi/index.ts'
import type { Reason } from './reasons.ts'

/** A listener as `sockswitch ls` shows it. */
export interface ListenerReport {
  readonly local: SocketAddress
  /** The SAN providers that listen beside TCP/IP. */
  readonly providers: readonly string[]
  /** Why there are none. */
  readonly reason?: Reason
}

/** A connection as `sockswitch ls` shows it. */
export interface ConnectionReport {
  readonly direction: 'in' | 'out'
  readonly local: SocketAddress | undefined
  readonly remote: SocketAddress | undefined
  readonly state: string
  /** `tcpip`, or the SAN provider that carries it. */
  readonly provider: string
  /** Why TCP/IP carries it. */
  readonly reason?: Reason
  readonly bytesRead: number
  readonly bytesWritten: number
}

/** A face in the eyes of its process: what it has, and its part in an orderly end. */
export interface Face {
  listeners(): Iterable<ListenerReport>
  connections(): Iterable<ConnectionReport>
  /** The process is about to end: tells peers what the kernel tells those of a process's TCP connections. */
  farewell(): void
}
