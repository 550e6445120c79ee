import type { SocketAddress } from './address.ts'
import type { Result, Status, WsaCode } from './errors.ts'
import type { EventObject, NetworkEvents } from './events.ts'
import type { ConnectionMemory, MemoryRegion, RegisteredMemory } from './memory.ts'
import type { SocketOption } from './options.ts'
import type { Overlapped } from './overlapped.ts'
import type { RdmaSocket } from './rdma.ts'
import type { Sharing } from './sharing.ts'

/** An incoming request, as the condition function sees it. */
export interface ConnectionRequest {
  /** The peer's address: the caller id. */
  readonly remote: SocketAddress
  /** The local address the peer asked for: the callee id. */
  readonly local: SocketAddress
  /** What the peer passed to `connect`; a copy, at most 256 bytes. */
  readonly callerData: Uint8Array
}

/** What the condition function answers. */
export type Verdict =
  | { readonly decision: 'CF_ACCEPT'; readonly calleeData: Uint8Array }
  /** `error` is what the peer's connect fails with: `WSAECONNREFUSED` unless said otherwise. */
  | { readonly decision: 'CF_REJECT'; readonly error?: WsaCode }
  /** The request stays first in the queue; the next `accept` asks again. */
  | { readonly decision: 'CF_DEFER' }
  /** The request makes room for the next one and waits, as `pended`, for an `accept` that names it. */
  | { readonly decision: 'CF_PEND'; readonly pended: Overlapped }

export type ConditionFunction = (request: ConnectionRequest) => Verdict

/** An accepted connection. */
export interface Accepted {
  readonly socket: SanSocket
  readonly remote: SocketAddress
  readonly local: SocketAddress
}

/**
 * A SAN socket: the companion of one application socket, or an accepted connection. This object is the provider's
 * descriptor; the switch uses it in every down-call. After `close` every call answers `WSAENOTSOCK`.
 *
 * @source the SPI functions named at each method; requirements WSD-… in docs/requirements
 */
export interface SanSocket extends RdmaSocket {
  /**
   * Gives the socket its local address: the very address and port of the TCP socket it accompanies.
   *
   * - BIND-1 A full address, or the wildcard of its family with a port.
   * - BIND-2 An address the provider does not serve: `WSAEADDRNOTAVAIL`. Bound before: `WSAEINVAL`.
   * - BIND-3 Never `WSAEADDRINUSE`: reuse is judged by the switch and TCP/IP.
   *
   * @source WSPBind; WSD-COMP-6 to -10
   */
  bind(address: SocketAddress): Status

  /** `WSAENOPROTOOPT` for an option the provider does not know. @source WSPSetSockOpt */
  setSockOpt(option: SocketOption, value: number): Status
  /** @source WSPGetSockOpt */
  getSockOpt(option: SocketOption): Result<number>

  /**
   * Starts to queue incoming requests.
   *
   * - LISTEN-1 Needs a bound socket: `WSAEINVAL` otherwise. A connected socket answers `WSAEISCONN`.
   * - LISTEN-2 At most `backlog` requests wait; one more is refused at once, raises no event, and its connect fails with
   *   `WSAECONNREFUSED`.
   * - LISTEN-3 Called again it changes the backlog; the newest requests beyond it are refused.
   *
   * @param backlog 1 or more; {@link SOMAXCONN} lets the provider choose.
   * @source WSPListen; WSD-LISTEN-5, -12 to -16
   */
  listen(backlog: number): Status

  /**
   * Optional. Says, before {@link listen}, with whom the listener shares its address; a provider without it serves no such
   * listener. `WSAEINVAL` where the socket is not bound, or listens. `listen` then answers `WSAEADDRNOTAVAIL` where the others
   * cannot be joined: a member has no head, or somebody else has the place. Who finds no room at a listener that shares its
   * address is not refused for good: another one may have room, and TCP/IP asks them all.
   */
  share?(sharing: Sharing): Status

  /**
   * Makes the socket nonblocking and names the event to signal.
   *
   * - EVENT-1 Only `FD_ACCEPT` and `FD_CONNECT`; any other bit: `WSAEINVAL`. Mask 0 cancels.
   * - EVENT-2 A request already queued is signalled at once (RACE-2).
   *
   * @source WSPEventSelect
   */
  eventSelect(event: EventObject | null, mask: number): Status

  /**
   * Reports and clears what happened, and resets `event`, in one step (RACE-3).
   *
   * @source WSPEnumNetworkEvents
   */
  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents>

  /**
   * Takes the first queued request, or the one that waits as `pended`, and asks `condition`.
   *
   * - ACCEPT-1 `condition` runs once, synchronously, before the peer hears anything (WSD-ACCEPT-8, -10).
   * - ACCEPT-2 CF_ACCEPT: makes the accepting socket, calls `createSocketHandle` for it, tells the peer, returns it. The
   *   socket has its regions at once.
   * - ACCEPT-3 CF_REJECT: answers `WSAECONNREFUSED`, and the peer's connect fails with `error`.
   * - ACCEPT-4 CF_DEFER: answers `WSATRY_AGAIN` and keeps the request.
   * - ACCEPT-5 Nothing queued: `WSAEWOULDBLOCK`. Not listening: `WSAEINVAL`.
   * - ACCEPT-6 A request its peer has withdrawn is skipped.
   * - ACCEPT-7 Resets the event, then signals again if requests are left (RACE-4).
   * - ACCEPT-8 CF_PEND: answers `WSA_IO_PENDING`. The request is not in the queue any more, and still counts against the
   *   backlog.
   * - ACCEPT-9 With `pended`: asks about that request again. CF_PEND and CF_DEFER answer `WSA_IO_PENDING`. One that does not
   *   wait, or waits no more: `WSAEINVAL`, and nobody is asked.
   * - ACCEPT-10 `pended` completes once: with 0 when the request was decided, `WSAECONNRESET` when its peer has withdrawn it
   *   or is gone, `WSA_OPERATION_ABORTED` on `close` here, which refuses the peer.
   *
   * @source WSPAccept; AMB-5; pending is WskInspectEvent's, so that one slow decision holds up no other request
   */
  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted>

  /**
   * Starts to connect; always nonblocking.
   *
   * - CONNECT-1 Returns `WSAEWOULDBLOCK` and signals `FD_CONNECT` later, or answers a final result at once (then without an
   *   event, RACE-12).
   * - CONNECT-2 `WSAECONNREFUSED`, `WSAECONNRESET` and `WSAEHOSTUNREACH` promise that TCP/IP would fail too. Where nobody
   *   switched listens the answer is `WSAETIMEDOUT` (WSD-CONN-14, -15).
   * - CONNECT-3 `close` before the result gives the attempt up for good: the peer's accept never yields it, or yields a
   *   connection that is closed already.
   * - CONNECT-4 `FD_CONNECT` with `WSA_IO_PENDING`: the peer has pended the request. Another `FD_CONNECT` brings the result.
   *
   * @param callerData At most 256 bytes for the peer's condition function; copied before the call returns.
   * @source WSPConnect; WSD-CONN-3 to -8
   */
  connect(address: SocketAddress, callerData: Uint8Array): Status

  /** What the accepting side answered, a copy; valid once `FD_CONNECT` reported 0. */
  calleeData(): Uint8Array

  /**
   * Closes the socket, abruptly where it is connected: the graceful part was the session's.
   *
   * - CLOSE-1 Frees the memory of each pending operation, then completes it with `WSA_OPERATION_ABORTED` (WSD-CLOSE-4, -5).
   * - CLOSE-2 Then calls `closeSocketHandle`: once, and last (WSD-CLOSE-6).
   * - CLOSE-3 The peer's pending and later receives fail with `WSAECONNRESET`, after what was published before is readable.
   * - CLOSE-4 A listening socket refuses the requests it has queued.
   * - CLOSE-5 Nothing of a socket is freed before this call, whatever became of its peer (WSD-CLOSE-9).
   *
   * @source WSPCloseSocket
   */
  close(): Status

  /**
   * Hands a connected socket to another process, which passes the value to {@link SanProvider.socket} of the same provider. Of
   * providers that say {@link ProviderLimits.duplicates}; of others `WSAEOPNOTSUPP`, and nothing has happened.
   *
   * - DUP-1 The posted receive completes with success and no bytes; from then on only `close` means anything, everything else
   *   answers `WSAEINVAL` (WSD-DUP-16, -17, -24). That `close` does not end the connection.
   * - DUP-2 The value works once, and in no other process: `WSAEINVAL` (WSD-DUP-18, -29).
   * - DUP-3 The socket made from it is connecting: `FD_CONNECT` tells, as for any connect, when the peer is there: 0,
   *   `WSAECONNRESET` when it is gone, or `WSAETIMEDOUT` (WSD-DUP-19, -20, -22).
   * - DUP-4 Then both sides have new regions, which begin with zeroes, and what they registered before is gone. The peer's receive
   *   stays posted; its `memory` answers the new regions by the time it completes for a signal of the new owner (WSD-DUP-12).
   * - DUP-5 Where nobody takes the connection over in time, the peer's receive ends with `WSAECONNRESET` (WSD-DUP-27, -28).
   *
   * @returns what that process passes as {@link SocketRequest.duplicate}; `WSAENOTCONN` without a connection.
   * @source WSPDuplicateSocket
   */
  duplicate(processId: number): Result<Uint8Array>

  /**
   * The socket's two regions. `WSAENOTCONN` before it is connected.
   *
   * - MEM-1 Bytes I write and `rdmaWrite` appear in the peer's receive region, in the order of RDMA-2.
   * - MEM-2 The regions stay readable after the peer is gone, until `close`.
   */
  memory(): Result<ConnectionMemory>

  /**
   * Registers a further region for sending. The switch tells the peer its descriptor over the first one.
   *
   * - MEM-3 Fails with `WSAENOBUFS` when a limit is reached or memory is short; the connection goes on with what it has.
   *
   * @param bytes A power of two, at most {@link ProviderLimits.maxMemoryBytes}.
   * @source WSPRegisterMemory
   */
  registerMemory(bytes: number): Result<RegisteredMemory>
  /** Gives a further region back; the caller promises that the peer no longer reads it. @source WSPDeregisterMemory */
  deregisterMemory(memory: RegisteredMemory): Status
  /**
   * The peer's further region with this descriptor, read-only; known at the latest with the first signal after it was
   * registered.
   *
   * - MEM-4 `descriptor` and `bytes` are the peer's words: anything that is not wholly a registered region of this peer
   *   answers `WSAEFAULT`.
   */
  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion>

  /**
   * Makes `[offset, offset + length)` of a region of mine appear at the peer.
   *
   * - RDMA-1 0 when done at once; `WSA_IO_PENDING` when `overlapped` will complete.
   * - RDMA-2 Writes to the first region appear in the order of the calls, each after every earlier write to a further
   *   region; at the latest with the next {@link signal} or {@link close}. A range that is changed before it has appeared may
   *   appear as changed.
   * - RDMA-3 `WSAENOTCONN` before the connection, `WSAECONNRESET` after the peer is gone.
   *
   * @source WSPRdmaWrite
   */
  rdmaWrite(memory: RegisteredMemory, offset: number, length: number, overlapped: Overlapped | null): Status

  /**
   * Tells the peer once, after everything written before is visible there: completes its posted {@link receive}.
   *
   * - SIGNAL-1 A signal before the peer has posted is kept; several may become one; none is lost.
   */
  signal(): Status

  /**
   * Posts the receive that the peer's next signal completes.
   *
   * - RECV-1 Answers `WSA_IO_PENDING`; exactly one completion follows: 0 on a signal, `WSAECONNRESET` once the peer is gone,
   *   `WSAECONNABORTED` where the transport failed and nobody knows what became of the peer,
   *   `WSA_OPERATION_ABORTED` on `close` here.
   * - RECV-2 Never completes from inside the call.
   * - RECV-3 One may be posted at a time: `WSAEALREADY` otherwise. When the peer is gone and was reported:
   *   `WSAECONNRESET`, and no completion.
   * - RECV-4 A silent one makes no upcall; poll it with {@link getOverlappedResult}.
   *
   * @source WSPRecv
   */
  receive(overlapped: Overlapped): Status

  /**
   * The result of `overlapped`: its status, or `WSA_IO_INCOMPLETE` while it is pending. Looks for progress itself, so that
   * polling alone is enough (WSD-CPL-8, -9).
   *
   * @source WSPGetOverlappedResult
   */
  getOverlappedResult(overlapped: Overlapped): Result<number>
}
