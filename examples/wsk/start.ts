// What every part of the seed takes for granted: a client that has registered, and a listening socket that is bound.
// In a program of your own the import is from 'sockswitch/wsk'.
import {
  AF_INET,
  Irp,
  IPPROTO_TCP,
  MAKE_WSK_VERSION,
  SOCK_STREAM,
  SOL_SOCKET,
  SO_CONDITIONAL_ACCEPT,
  STATUS_SUCCESS,
  WSK_FLAG_LISTEN_SOCKET,
  WSK_INFINITE_WAIT,
  WskRegistration,
  WskSetOption,
  out,
  sockAddr,
  wsk,
} from '../../src/wsk.ts'
import type {
  SockAddr,
  WskAnySocket,
  WskClientListenDispatch,
  WskListenSocket,
  WskProviderNpi,
} from '../../src/wsk.ts'

export interface Listening {
  readonly socket: WskListenSocket
  readonly address: SockAddr
  /** Closes the listener, and waits until no socket of the client is left. */
  readonly stop: () => Promise<void>
}

export async function startListening(
  dispatch: WskClientListenDispatch | null,
  { conditional = false, context }: { readonly conditional?: boolean; readonly context?: unknown } = {},
): Promise<Listening> {
  const registration = new WskRegistration()
  const clientDispatch = { version: MAKE_WSK_VERSION(1, 0) }
  const provider = wsk()
  if (
    provider.WskRegister({ clientContext: null, dispatch: clientDispatch }, registration) !== STATUS_SUCCESS
  ) {
    throw new Error('Cannot register')
  }
  const npi = out<WskProviderNpi>()
  await provider.WskCaptureProviderNPI(registration, WSK_INFINITE_WAIT, npi)
  if (npi.value === undefined) throw new Error('Cannot capture the provider')
  const { client, dispatch: functions } = npi.value
  const created = new Irp<WskListenSocket>()
  const socketMade = created.promise('create the listening socket')
  functions.WskSocket(
    client,
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    WSK_FLAG_LISTEN_SOCKET,
    context ?? null,
    dispatch,
    null,
    null,
    null,
    created,
  )
  const socket = await socketMade
  if (conditional) {
    const option = new Irp<number>()
    const set = option.promise('turn conditional accept on')
    socket.dispatch.WskControlSocket(socket, WskSetOption, SO_CONDITIONAL_ACCEPT, SOL_SOCKET, 1, null, option)
    await set
  }
  const bind = new Irp<0>()
  const bound = bind.promise('bind')
  socket.dispatch.WskBind(socket, sockAddr('127.0.0.1', 0), 0, bind)
  await bound
  const local = out<SockAddr>()
  socket.dispatch.WskGetLocalAddress(socket, local, new Irp<0>())
  provider.WskReleaseProviderNPI(registration)
  return {
    socket,
    address: local.value ?? sockAddr('127.0.0.1', 0),
    async stop() {
      await close(socket)
      await provider.WskDeregister(registration)
    },
  }
}

export function close(socket: WskAnySocket): Promise<0> {
  const irp = new Irp<0>()
  const closed = irp.promise('close the socket')
  socket.dispatch.WskCloseSocket(socket, irp)
  return closed
}

/** Run as a program: says where it listens, and stops when its input ends. */
export function serve(name: string, { address, stop }: Listening): void {
  process.stdout.write(`${JSON.stringify({ name, port: address.port })}\n`)
  process.stdin.resume().on('end', () => {
    void stop()
  })
}
