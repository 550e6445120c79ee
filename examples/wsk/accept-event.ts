// The seed's second sample, line by line: WskAcceptEvent.
import { fileURLToPath } from 'node:url'
import {
  NPI_WSK_INTERFACE_ID,
  SOL_SOCKET,
  SO_WSK_EVENT_CALLBACK,
  STATUS_REQUEST_NOT_ACCEPTED,
  STATUS_SUCCESS,
  WSK_EVENT_ACCEPT,
  WSK_EVENT_DISCONNECT,
  WSK_EVENT_RECEIVE,
  WskSetOption,
  Irp,
  bytesOf,
  wskBuf,
} from '../../src/wsk.ts'
import type {
  NtStatus,
  Out,
  SockAddr,
  WskClientConnectionDispatch,
  WskClientListenDispatch,
  WskConnectionSocket,
  WskDataIndication,
} from '../../src/wsk.ts'
import { close, serve, startListening } from './start.ts'

/** The context of an accepted socket. */
interface AppSocketContext {
  readonly Socket: WskConnectionSocket
}

// Dispatch table of event callback functions for accepted sockets
const ConnectionDispatch: WskClientConnectionDispatch = {
  WskReceiveEvent(SocketContext, _Flags, DataIndication) {
    if (DataIndication === null) return STATUS_SUCCESS
    const { Socket } = SocketContext as AppSocketContext
    for (let node: WskDataIndication | null = DataIndication; node !== null; node = node.next) {
      // The indicated bytes are ours until we return; the send goes on longer.
      Socket.dispatch.WskSend(Socket, wskBuf(bytesOf(node.buffer)), 0, new Irp<number>())
    }
    return STATUS_SUCCESS
  },
  WskDisconnectEvent(SocketContext) {
    const { Socket } = SocketContext as AppSocketContext
    const ended = new Irp<0>().setCompletionRoutine(() => {
      void close(Socket)
      return STATUS_SUCCESS
    })
    Socket.dispatch.WskDisconnect(Socket, null, 0, ended)
    return STATUS_SUCCESS
  },
}

// A listening socket's WskAcceptEvent event callback function
export function WskAcceptEvent(
  SocketContext: unknown,
  _Flags: number,
  _LocalAddress: SockAddr | null,
  _RemoteAddress: SockAddr | null,
  AcceptSocket: WskConnectionSocket | null,
  AcceptSocketContext: Out<unknown>,
  AcceptSocketDispatch: Out<WskClientConnectionDispatch | null>,
): NtStatus {
  // Check for a valid new socket
  if (AcceptSocket !== null) {
    // The seed declares a local variable with the name of its parameter, which does not compile; and would have hidden the
    // listener's context, which it may need.
    const limit = SocketContext as { sockets: number }

    // Allocate the socket context. The seed refuses the socket when there is no memory for it; here, when there are too many.
    if (limit.sockets === 0) {
      // Reject the socket: the provider closes it, and it must not be touched any more.
      return STATUS_REQUEST_NOT_ACCEPTED
    }
    limit.sockets -= 1

    // Initialize the socket context
    const NewSocketContext: AppSocketContext = { Socket: AcceptSocket }

    // Set the accepted socket's client context
    AcceptSocketContext.value = NewSocketContext

    // Set the accepted socket's dispatch table of callback functions. (The seed assigns the structure; it is its address that
    // is wanted.)
    AcceptSocketDispatch.value = ConnectionDispatch

    // Perform additional operations on the accepted socket: its callbacks are off until somebody enables them.
    enable(AcceptSocket, WSK_EVENT_RECEIVE | WSK_EVENT_DISCONNECT)

    // Return status indicating that the socket was accepted. (In the seed this line ends with a colon.)
    return STATUS_SUCCESS
  }

  // Error with listening socket: the essential act is to close it. What is returned then has no meaning.
  return STATUS_REQUEST_NOT_ACCEPTED
}

export function enable(socket: Parameters<typeof close>[0], eventMask: number): NtStatus {
  const control = { npiId: NPI_WSK_INTERFACE_ID, eventMask }
  return socket.dispatch.WskControlSocket(
    socket,
    WskSetOption,
    SO_WSK_EVENT_CALLBACK,
    SOL_SOCKET,
    control,
    null,
    null,
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const ListenDispatch: WskClientListenDispatch = { WskAcceptEvent }
  const sockets = Number(process.argv[2] ?? Infinity)
  const listening = await startListening(ListenDispatch, { context: { sockets } })
  enable(listening.socket, WSK_EVENT_ACCEPT)
  serve('accept-event', listening)
}
