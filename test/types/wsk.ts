/** What must compile, and, by `@ts-expect-error`, what must not: the build fails when one of these is wrong. Never run. */
import * as wsk from '../../src/faces/wsk/index.ts'
import type {
  WskBasicSocket,
  WskConnectionSocket,
  WskDatagramSocket,
  WskListenSocket,
  WskProviderNpi,
  WskStreamSocket,
} from '../../src/faces/wsk/index.ts'

const irp = new wsk.Irp()
const address = wsk.sockAddr('127.0.0.1', 0)
const buffer = wsk.wskBuf(Buffer.alloc(1))

/** Functions that a category does not have do not exist. */
export function absent(
  basic: WskBasicSocket,
  listen: WskListenSocket,
  datagram: WskDatagramSocket,
  connection: WskConnectionSocket,
  stream: WskStreamSocket,
): void {
  // @ts-expect-error a basic socket cannot be bound
  basic.dispatch.WskBind(basic, address, 0, irp)
  // @ts-expect-error nor be sent on
  basic.dispatch.WskSend(basic, buffer, 0, irp)
  // @ts-expect-error a listener does not connect
  listen.dispatch.WskConnect(listen, address, 0, irp)
  // @ts-expect-error a listener has nothing to release
  listen.dispatch.WskRelease(listen, null)
  // @ts-expect-error a listener listens when it is bound
  listen.dispatch.WskListen(listen, irp)
  // @ts-expect-error datagrams are sent to somebody
  datagram.dispatch.WskSend(datagram, buffer, 0, irp)
  // @ts-expect-error and have no peer
  datagram.dispatch.WskGetRemoteAddress(datagram, wsk.out(), irp)
  // @ts-expect-error a connection does not accept
  connection.dispatch.WskAccept(connection, 0, null, null, null, null, irp)
  // @ts-expect-error nor listen
  connection.dispatch.WskListen(connection, irp)
  // @ts-expect-error a stream socket cannot complete an inspection
  stream.dispatch.WskInspectComplete(stream, { key: 0n, serialNumber: 0 }, wsk.WskInspectAccept, irp)
}

/** A socket of one category does not pass for another, and flags of one function do not pass for those of another. */
export function mixedUp(listen: WskListenSocket, connection: WskConnectionSocket): void {
  // @ts-expect-error this is a listener
  connection.dispatch.WskSend(listen, buffer, 0, irp)
  // @ts-expect-error the flags of WskAccept are reserved
  listen.dispatch.WskAccept(listen, 1, null, null, null, null, irp)
  // @ts-expect-error DRAIN is for receiving
  connection.dispatch.WskSend(connection, buffer, wsk.WSK_FLAG_DRAIN, irp)
  // @ts-expect-error NODELAY (2) is WAITALL (2) by number, ABORTIVE (1) is neither
  connection.dispatch.WskReceive(connection, buffer, wsk.WSK_FLAG_ABORTIVE, irp)
  // @ts-expect-error a decision is accept or reject
  listen.dispatch.WskInspectComplete(listen, { key: 0n, serialNumber: 0 }, wsk.WskInspectPend, irp)
}

/** An IRP for one thing is not lent to a function that completes it with another; one for anything is. */
export function information(listen: WskListenSocket): void {
  const forSocket = new wsk.Irp<WskConnectionSocket>()
  listen.dispatch.WskAccept(listen, 0, null, null, null, null, forSocket)
  listen.dispatch.WskAccept(listen, 0, null, null, null, null, irp)
  // @ts-expect-error accepting brings a socket, not a number
  listen.dispatch.WskAccept(listen, 0, null, null, null, null, new wsk.Irp<number>())
  const socket: WskConnectionSocket | 0 = forSocket.ioStatus.information
  if (socket !== 0) socket.dispatch.WskSend(socket, buffer, 0, irp)
  // @ts-expect-error it may have failed
  forSocket.ioStatus.information.dispatch.WskSend(forSocket.ioStatus.information, buffer, 0, irp)
}

/** The category flag decides which socket comes, and which callbacks go with it. */
export function created({ client, dispatch }: WskProviderNpi): void {
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP } = wsk
  dispatch.WskSocket(
    client,
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    wsk.WSK_FLAG_LISTEN_SOCKET,
    null,
    { WskAcceptEvent: () => wsk.STATUS_REQUEST_NOT_ACCEPTED },
    null,
    null,
    null,
    new wsk.Irp<WskListenSocket>(),
  )
  dispatch.WskSocket(
    client,
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    wsk.WSK_FLAG_CONNECTION_SOCKET,
    null,
    // @ts-expect-error a connection accepts nothing
    { WskAcceptEvent: () => wsk.STATUS_SUCCESS },
    null,
    null,
    null,
    new wsk.Irp<WskConnectionSocket>(),
  )
  dispatch.WskSocket(
    client,
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    wsk.WSK_FLAG_STREAM_SOCKET,
    null,
    null,
    null,
    null,
    null,
    // @ts-expect-error a stream socket comes
    new wsk.Irp<WskConnectionSocket>(),
  )
}

/** A callback answers at once: what takes time is retained or pended (WSK §12 D-16). */
export const callbacks: wsk.WskClientConnectionDispatch = {
  // @ts-expect-error a promise is no status
  WskReceiveEvent: () => Promise.resolve(wsk.STATUS_SUCCESS),
  // @ts-expect-error nor is any number
  WskDisconnectEvent: () => 0,
}
