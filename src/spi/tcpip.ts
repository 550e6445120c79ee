import type { AddressFamily, SocketAddress } from './address.ts'
import type { Result, Status } from './errors.ts'
import type { SocketOption } from './options.ts'
import type { Stream } from './stream.ts'

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

/** A connection that arrived over TCP/IP. */
export interface TcpipArrival {
  readonly stream: Stream
  readonly local: SocketAddress
  readonly remote: SocketAddress
}

/** Who hears what a TCP/IP socket does in its own time; never from inside a call into it. */
export interface TcpipOwner {
  /** The {@link TcpipSocket.connect} has ended: 0 with the stream, or why it failed. */
  connected(status: Status, stream?: Stream): void
  /** The kernel has accepted a connection. It knows no way to leave one alone: keep it, or reset it. */
  arrived(arrival: TcpipArrival): void
}

/**
 * An application's TCP/IP socket, for faces whose applications are not programs of `node:net`. An address shows as the
 * socket's family does: an IPv6 socket has mapped IPv4 peers.
 */
export interface HostSocket extends TcpipSocket {
  /**
   * Binds; port 0 chooses one that {@link localAddress} then tells. Works before connect, too.
   *
   * Fails with `WSAEADDRINUSE`, `WSAEADDRNOTAVAIL`, `WSAEACCES`, `WSAEINVAL` when it is bound.
   */
  bind(address: SocketAddress, ipv6Only?: boolean): Status
  /** Remembered for the streams that come of this socket. `WSAENOPROTOOPT` for what Node does not let one set. */
  setOption(option: SocketOption, value: number): Status
  /** Ends everything but the streams that came of it. Idempotent. */
  close(): void
}

/** The TCP/IP provider. */
export interface TcpipProvider {
  socket(family: AddressFamily, owner: TcpipOwner): HostSocket
}
