import { sockAddr } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import { out, wskBuf } from './buffer.ts'
import * as wsk from './constants.ts'
import type { WskAnySocket, WskConnectionSocket, WskInspectId, WskListenSocket } from './dispatch.ts'
import { inspectIdKey } from './dispatch.ts'
import type { IrpSink } from './irp.ts'
import type { WskProviderNpi } from './provider-dispatch.ts'
import { Irp } from './irp.ts'
import { STATUS, WskError } from './status.ts'
import type { NtStatus } from './status.ts'
import { WskRegistration } from './wsk.ts'
import type { Wsk } from './wsk.ts'

/** Starts a request, and waits for what its IRP says. @param action What is tried, for the error. */
export function request<T>(start: (irp: Irp<T>) => NtStatus, action: string): Promise<T> {
  const irp = new Irp<T>()
  const promise = irp.promise(action)
  start(irp)
  return promise
}

/** A connection request under inspection. */
export interface InspectRequest {
  readonly local: SockAddr
  readonly remote: SockAddr
  readonly id: WskInspectId
  /** Aborted when the request is dropped before it is a connection. */
  readonly signal: AbortSignal
}

/** What an inspector says: at once, or after a while; meanwhile the peer waits, over a SAN. */
export type Inspector = (request: InspectRequest) => Verdict | Promise<Verdict>
export type Verdict = 'accept' | 'reject'

export interface ListenOptions {
  readonly port?: number
  readonly address?: string
  /** Asked about each request. One that throws rejects. */
  readonly inspect?: Inspector
}

export interface ConnectOptions {
  readonly localAddress?: string
  readonly localPort?: number
}

/** A client for people who like TypeScript more than dispatch tables; all of it is made of them. */
export class WskApplication implements AsyncDisposable {
  readonly #wsk: Wsk
  readonly #registration = new WskRegistration()
  readonly #npi: WskProviderNpi

  /** @throws WskError where the provider is not there. */
  constructor(provider: Wsk) {
    this.#wsk = provider
    const npi = out<WskProviderNpi>()
    const dispatch = { version: wsk.MAKE_WSK_VERSION(1, 0) }
    check(provider.WskRegister({ clientContext: this, dispatch }, this.#registration), 'register')
    check(provider.WskCaptureProviderNPI(this.#registration, wsk.WSK_NO_WAIT, npi), 'capture the provider')
    this.#npi = npi.value as WskProviderNpi
  }

  /** Listens; connections wait in {@link Listener.accept} until somebody takes them. */
  async listen({ port = 0, address = '127.0.0.1', inspect }: ListenOptions = {}): Promise<Listener> {
    const inspections = inspect === undefined ? undefined : new Judging(inspect)
    const local = sockAddr(address, port)
    const socket = await this.#socket<WskListenSocket>(local, (irp, family) =>
      this.#npi.dispatch.WskSocket(
        this.#npi.client,
        family,
        wsk.SOCK_STREAM,
        wsk.IPPROTO_TCP,
        wsk.WSK_FLAG_LISTEN_SOCKET,
        null,
        inspections?.dispatch ?? null,
        null,
        null,
        null,
        irp,
      ),
    )
    try {
      if (inspections !== undefined) await inspections.begin(socket)
      await request<0>(
        (irp) => socket.dispatch.WskBind(socket, local, 0, irp),
        `listen at ${address}:${String(port)}`,
      )
    } catch (error) {
      await closeSocket(socket)
      throw error
    }
    const bound = out<SockAddr>()
    await request<0>((irp) => socket.dispatch.WskGetLocalAddress(socket, bound, irp), 'ask for the address')
    return new Listener(socket, bound.value ?? local, () => inspections?.end())
  }

  /** Connects; what arrives waits in the {@link Connection} until it is read. */
  async connect(remote: SockAddr, { localAddress, localPort = 0 }: ConnectOptions = {}): Promise<Connection> {
    const wildcard = remote.family === 'IPv6' ? '::' : '0.0.0.0'
    const local = sockAddr(localAddress ?? wildcard, localPort)
    const { client, dispatch } = this.#npi
    const socket = await request<WskConnectionSocket>(
      (irp) =>
        dispatch.WskSocketConnect(
          client,
          wsk.SOCK_STREAM,
          wsk.IPPROTO_TCP,
          local,
          remote,
          0,
          null,
          null,
          null,
          null,
          null,
          irp,
        ),
      `connect to ${remote.address}:${String(remote.port)}`,
    )
    return new Connection(socket)
  }

  #socket<S extends WskAnySocket>(
    { family }: SockAddr,
    make: (irp: IrpSink<S>, family: number) => NtStatus,
  ): Promise<S> {
    return request<S>((irp) => make(irp, family === 'IPv6' ? wsk.AF_INET6 : wsk.AF_INET), 'create a socket')
  }

  /** Ends once all of its sockets are closed; it closes none itself. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#wsk.WskReleaseProviderNPI(this.#registration)
    await this.#wsk.WskDeregister(this.#registration)
  }
}

/** Asks an inspector, and carries out what it says. */
class Judging {
  #socket: WskListenSocket | undefined
  readonly #inspect: Inspector
  readonly #pending = new Map<string, AbortController>()

  constructor(inspect: Inspector) {
    this.#inspect = inspect
  }

  async begin(socket: WskListenSocket): Promise<void> {
    this.#socket = socket
    await request<number>(
      (irp) =>
        socket.dispatch.WskControlSocket(
          socket,
          wsk.WskSetOption,
          wsk.SO_CONDITIONAL_ACCEPT,
          wsk.SOL_SOCKET,
          1,
          null,
          irp,
        ),
      'inspect connection requests',
    )
  }

  /** The listener closes: no request of it becomes a connection. */
  end(): void {
    for (const controller of this.#pending.values()) controller.abort()
    this.#pending.clear()
  }

  readonly dispatch = {
    WskInspectEvent: (
      _context: unknown,
      local: SockAddr | null,
      remote: SockAddr | null,
      id: WskInspectId | null,
    ): wsk.WskInspectAction => {
      if (id === null || local === null || remote === null) return wsk.WskInspectReject
      const controller = new AbortController()
      const verdict = this.#inspect({ local, remote, id, signal: controller.signal })
      if (typeof verdict === 'string') return actionOf(verdict)
      this.#pending.set(inspectIdKey(id), controller)
      void this.#complete(id, verdict)
      return wsk.WskInspectPend
    },
    WskAbortEvent: (_context: unknown, id: WskInspectId): NtStatus => {
      const key = inspectIdKey(id)
      this.#pending.get(key)?.abort()
      this.#pending.delete(key)
      return STATUS.STATUS_SUCCESS
    },
  }

  async #complete(id: WskInspectId, verdict: Promise<Verdict>): Promise<void> {
    let action: wsk.WskInspectDecision = wsk.WskInspectReject
    try {
      action = actionOf(await verdict)
    } finally {
      // Nobody waits for the verdict on a request that was dropped.
      const socket = this.#socket
      if (this.#pending.delete(inspectIdKey(id)) && socket !== undefined) {
        socket.dispatch.WskInspectComplete(socket, id, action, new Irp<0>())
      }
    }
  }
}

function actionOf(verdict: Verdict): wsk.WskInspectDecision {
  return verdict === 'accept' ? wsk.WskInspectAccept : wsk.WskInspectReject
}

/** A listening socket. */
export class Listener implements AsyncDisposable {
  readonly socket: WskListenSocket
  readonly address: SockAddr
  readonly #onClose: (() => void) | undefined

  /** @param onClose Called when it closes. */
  constructor(socket: WskListenSocket, address: SockAddr, onClose?: () => void) {
    this.socket = socket
    this.address = address
    this.#onClose = onClose
  }

  /** The next connection. */
  async next(): Promise<Connection> {
    const { socket } = this
    const accepted = await request<WskConnectionSocket>(
      (irp) => socket.dispatch.WskAccept(socket, 0, null, null, null, null, irp),
      'accept a connection',
    )
    return new Connection(accepted)
  }

  /** Connections as they are asked for, until the listener closes: nobody is accepted whom nobody takes. */
  async *accept(): AsyncGenerator<Connection, void, undefined> {
    for (;;) {
      let connection: Connection
      try {
        connection = await this.next()
      } catch (error) {
        if (isOver(error)) return
        throw error
      }
      yield connection
    }
  }

  async close(): Promise<void> {
    const closing = closeSocket(this.socket)
    this.#onClose?.()
    await closing
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The most that one read brings. */
const READ_BYTES = 64 << 10

/** A connected socket. */
export class Connection implements AsyncDisposable {
  readonly socket: WskConnectionSocket

  constructor(socket: WskConnectionSocket) {
    this.socket = socket
  }

  /** The other end. */
  async remoteAddress(): Promise<SockAddr> {
    const { socket } = this
    const remote = out<SockAddr>()
    await request<0>((irp) => socket.dispatch.WskGetRemoteAddress(socket, remote, irp), 'ask for the peer')
    return remote.value as SockAddr
  }

  /** Over when all of it was really sent: whoever waits sends no faster than the peer takes. */
  async send(data: Uint8Array | string): Promise<void> {
    const { socket } = this
    const bytes = typeof data === 'string' ? Buffer.from(data) : data
    await request<number>((irp) => socket.dispatch.WskSend(socket, wskBuf(bytes), 0, irp), 'send')
  }

  /** Fills `target`, or as much of it as there is when the peer ends. @returns how many bytes */
  async receive(target: Uint8Array): Promise<number> {
    const { socket } = this
    return request<number>(
      (irp) => socket.dispatch.WskReceive(socket, wskBuf(target), wsk.WSK_FLAG_WAITALL, irp),
      'receive',
    )
  }

  /** What arrives, as it arrives, until the peer ends; what is not asked for stays with the peer. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    const { socket } = this
    for (;;) {
      const buffer = Buffer.allocUnsafe(READ_BYTES)
      const length = await request<number>(
        (irp) => socket.dispatch.WskReceive(socket, wskBuf(buffer), 0, irp),
        'receive',
      )
      if (length === 0) return
      yield buffer.subarray(0, length)
    }
  }

  /** Ends our direction, after everything sent. */
  async end(): Promise<void> {
    const { socket } = this
    await request<0>((irp) => socket.dispatch.WskDisconnect(socket, null, 0, irp), 'end the stream')
  }

  /** Closes; a connection that has not ended in both directions is reset. */
  async close(): Promise<void> {
    await closeSocket(this.socket)
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Idempotent, as disposing has to be. */
async function closeSocket(socket: WskAnySocket): Promise<void> {
  try {
    await request<0>((irp) => socket.dispatch.WskCloseSocket(socket, irp), 'close the socket')
  } catch (error) {
    if (!(error instanceof WskError && error.status === STATUS.STATUS_INVALID_HANDLE)) throw error
  }
}

/** True when a listener is closed, by us or by force. */
function isOver(error: unknown): boolean {
  const over: readonly NtStatus[] = [
    STATUS.STATUS_CANCELLED,
    STATUS.STATUS_INVALID_HANDLE,
    STATUS.STATUS_FILE_FORCED_CLOSED,
  ]
  return error instanceof WskError && over.includes(error.status)
}

function check(status: NtStatus, action: string): void {
  if (status !== STATUS.STATUS_SUCCESS) throw new WskError(status, action)
}
