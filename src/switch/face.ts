import type { HostSocket, SocketAddress, Stream } from '../spi/index.ts'
import type { Reason } from './reasons.ts'
import type { SwitchSocket } from './socket.ts'

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

/** A connection as it comes to a socket. */
export interface Carried {
  readonly stream: Stream
  readonly local: SocketAddress
  readonly remote: SocketAddress
  readonly direction: 'in' | 'out'
  /** `tcpip`, or the SAN provider that carries it. */
  readonly provider: string
  /** Why TCP/IP carries it. */
  readonly reason?: Reason
}

export function connectionReport(carried: Carried): ConnectionReport {
  const { stream, local, remote, direction, provider, reason } = carried
  const { state, bytesRead, bytesWritten } = stream
  return { direction, local, remote, state, provider, ...(reason && { reason }), bytesRead, bytesWritten }
}

/** @param host TCP/IP's socket below `socket`. Undefined when it has lost its address. */
export function listenerReport(
  host: HostSocket,
  { providers, reason }: SwitchSocket,
): ListenerReport | undefined {
  const local = host.localAddress()
  return local.ok ? { local: local.value, providers, ...(reason && { reason }) } : undefined
}

/** A face in the eyes of its process: what it has, and its part in an orderly end. */
export interface Face {
  listeners(): Iterable<ListenerReport>
  connections(): Iterable<ConnectionReport>
  /** The process is about to end: tells peers what the kernel tells those of a process's TCP connections. */
  farewell(): void
}
