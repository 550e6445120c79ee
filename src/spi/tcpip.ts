import type { SocketAddress } from './address.ts'
import type { Result, Status } from './errors.ts'

/**
 * What the switch needs of the TCP/IP provider for one application socket. The application's descriptor is this socket's;
 * how its data move once TCP/IP carries it is between the face and TCP/IP.
 *
 * @source WSD §3.2, §3.3, WSD-COMP-9
 */
export interface TcpipSocket {
  /**
   * Makes the local address and port of a coming connect known, and keeps them from everybody else, without connecting.
   * `destination` says on which local address a connect to it would leave. Idempotent.
   *
   * Fails with `WSAEADDRINUSE`, `WSAEADDRNOTAVAIL`, `WSAEMFILE`, `WSAENOBUFS`.
   */
  reserve(destination: SocketAddress): Result<SocketAddress>
  /** The address it is bound to, or `WSAEINVAL` when it is not. */
  localAddress(): Result<SocketAddress>
  /** Starts to listen; the switch calls it before anything else (WSD-LISTEN-1). */
  listen(backlog: number): Status
  /** Connects over TCP/IP, giving a reservation back first. From here on TCP/IP carries the socket. */
  connect(destination: SocketAddress): Status
  /** Gives the reservation back; the connection over the SAN that needed it is closed. */
  release(): void
}
