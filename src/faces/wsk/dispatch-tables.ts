import type { ConnectingSocket } from './connecting-socket.ts'
import type { DatagramSocket } from './datagram-socket.ts'
import type {
  BindFunctions,
  ConnectionFunctions,
  WskConnectionSocket,
  WskProviderBasicDispatch,
  WskProviderConnectionDispatch,
  WskProviderDatagramDispatch,
  WskProviderListenDispatch,
  WskProviderStreamDispatch,
  WskStreamSocket,
} from './dispatch.ts'
import type { ListeningSocket } from './listening-socket.ts'
import { SocketCore } from './socket.ts'
import { STATUS } from './status.ts'
import type { StreamSocket } from './stream-socket.ts'

interface Objects {
  readonly listen: ListeningSocket
  readonly datagram: DatagramSocket
  readonly connection: ConnectingSocket
  readonly stream: StreamSocket
}

/** The object behind a socket of `category`; undefined for anything else that was passed. */
function of<C extends keyof Objects>(socket: unknown, category: C): Objects[C] | undefined {
  const known = socket instanceof SocketCore && socket.category === category
  return known ? (socket as unknown as Objects[C]) : undefined
}

const INVALID = STATUS.STATUS_INVALID_HANDLE

/** The functions of every socket. */
export const basicDispatch: WskProviderBasicDispatch = Object.freeze({
  WskControlSocket: (socket, type, code, level, input, output, irp) =>
    socket instanceof SocketCore ? socket.control(type, code, level, input, output, irp) : INVALID,
  WskCloseSocket: (socket, irp) => (socket instanceof SocketCore ? socket.close(irp) : INVALID),
} satisfies WskProviderBasicDispatch)

export const listenDispatch: WskProviderListenDispatch = Object.freeze({
  ...basicDispatch,
  WskBind: (socket, address, flags, irp) => of(socket, 'listen')?.bind(address, flags, irp) ?? INVALID,
  WskAccept: (socket, flags, context, callbacks, local, remote, irp) =>
    of(socket, 'listen')?.accept(context, callbacks, local, remote, flags, irp) ?? INVALID,
  WskInspectComplete: (socket, id, action, irp) =>
    of(socket, 'listen')?.inspectComplete(id, action, irp) ?? INVALID,
  WskGetLocalAddress: (socket, address, irp) =>
    of(socket, 'listen')?.getLocalAddress(address, irp) ?? INVALID,
} satisfies WskProviderListenDispatch)

export const datagramDispatch: WskProviderDatagramDispatch = Object.freeze({
  ...basicDispatch,
  WskBind: (socket, address, flags, irp) => of(socket, 'datagram')?.bind(address, flags, irp) ?? INVALID,
  WskSendTo: (socket, buffer, flags, remote, _control, irp) =>
    of(socket, 'datagram')?.sendTo([buffer], flags, remote, irp) ?? INVALID,
  WskSendMessages: (socket, buffers, flags, remote, _control, irp) =>
    of(socket, 'datagram')?.sendTo(buffers, flags, remote, irp) ?? INVALID,
  WskReceiveFrom: (socket, buffer, flags, remote, controlLength, controlFlags, irp) =>
    of(socket, 'datagram')?.receiveFrom(buffer, flags, { remote, controlLength, controlFlags }, irp) ??
    INVALID,
  WskRelease: (socket, list) => of(socket, 'datagram')?.releaseDatagrams(list) ?? INVALID,
  WskGetLocalAddress: (socket, address, irp) =>
    of(socket, 'datagram')?.getLocalAddress(address, irp) ?? INVALID,
} satisfies WskProviderDatagramDispatch)

type Connecting = WskConnectionSocket | WskStreamSocket

/** What connection-oriented and stream sockets share. */
function connecting(
  category: 'connection' | 'stream',
): Omit<BindFunctions<Connecting>, keyof WskProviderBasicDispatch> & ConnectionFunctions<Connecting> {
  const its = (socket: unknown): ConnectingSocket | undefined => of(socket, category)
  return {
    WskBind: (socket, address, flags, irp) => its(socket)?.bind(address, flags, irp) ?? INVALID,
    WskConnect: (socket, remote, flags, irp) => its(socket)?.connect(remote, null, flags, irp) ?? INVALID,
    WskConnectEx: (socket, remote, buffer, flags, irp) =>
      its(socket)?.connect(remote, buffer, flags, irp) ?? INVALID,
    WskGetLocalAddress: (socket, address, irp) => its(socket)?.getLocalAddress(address, irp) ?? INVALID,
    WskGetRemoteAddress: (socket, address, irp) => its(socket)?.getRemoteAddress(address, irp) ?? INVALID,
    WskSend: (socket, buffer, flags, irp) => its(socket)?.send(buffer, flags, irp) ?? INVALID,
    WskReceive: (socket, buffer, flags, irp) => its(socket)?.receive(buffer, flags, irp) ?? INVALID,
    WskDisconnect: (socket, buffer, flags, irp) => its(socket)?.disconnect(buffer, flags, irp) ?? INVALID,
    WskRelease: (socket, list) => its(socket)?.releaseData(list) ?? INVALID,
  }
}

export const connectionDispatch: WskProviderConnectionDispatch = Object.freeze({
  ...basicDispatch,
  ...connecting('connection'),
})

export const streamDispatch: WskProviderStreamDispatch = Object.freeze({
  ...basicDispatch,
  ...connecting('stream'),
  WskListen: (socket, irp) => of(socket, 'stream')?.listen(irp) ?? INVALID,
  WskAccept: (socket, flags, context, callbacks, local, remote, irp) =>
    of(socket, 'stream')?.accept(context, callbacks, local, remote, flags, irp) ?? INVALID,
} satisfies WskProviderStreamDispatch)
