import type { SockAddr } from './addresses.ts'
import type { Out, WskBuf, WskList } from './buffer.ts'
import type { CategoryFlag, WskControlType, WskInspectAction, WskInspectDecision } from './constants.ts'
import type * as constants from './constants.ts'
import type { EventCallbackControl } from './events.ts'
import type { IrpSink } from './irp.ts'
import type { SecurityDescriptor } from './sharing.ts'
import type { NtStatus } from './status.ts'

// --- what is handed to the client -------------------------------------------------------------------------------------

/** Names one connection request of a conditional listener; compared by value only. @source WSK_INSPECT_ID */
export interface WskInspectId {
  readonly key: bigint
  readonly serialNumber: number
}

/** For tables of pending inspections. */
export function inspectIdKey({ key, serialNumber }: WskInspectId): string {
  return `${String(key)}/${String(serialNumber)}`
}

/** Received bytes: a list of buffers, copies that belong to the client until it releases them. @source WSK_DATA_INDICATION */
export interface WskDataIndication {
  next: WskDataIndication | null
  readonly buffer: WskBuf
}

/** One node per datagram. @source WSK_DATAGRAM_INDICATION */
export interface WskDatagramIndication {
  next: WskDatagramIndication | null
  readonly buffer: WskBuf
  /** Node tells no control information. */
  readonly controlInfo: null
  readonly controlInfoLength: 0
  readonly remoteAddress: SockAddr
}

// --- callbacks, which the client has ----------------------------------------------------------------------------------

/** @source WSK_CLIENT_DISPATCH */
export interface WskClientDispatch {
  /** The version the client was written for: `MAKE_WSK_VERSION(1, 0)`. */
  readonly version: number
  /** No event exists; the answer is `STATUS_NOT_IMPLEMENTED`. */
  readonly WskClientEvent?: (clientContext: unknown, eventType: number, information: unknown) => NtStatus
}

/** @source WSK_CLIENT_LISTEN_DISPATCH */
export interface WskClientListenDispatch {
  /**
   * A connection was accepted; with `acceptSocket` null the listener is dead and wants to be closed.
   *
   * @param localAddress lives during the call only, as `remoteAddress` does.
   * @returns `STATUS_SUCCESS` to take the socket, `STATUS_REQUEST_NOT_ACCEPTED` to have it closed.
   */
  readonly WskAcceptEvent?: (
    socketContext: unknown,
    flags: number,
    localAddress: SockAddr | null,
    remoteAddress: SockAddr | null,
    acceptSocket: WskConnectionSocket | null,
    acceptSocketContext: Out<unknown>,
    acceptSocketDispatch: Out<WskClientConnectionDispatch | null>,
  ) => NtStatus
  /** A request wants to be judged; with `inspectId` null the listener is dead. Not called twice for one request. */
  readonly WskInspectEvent?: (
    socketContext: unknown,
    localAddress: SockAddr | null,
    remoteAddress: SockAddr | null,
    inspectId: WskInspectId | null,
  ) => WskInspectAction
  /** The request was dropped after it was accepted or pended, before it became a connection. */
  readonly WskAbortEvent?: (socketContext: unknown, inspectId: WskInspectId) => NtStatus
}

/** @source WSK_CLIENT_CONNECTION_DISPATCH */
export interface WskClientConnectionDispatch {
  /**
   * Bytes have arrived; with `dataIndication` null the socket is dead.
   *
   * @param dataIndication the client's own copy; what is not taken comes again as the callback left it.
   * @param bytesAccepted how many are taken, all unless said otherwise; counts with `STATUS_SUCCESS` only.
   * @returns `STATUS_SUCCESS`, `STATUS_PENDING` to keep the list until WskRelease, or `STATUS_DATA_NOT_ACCEPTED`.
   */
  readonly WskReceiveEvent?: (
    socketContext: unknown,
    flags: number,
    dataIndication: WskDataIndication | null,
    bytesIndicated: number,
    bytesAccepted: { value: number },
  ) => NtStatus
  /** The peer ended its direction, or, with `WSK_FLAG_ABORTIVE`, everything. */
  readonly WskDisconnectEvent?: (socketContext: unknown, flags: number) => NtStatus
  readonly WskSendBacklogEvent?: (socketContext: unknown, idealBacklogSize: number) => NtStatus
}

/** @source WSK_CLIENT_DATAGRAM_DISPATCH */
export interface WskClientDatagramDispatch {
  readonly WskReceiveFromEvent?: (
    socketContext: unknown,
    flags: number,
    dataIndication: WskDatagramIndication | null,
  ) => NtStatus
}

/** @source WSK_CLIENT_STREAM_DISPATCH */
export interface WskClientStreamDispatch {
  readonly Listen?: WskClientListenDispatch | null
  readonly Connect?: WskClientConnectionDispatch | null
}

// --- functions, which the provider has --------------------------------------------------------------------------------

/** What goes into a control operation. */
export type ControlInput =
  number | EventCallbackControl | SecurityDescriptor | SockAddr | WskExtensionControlIn

export interface WskExtensionControlIn {
  readonly npiId: string
  readonly clientContext: unknown
  readonly clientDispatch: unknown
}

/** @source WSK_PROVIDER_BASIC_DISPATCH: of sockets of every category */
export interface WskProviderBasicDispatch {
  /** Options, ioctls and event callbacks; docs/wsk.md has the table of them. */
  readonly WskControlSocket: <T>(
    socket: WskAnySocket,
    requestType: WskControlType,
    controlCode: number,
    level: number,
    input: ControlInput | null,
    output: Out<T> | WskList<T> | null,
    irp: IrpSink<number> | null,
  ) => NtStatus
  /** The last call on a socket: ends everything that is pending, then completes. A live connection is reset. */
  readonly WskCloseSocket: (socket: WskAnySocket, irp: IrpSink<0> | null) => NtStatus
}

/** Of every category but basic. */
export interface BindFunctions<S> extends WskProviderBasicDispatch {
  readonly WskBind: (socket: S, localAddress: SockAddr, flags: 0, irp: IrpSink<0> | null) => NtStatus
  readonly WskGetLocalAddress: (socket: S, localAddress: Out<SockAddr>, irp: IrpSink<0> | null) => NtStatus
}

interface AcceptFunction<S> {
  /** Completes with the next connection, of those that wait or are to come. */
  readonly WskAccept: (
    socket: S,
    flags: 0,
    acceptSocketContext: unknown,
    acceptSocketDispatch: WskClientConnectionDispatch | null,
    localAddress: Out<SockAddr> | null,
    remoteAddress: Out<SockAddr> | null,
    irp: IrpSink<WskConnectionSocket> | null,
  ) => NtStatus
}

/** Of connection-oriented and stream sockets. */
export interface ConnectionFunctions<S> {
  readonly WskConnect: (socket: S, remoteAddress: SockAddr, flags: 0, irp: IrpSink<0> | null) => NtStatus
  /** As WskConnect, and sends at most 65,535 bytes along. */
  readonly WskConnectEx: (
    socket: S,
    remoteAddress: SockAddr,
    buffer: WskBuf | null,
    flags: 0,
    irp: IrpSink<number> | null,
  ) => NtStatus
  readonly WskGetRemoteAddress: (socket: S, remoteAddress: Out<SockAddr>, irp: IrpSink<0> | null) => NtStatus
  readonly WskSend: (
    socket: S,
    buffer: WskBuf,
    flags: 0 | typeof constants.WSK_FLAG_NODELAY,
    irp: IrpSink<number> | null,
  ) => NtStatus
  /** Completes with how many bytes arrived; 0 is the peer's end. */
  readonly WskReceive: (
    socket: S,
    buffer: WskBuf,
    flags: 0 | typeof constants.WSK_FLAG_WAITALL | typeof constants.WSK_FLAG_DRAIN,
    irp: IrpSink<number> | null,
  ) => NtStatus
  readonly WskDisconnect: (
    socket: S,
    buffer: WskBuf | null,
    flags: 0 | typeof constants.WSK_FLAG_ABORTIVE,
    irp: IrpSink<0> | null,
  ) => NtStatus
  /** Gives back what a receive callback kept; all of a list, or any part of it that was taken out. */
  readonly WskRelease: (socket: S, dataIndication: WskDataIndication) => NtStatus
}

/** @source WSK_PROVIDER_LISTEN_DISPATCH */
export interface WskProviderListenDispatch
  extends BindFunctions<WskListenSocket>, AcceptFunction<WskListenSocket> {
  readonly WskInspectComplete: (
    socket: WskListenSocket,
    inspectId: WskInspectId,
    action: WskInspectDecision,
    irp: IrpSink<0> | null,
  ) => NtStatus
}

/** @source WSK_PROVIDER_DATAGRAM_DISPATCH */
export interface WskProviderDatagramDispatch extends BindFunctions<WskDatagramSocket> {
  readonly WskSendTo: (
    socket: WskDatagramSocket,
    buffer: WskBuf,
    flags: 0,
    remoteAddress: SockAddr | null,
    controlInfo: null,
    irp: IrpSink<number> | null,
  ) => NtStatus
  /** Each buffer becomes a datagram. */
  readonly WskSendMessages: (
    socket: WskDatagramSocket,
    buffers: readonly WskBuf[],
    flags: 0,
    remoteAddress: SockAddr | null,
    controlInfo: null,
    irp: IrpSink<number> | null,
  ) => NtStatus
  readonly WskReceiveFrom: (
    socket: WskDatagramSocket,
    buffer: WskBuf,
    flags: 0,
    remoteAddress: Out<SockAddr> | null,
    /** How much control information there was: none. */
    controlLength: Out<number> | null,
    controlFlags: Out<number> | null,
    irp: IrpSink<number> | null,
  ) => NtStatus
  readonly WskRelease: (socket: WskDatagramSocket, datagramIndication: WskDatagramIndication) => NtStatus
}

/** @source WSK_PROVIDER_CONNECTION_DISPATCH */
export interface WskProviderConnectionDispatch
  extends BindFunctions<WskConnectionSocket>, ConnectionFunctions<WskConnectionSocket> {}

/** @source WSK_PROVIDER_STREAM_DISPATCH */
export interface WskProviderStreamDispatch
  extends
    BindFunctions<WskStreamSocket>,
    AcceptFunction<WskStreamSocket>,
    ConnectionFunctions<WskStreamSocket> {
  /** From here on it is a listener. */
  readonly WskListen: (socket: WskStreamSocket, irp: IrpSink<0> | null) => NtStatus
}

// --- sockets ----------------------------------------------------------------------------------------------------------

export type WskCategory = 'basic' | 'listen' | 'datagram' | 'connection' | 'stream'

interface WskSocketOf<C extends WskCategory, D extends WskProviderBasicDispatch> {
  readonly category: C
  /** The functions its category has; the others do not exist, and calling one does not compile. */
  readonly dispatch: D
}

export type WskBasicSocket = WskSocketOf<'basic', WskProviderBasicDispatch>
export type WskListenSocket = WskSocketOf<'listen', WskProviderListenDispatch>
export type WskDatagramSocket = WskSocketOf<'datagram', WskProviderDatagramDispatch>
export type WskConnectionSocket = WskSocketOf<'connection', WskProviderConnectionDispatch>
export type WskStreamSocket = WskSocketOf<'stream', WskProviderStreamDispatch>
export type WskAnySocket =
  WskBasicSocket | WskListenSocket | WskDatagramSocket | WskConnectionSocket | WskStreamSocket

interface ByFlag {
  readonly [constants.WSK_FLAG_BASIC_SOCKET]: { socket: WskBasicSocket; dispatch: null }
  readonly [constants.WSK_FLAG_LISTEN_SOCKET]: { socket: WskListenSocket; dispatch: WskClientListenDispatch }
  readonly [constants.WSK_FLAG_CONNECTION_SOCKET]: {
    socket: WskConnectionSocket
    dispatch: WskClientConnectionDispatch
  }
  readonly [constants.WSK_FLAG_DATAGRAM_SOCKET]: {
    socket: WskDatagramSocket
    dispatch: WskClientDatagramDispatch
  }
  readonly [constants.WSK_FLAG_STREAM_SOCKET]: { socket: WskStreamSocket; dispatch: WskClientStreamDispatch }
}

/** The socket that WskSocket makes for a category flag. */
export type SocketFor<F extends CategoryFlag> = ByFlag[F]['socket']
/** The callbacks that a socket of that category may have. */
export type ClientDispatchFor<F extends CategoryFlag> = ByFlag[F]['dispatch']
