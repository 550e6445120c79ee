// An echo server with the behaviour of Microsoft's published sample (WSK §10.1): one listener for IPv4 and IPv6, accepts by a
// callback that is enabled for good, two requests under way per connection, everything driven by completion routines.
import { fileURLToPath } from 'node:url'
import {
  AF_INET6,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_V6ONLY,
  Irp,
  MAKE_WSK_VERSION,
  NPI_WSK_INTERFACE_ID,
  SOCK_STREAM,
  STATUS_MORE_PROCESSING_REQUIRED,
  STATUS_REQUEST_NOT_ACCEPTED,
  STATUS_SUCCESS,
  WSK_EVENT_ACCEPT,
  WSK_FLAG_LISTEN_SOCKET,
  WSK_INFINITE_WAIT,
  WSK_SET_STATIC_EVENT_CALLBACKS,
  WskRegistration,
  WskSetOption,
  out,
  sockAddr,
  wsk,
  wskBuf,
} from '../../src/wsk.ts'
import type {
  NtStatus,
  SockAddr,
  WskClientListenDispatch,
  WskConnectionSocket,
  WskListenSocket,
  WskProviderNpi,
} from '../../src/wsk.ts'
import { close } from './start.ts'

const BUFFER_BYTES = 2048
const OPERATIONS = 2

/** A connection: two slots, each with an IRP and a buffer of its own, that receive and send in turn. */
class EchoConnection {
  readonly #socket: WskConnectionSocket
  #disconnecting = false
  #closing = false

  constructor(socket: WskConnectionSocket) {
    this.#socket = socket
    for (let i = 0; i < OPERATIONS; i++) this.#receive(new Irp<number>(), Buffer.alloc(BUFFER_BYTES))
  }

  // The order of the echo holds because receives complete in the order in which they were posted, and sends go out so.
  #receive(irp: Irp<number>, buffer: Buffer): void {
    irp.reuse().setCompletionRoutine(() => {
      const { status, information } = irp.ioStatus
      if (status !== STATUS_SUCCESS) this.#close()
      else if (information === 0) this.#disconnect()
      else this.#send(irp, buffer, information)
      return STATUS_MORE_PROCESSING_REQUIRED
    })
    this.#socket.dispatch.WskReceive(this.#socket, wskBuf(buffer), 0, irp)
  }

  #send(irp: Irp<number>, buffer: Buffer, length: number): void {
    irp.reuse().setCompletionRoutine(() => {
      if (irp.ioStatus.status === STATUS_SUCCESS) this.#receive(irp, buffer)
      else this.#close()
      return STATUS_MORE_PROCESSING_REQUIRED
    })
    this.#socket.dispatch.WskSend(this.#socket, wskBuf(buffer, 0, length), 0, irp)
  }

  #disconnect(): void {
    if (this.#disconnecting) return
    this.#disconnecting = true
    const irp = new Irp<0>().setCompletionRoutine(() => {
      this.#close()
      return STATUS_MORE_PROCESSING_REQUIRED
    })
    this.#socket.dispatch.WskDisconnect(this.#socket, null, 0, irp)
  }

  #close(): void {
    if (this.#closing) return
    this.#closing = true
    void close(this.#socket)
  }
}

export interface EchoServer {
  readonly port: number
  readonly accepted: () => number
  /** Closes the listener, then waits until every peer has left. */
  stop(): Promise<void>
}

export async function startEchoServer(port = 0): Promise<EchoServer> {
  const provider = wsk()
  const registration = new WskRegistration()
  provider.WskRegister({ clientContext: null, dispatch: { version: MAKE_WSK_VERSION(1, 0) } }, registration)
  const npi = out<WskProviderNpi>()
  await provider.WskCaptureProviderNPI(registration, WSK_INFINITE_WAIT, npi)
  if (npi.value === undefined) throw new Error('Cannot capture the provider')
  const { client, dispatch } = npi.value

  // Before the first socket: the callback is on from the moment the listener is bound.
  const statics = { npiId: NPI_WSK_INTERFACE_ID, eventMask: WSK_EVENT_ACCEPT }
  dispatch.WskControlClient(client, WSK_SET_STATIC_EVENT_CALLBACKS, statics, null, null)

  let accepted = 0
  const ListenDispatch: WskClientListenDispatch = {
    WskAcceptEvent(_context, _flags, _local, _remote, acceptSocket): NtStatus {
      if (acceptSocket === null) return STATUS_REQUEST_NOT_ACCEPTED
      accepted += 1
      // It receives from inside the callback; no context, no callbacks.
      new EchoConnection(acceptSocket)
      return STATUS_SUCCESS
    },
  }
  const created = new Irp<WskListenSocket>()
  const made = created.promise('create the listening socket')
  dispatch.WskSocket(
    client,
    AF_INET6,
    SOCK_STREAM,
    IPPROTO_TCP,
    WSK_FLAG_LISTEN_SOCKET,
    null,
    ListenDispatch,
    null,
    null,
    null,
    created,
  )
  const socket = await made
  const option = new Irp<number>()
  const set = option.promise('serve IPv4, too')
  socket.dispatch.WskControlSocket(socket, WskSetOption, IPV6_V6ONLY, IPPROTO_IPV6, 0, null, option)
  await set
  const bind = new Irp<0>()
  const bound = bind.promise('bind')
  socket.dispatch.WskBind(socket, sockAddr('::', port), 0, bind)
  await bound
  const local = out<SockAddr>()
  socket.dispatch.WskGetLocalAddress(socket, local, new Irp<0>())
  provider.WskReleaseProviderNPI(registration)
  return {
    port: local.value?.port ?? 0,
    accepted: () => accepted,
    async stop() {
      await close(socket)
      await provider.WskDeregister(registration)
    },
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = await startEchoServer(Number(process.argv[2] ?? 0))
  process.stdout.write(`${JSON.stringify({ name: 'echo-server', port: server.port })}\n`)
  process.stdin.resume().on('end', () => {
    void server.stop().then(() => {
      process.stdout.write(`${JSON.stringify({ event: 'stopped', accepted: server.accepted() })}\n`)
    })
  })
}
