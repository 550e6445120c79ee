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
import type { NtStatus } from './status.ts'
import type { StreamSocket } from './stream-socket.ts'

interface Objects {
  readonly listen: ListeningSocket
  readonly datagram: DatagramSocket
  readonly connection: ConnectingSocket
  readonly stream: StreamSocket
}

/** Calls the object behind a socket of `category`; anything else that was passed is an invalid handle. */
function on<C extends keyof Objects>(
  socket: unknown,
  category: C,
  call: (socket: Objects[C]) => NtStatus,
): NtStatus {
  const known = socket instanceof SocketCore && socket.category === category
  return known ? call(socket as unknown as Objects[C]) : STATUS.STATUS_INVALID_HANDLE
}

/** The functions of every socket. */
export const basicDispatch: WskProviderBasicDispatch = Object.freeze({
  WskControlSocket: (socket, type, code, level, input, output, irp) =>
    socket instanceof SocketCore
      ? socket.control(type, code, level, input, output, irp)
      : STATUS.STATUS_INVALID_HANDLE,
  WskCloseSocket: (socket, irp) =>
    socket instanceof SocketCore ? socket.close(irp) : STATUS.STATUS_INVALID_HANDLE,
} satisfies WskProviderBasicDispatch)

const listening = (socket: unknown, call: (socket: ListeningSocket) => NtStatus): NtStatus =>
  on(socket, 'listen', call)
const datagram = (socket: unknown, call: (socket: DatagramSocket) => NtStatus): NtStatus =>
  on(socket, 'datagram', call)
const stream = (socket: unknown, call: (socket: StreamSocket) => NtStatus): NtStatus =>
  on(socket, 'stream', call)

export const listenDispatch: WskProviderListenDispatch = Object.freeze({
  ...basicDispatch,
  WskBind: (socket, address, flags, irp) => listening(socket, (it) => it.bind(address, flags, irp)),
  WskAccept: (socket, flags, context, callbacks, local, remote, irp) =>
    listening(socket, (it) => it.accept(context, callbacks, local, remote, flags, irp)),
  WskInspectComplete: (socket, id, action, irp) =>
    listening(socket, (it) => it.inspectComplete(id, action, irp)),
  WskGetLocalAddress: (socket, address, irp) => listening(socket, (it) => it.getLocalAddress(address, irp)),
} satisfies WskProviderListenDispatch)

export const datagramDispatch: WskProviderDatagramDispatch = Object.freeze({
  ...basicDispatch,
  WskBind: (socket, address, flags, irp) => datagram(socket, (it) => it.bind(address, flags, irp)),
  WskSendTo: (socket, buffer, flags, remote, _control, irp) =>
    datagram(socket, (it) => it.sendTo([buffer], flags, remote, irp)),
  WskSendMessages: (socket, buffers, flags, remote, _control, irp) =>
    datagram(socket, (it) => it.sendTo(buffers, flags, remote, irp)),
  WskReceiveFrom: (socket, buffer, flags, remote, controlLength, controlFlags, irp) =>
    datagram(socket, (it) => it.receiveFrom(buffer, flags, { remote, controlLength, controlFlags }, irp)),
  WskRelease: (socket, list) => datagram(socket, (it) => it.releaseDatagrams(list)),
  WskGetLocalAddress: (socket, address, irp) => datagram(socket, (it) => it.getLocalAddress(address, irp)),
} satisfies WskProviderDatagramDispatch)

type Connecting = WskConnectionSocket | WskStreamSocket

/** What connection-oriented and stream sockets share. */
function connecting(
  category: 'connection' | 'stream',
): Omit<BindFunctions<Connecting>, keyof WskProviderBasicDispatch> & ConnectionFunctions<Connecting> {
  const its = (socket: unknown, call: (socket: ConnectingSocket) => NtStatus): NtStatus =>
    on(socket, category, call)
  return {
    WskBind: (socket, address, flags, irp) => its(socket, (it) => it.bind(address, flags, irp)),
    WskConnect: (socket, remote, flags, irp) => its(socket, (it) => it.connect(remote, null, flags, irp)),
    WskConnectEx: (socket, remote, buffer, flags, irp) =>
      its(socket, (it) => it.connect(remote, buffer, flags, irp)),
    WskGetLocalAddress: (socket, address, irp) => its(socket, (it) => it.getLocalAddress(address, irp)),
    WskGetRemoteAddress: (socket, address, irp) => its(socket, (it) => it.getRemoteAddress(address, irp)),
    WskSend: (socket, buffer, flags, irp) => its(socket, (it) => it.send(buffer, flags, irp)),
    WskReceive: (socket, buffer, flags, irp) => its(socket, (it) => it.receive(buffer, flags, irp)),
    WskDisconnect: (socket, buffer, flags, irp) => its(socket, (it) => it.disconnect(buffer, flags, irp)),
    WskRelease: (socket, list) => its(socket, (it) => it.releaseData(list)),
  }
}

export const connectionDispatch: WskProviderConnectionDispatch = Object.freeze({
  ...basicDispatch,
  ...connecting('connection'),
})

export const streamDispatch: WskProviderStreamDispatch = Object.freeze({
  ...basicDispatch,
  ...connecting('stream'),
  WskListen: (socket, irp) => stream(socket, (it) => it.listen(irp)),
  WskAccept: (socket, flags, context, callbacks, local, remote, irp) =>
    stream(socket, (it) => it.accept(context, callbacks, local, remote, flags, irp)),
} satisfies WskProviderStreamDispatch)
