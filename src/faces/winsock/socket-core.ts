import { WSA, failure, success } from '../../spi/index.ts'
import type {
  AddressFamily,
  EventObject,
  Overlapped,
  Result,
  SocketAddress,
  Status,
  Stream,
  TcpipArrival,
  WsaCode,
} from '../../spi/index.ts'
import { step } from '../../base/machine.ts'
import { listenerReport } from '../../switch/face.ts'
import type { ConnectionReport, ListenerReport } from '../../switch/face.ts'
import type { Accepting } from './accepting.ts'
import { listOf } from './buffers.ts'
import type { Buffers } from './buffers.ts'
import type { Connection } from './connection.ts'
import { FD_CONNECT, SD_BOTH, SD_RECEIVE } from './constants.ts'
import type { ShutdownHow } from './constants.ts'
import { Control } from './control.ts'
import { SocketEventRecord } from './event-record.ts'
import type { SocketEvents } from './event-record.ts'
import type { Home } from './home.ts'
import { LowerSocket } from './lower-socket.ts'
import type { Lower } from './lower-socket.ts'
import type { ExtensionName, IoctlName, OptionName } from './options.ts'
import { OptionStore } from './option-store.ts'
import { TRANSITIONS } from './socket-state.ts'
import type { WinsockEvent, WinsockState } from './socket-state.ts'
import type { FileSource } from './transmit-file.ts'

/** What a socket can do whatever it has become: names, data, events, options. How it becomes something is its subclass's. */
export abstract class SocketCore {
  readonly family: AddressFamily
  protected readonly home: Home
  protected readonly events = new SocketEventRecord()
  protected readonly options: OptionStore
  protected readonly lower: LowerSocket
  /** Once it listens. */
  protected accepting: Accepting | undefined
  /** While it is connected. */
  protected connection: Connection | undefined
  /** Why the connect failed. */
  #failure: Status = 0
  /** The same, until SO_ERROR is asked for. */
  #error: Status = 0
  #state: WinsockState = 'created'
  readonly #control: Control

  constructor(home: Home, family: AddressFamily) {
    this.home = home
    this.family = family
    this.lower = new LowerSocket(home, family, {
      connected: (status, stream) => {
        this.connectedOverTcpip(status, stream)
      },
      arrived: (arrival) => {
        this.arrivedOverTcpip(arrival)
      },
    })
    this.#control = new Control({
      family,
      clock: home.clock,
      now: () => ({ state: this.#state, lower: this.lower.made, connection: this.connection }),
      takeError: () => this.#takeError(),
      extension: (name) => this.extension(name),
    })
    this.options = new OptionStore(this.#control)
  }

  /** TCP/IP's connect has ended. */
  protected abstract connectedOverTcpip(status: Status, stream: Stream | undefined): void
  /** TCP/IP has accepted a connection. */
  protected abstract arrivedOverTcpip(arrival: TcpipArrival): void
  protected abstract extension(name: ExtensionName): unknown

  get state(): WinsockState {
    return this.#state
  }
  /** Who carries the connection: the name of a SAN provider, or `tcpip`. */
  get provider(): string | undefined {
    return this.connection?.carried.provider
  }

  /** @internal What `sockswitch ls` shows of it. */
  get listenerReport(): ListenerReport | undefined {
    const { made } = this.lower
    return this.#state === 'listening' && made !== undefined
      ? listenerReport(made.host, made.socket)
      : undefined
  }
  /** @internal */
  get connectionReport(): ConnectionReport | undefined {
    return this.connection?.report
  }
  /** @internal The process ends. */
  farewell(): void {
    this.connection?.farewell(this.options.value('SO_LINGER') === 0)
  }

  protected move(event: WinsockEvent): void {
    this.#state = step('Winsock', TRANSITIONS, this.#state, event)
  }

  protected get closed(): boolean {
    return this.#state === 'closed'
  }

  /** What is below it, made now where it was not. */
  protected below(): Lower {
    return this.lower.make((handler) => this.options.setBy(handler))
  }

  /** The connect has failed. */
  protected fail(status: WsaCode): void {
    this.#failure = this.#error = status
  }

  #takeError(): Status {
    const error = this.#error
    this.#error = 0
    return error
  }

  protected open(): Result<Connection> {
    if (this.closed) return failure(WSA.WSAENOTSOCK)
    return this.connection === undefined ? failure(WSA.WSAENOTCONN) : success(this.connection)
  }

  // --- names --------------------------------------------------------------------------------------------------------

  getsockname(): Result<SocketAddress> {
    if (this.closed) return failure(WSA.WSAENOTSOCK)
    if (this.connection !== undefined) return success(this.connection.carried.local)
    return this.lower.made?.host.localAddress() ?? failure(WSA.WSAEINVAL)
  }

  getpeername(): Result<SocketAddress> {
    const open = this.open()
    return open.ok ? success(open.value.carried.remote) : open
  }

  /** Both names of a socket that AcceptEx has connected. @source GetAcceptExSockaddrs */
  getAcceptExSockaddrs(): Result<{ readonly local: SocketAddress; readonly remote: SocketAddress }> {
    const open = this.open()
    if (!open.ok) return open
    const { local, remote } = open.value.carried
    return success({ local, remote })
  }

  // --- data ---------------------------------------------------------------------------------------------------------

  /**
   * Sends: what fits, `WSAEWOULDBLOCK` when nothing does; with `overlapped` all of it, in its time, and the buffers are the
   * socket's until then. `MSG_OOB` makes the last byte urgent, over a SAN only.
   *
   * @returns bytes taken. @source WSASend
   */
  send(buffers: Buffers, flags = 0, overlapped?: Overlapped): Result<number> {
    const open = this.open()
    return open.ok ? open.value.sending.send(listOf(buffers), flags, overlapped) : open
  }

  /**
   * Receives what is there: 0 at the end of the stream, `WSAEWOULDBLOCK` when there is nothing yet; with `overlapped` as soon
   * as there is something, or with `MSG_WAITALL` when all buffers are full.
   *
   * @source WSARecv
   */
  recv(buffers: Buffers, flags = 0, overlapped?: Overlapped): Result<number> {
    const open = this.open()
    return open.ok ? open.value.receiving.receive(listOf(buffers), flags, overlapped) : open
  }

  /** Sends `length` bytes of a file, from `offset`. @source TransmitFile; WSD-EXT-1 */
  transmitFile(file: FileSource, offset: number, length: number, overlapped: Overlapped): Status {
    const open = this.open()
    if (!open.ok) return open.error
    open.value.transmitFile(file, { offset, length }, overlapped)
    return WSA.WSA_IO_PENDING
  }

  /** The result of an overlapped operation: bytes, or `WSA_IO_INCOMPLETE` while it is pending. @source WSAGetOverlappedResult */
  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.pending ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  /** Ends sending, after what was sent before; receiving; or both. @source shutdown; WSD-SHUT-1, -2, -4 */
  shutdown(how: ShutdownHow): Status {
    const open = this.open()
    if (!open.ok) return open.error
    return how >= SD_RECEIVE && how <= SD_BOTH ? open.value.shutdown(how) : WSA.WSAEINVAL
  }

  // --- events, options ----------------------------------------------------------------------------------------------

  /** Chooses the event to set and what for; what holds already is told at once. @source WSAEventSelect */
  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    const status = this.events.select(event, mask)
    if (status !== 0 || mask === 0) return status
    this.accepting?.tellNow()
    this.connection?.tellNow()
    if (this.#state === 'failed') this.events.record(FD_CONNECT, this.#failure)
    return 0
  }

  /** What happened since the last time, and resets `event`. @source WSAEnumNetworkEvents */
  enumNetworkEvents(event: EventObject | null): Result<SocketEvents> {
    return this.closed ? failure(WSA.WSAENOTSOCK) : success(this.events.enumerate(event))
  }

  getsockopt(option: OptionName): Result<number> {
    return this.closed ? failure(WSA.WSAENOTSOCK) : this.options.get(option)
  }

  setsockopt(option: OptionName, value: number): Status {
    return this.closed ? WSA.WSAENOTSOCK : this.options.set(option, value)
  }

  /** @returns what the code answers: a number, a boolean, addresses, or a function. @source WSAIoctl */
  ioctl(code: IoctlName, input?: number | string): Result<unknown> {
    return this.closed ? failure(WSA.WSAENOTSOCK) : this.#control.ioctl(code, input)
  }
}
