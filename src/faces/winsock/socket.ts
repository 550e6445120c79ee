import { networkInterfaces } from 'node:os'
import { WSA, failure, success } from '../../spi/index.ts'
import type {
  AddressFamily,
  EventObject,
  HostSocket,
  Overlapped,
  Result,
  SocketAddress,
  Status,
  Stream,
  TcpipArrival,
  TcpipOwner,
  WsaCode,
} from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import type { ConnectOutcome, SwitchSocket } from '../../switch/socket.ts'
import { Accepting } from './accepting.ts'
import type { Incoming, WinsockCondition } from './accepting.ts'
import { destinationOf, shownIn } from './addresses.ts'
import { Blocking } from './blocking.ts'
import { FD_CONNECT, FD_WRITE, SD_BOTH, SD_RECEIVE, SD_SEND } from './constants.ts'
import { SocketEventRecord } from './event-record.ts'
import type { SocketEvents } from './event-record.ts'
import type { Home } from './home.ts'
import { EXTENSIONS, IOCTLS } from './options.ts'
import type { IoctlName, OptionName } from './options.ts'
import { OptionStore } from './option-store.ts'
import type { OptionHost } from './option-store.ts'
import { Receiving } from './receiving.ts'
import { Sending } from './sending.ts'
import { next } from './socket-state.ts'
import type { WinsockEvent, WinsockState } from './socket-state.ts'
import { transmitFile } from './transmit-file.ts'
import type { FileSource } from './transmit-file.ts'
import { urgentOf } from './urgent.ts'

/** One buffer, or several that are sent or filled as if they were one (WSABUF). */
export type Buffers = Uint8Array | readonly Uint8Array[]

interface Connection extends Incoming {
  readonly sending: Sending
  readonly receiving: Receiving
  readonly since: number
}

interface PendingConnect {
  readonly remote: SocketAddress
  readonly data: readonly Uint8Array[]
  readonly overlapped: Overlapped | undefined
}

/**
 * An application's stream socket, with Winsock's calls. No call blocks: a socket is nonblocking from the start, operations
 * with an {@link Overlapped} go on by themselves, and {@link blocking} has the calls that wait, as promises. Nothing is told
 * from inside a call. Addresses show as the family of the socket does.
 */
export class WinsockSocket implements TcpipOwner {
  readonly family: AddressFamily
  readonly #home: Home
  readonly #events = new SocketEventRecord()
  readonly #options: OptionStore
  #state: WinsockState = 'created'
  #host: HostSocket | undefined
  #switchSocket: SwitchSocket | undefined
  #accepting: Accepting | undefined
  #connecting: PendingConnect | undefined
  #connection: Connection | undefined
  #error: Status = 0
  /** An AcceptEx is to give it a connection; taken back when the socket closes. */
  #reserved: (() => void) | undefined
  #whenDrained: (() => void) | undefined
  #blocking: Blocking | undefined

  constructor(home: Home, family: AddressFamily) {
    this.#home = home
    this.family = family
    this.#options = new OptionStore(this.#optionHost)
  }

  get state(): WinsockState {
    return this.#state
  }
  /** Who carries the connection: the name of a SAN provider, or `tcpip`. */
  get provider(): string | undefined {
    return this.#connection?.provider
  }
  /** The calls that wait. */
  get blocking(): Blocking {
    return (this.#blocking ??= new Blocking(this, this.#home))
  }

  #move(event: WinsockEvent): void {
    const to = next(this.#state, event)
    invariant(to, `${event} is legal in Winsock state ${this.#state}`)
    this.#state = to
  }

  get #closed(): boolean {
    return this.#state === 'closed'
  }

  // TCP/IP makes the application's socket (WSD-SOCK-1); one for AcceptEx never needs it.
  #tcp(): { readonly host: HostSocket; readonly socket: SwitchSocket } {
    if (this.#host === undefined || this.#switchSocket === undefined) {
      this.#host = this.#home.tcpip.socket(this.family, this)
      this.#switchSocket = this.#home.switch.socket(this.#host)
      for (const [option, value] of this.#options.setBy('tcpip')) this.#host.setOption(option, value)
      for (const [option, value] of this.#options.setBy('companion')) this.#switchSocket.record(option, value)
    }
    return { host: this.#host, socket: this.#switchSocket }
  }

  // --- names --------------------------------------------------------------------------------------------------------

  /** Binds; port 0 lets TCP/IP choose. @source bind; WSD-SOCK-5, -6 */
  bind(address: SocketAddress): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    if (this.#state !== 'created' || this.#reserved !== undefined) return WSA.WSAEINVAL
    if (address.family !== this.family) return WSA.WSAEFAULT
    const status = this.#tcp().host.bind(address)
    if (status === 0) this.#move('bind')
    return status
  }

  getsockname(): Result<SocketAddress> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    if (this.#connection !== undefined) return success(this.#connection.local)
    return this.#host?.localAddress() ?? failure(WSA.WSAEINVAL)
  }

  getpeername(): Result<SocketAddress> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    return this.#connection === undefined ? failure(WSA.WSAENOTCONN) : success(this.#connection.remote)
  }

  // --- listening ----------------------------------------------------------------------------------------------------

  /** Listens, on TCP/IP and on every SAN that serves the address; again, it changes the backlog. @source listen */
  listen(backlog: number): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    if (this.#state === 'connected' || this.#state === 'connecting') return WSA.WSAEISCONN
    if (this.#state !== 'bound' && this.#state !== 'listening') return WSA.WSAEINVAL
    const length = Math.min(Math.max(1, backlog), MAX_BACKLOG)
    const accepting = (this.#accepting ??= new Accepting(
      this.#home.completion,
      this.#events,
      length,
      this.#options.value('SO_CONDITIONAL_ACCEPT') !== 0,
    ))
    const { socket } = this.#tcp()
    const arrived = accepting.arrived.bind(accepting)
    const status = socket.listen(length, arrived, { condition: accepting.condition })
    if (status !== 0) return status
    accepting.setBacklog(length)
    if (this.#state === 'bound') {
      this.#move('listen')
      this.#home.switch.track(socket)
    }
    return 0
  }

  arrived(arrival: TcpipArrival): void {
    if (this.#accepting === undefined || this.#closed) arrival.stream.reset()
    else this.#accepting.arrivedOverTcpip(arrival)
  }

  /**
   * Takes the first connection that waits, after asking `condition`; `WSAEWOULDBLOCK` when none does, `WSATRY_AGAIN` when the
   * condition defers it, `WSAECONNREFUSED` when it rejects it.
   *
   * @source WSAAccept
   */
  accept(condition?: WinsockCondition): Result<WinsockSocket> {
    const listening = this.#listening()
    if (!listening.ok) return listening
    const taken = listening.value.accept(condition)
    if (!taken.ok) return taken
    const socket = this.#home.newSocket(this.family)
    socket.#adopt(taken.value, this.#options)
    return success(socket)
  }

  /**
   * Lets `socket`, a new one, have the next connection. With a buffer the operation ends with the first data in it (WSD-ACCEPT-23).
   *
   * @source AcceptEx
   */
  acceptEx(
    socket: WinsockSocket,
    buffer: Buffers | undefined,
    overlapped: Overlapped,
    condition?: WinsockCondition,
  ): Status {
    const listening = this.#listening()
    if (!listening.ok) return listening.error
    if (socket.#state !== 'created' || socket.#reserved !== undefined || socket.#host !== undefined)
      return WSA.WSAEINVAL
    if (socket.family !== this.family) return WSA.WSAEAFNOSUPPORT
    const accepting = listening.value
    socket.#reserved = () => {
      accepting.cancel(overlapped)
    }
    accepting.post({
      condition,
      overlapped,
      deliver: (incoming) => {
        socket.#adopt(incoming, this.#options)
        const first = buffer === undefined ? undefined : listOf(buffer)
        if (first === undefined) this.#home.completion.end(overlapped, 0, 0)
        else socket.#connection?.receiving.receive(first, 0, overlapped)
      },
    })
    return WSA.WSA_IO_PENDING
  }

  /** Both names of a socket that AcceptEx has connected. @source GetAcceptExSockaddrs */
  getAcceptExSockaddrs(): Result<{ readonly local: SocketAddress; readonly remote: SocketAddress }> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    if (this.#connection === undefined) return failure(WSA.WSAENOTCONN)
    const { local, remote } = this.#connection
    return success({ local, remote })
  }

  #listening(): Result<Accepting> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    if (this.#state !== 'listening' || this.#accepting === undefined) return failure(WSA.WSAEINVAL)
    return success(this.#accepting)
  }

  #adopt(incoming: Incoming, options: OptionStore): void {
    this.#reserved = undefined
    this.#options.inherit(options)
    for (const [option, value] of this.#options.setBy('tcpip')) incoming.stream.setOption(option, value)
    this.#move('accepted')
    this.#join(incoming)
  }

  // --- connecting ---------------------------------------------------------------------------------------------------

  /**
   * Starts to connect: `WSAEWOULDBLOCK`, and `FD_CONNECT` tells how it went. Asked again it answers `WSAEALREADY`, and
   * `WSAEISCONN` once connected; the provider hears nothing of that (WSD-CONN-10).
   *
   * @source WSAConnect
   */
  connect(address: SocketAddress): Status {
    const status = this.#connect(address, [], undefined)
    return status === WSA.WSA_IO_PENDING ? WSA.WSAEWOULDBLOCK : status
  }

  /** Connects, and sends `data` as soon as it can; ends when all of that was taken. Binds where need be. @source ConnectEx */
  connectEx(address: SocketAddress, data: Buffers | undefined, overlapped: Overlapped): Status {
    return this.#connect(address, data === undefined ? [] : listOf(data), overlapped)
  }

  #connect(address: SocketAddress, data: readonly Uint8Array[], overlapped: Overlapped | undefined): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#state === 'connected') return WSA.WSAEISCONN
    if ((this.#state !== 'created' && this.#state !== 'bound') || this.#reserved !== undefined)
      return WSA.WSAEINVAL
    if (address.family !== this.family) return WSA.WSAEAFNOSUPPORT
    if (address.port === 0) return WSA.WSAEADDRNOTAVAIL
    const { socket } = this.#tcp()
    this.#move('connect')
    overlapped?.begin()
    this.#connecting = { remote: address, data, overlapped }
    this.#home.hold(this)
    socket.connect(destinationOf(address), (outcome) => {
      this.#outcome(outcome)
    })
    return WSA.WSA_IO_PENDING
  }

  #outcome(outcome: ConnectOutcome): void {
    if (outcome.kind === 'san') this.#connected(outcome.session, outcome.local, outcome.provider)
    else if (outcome.kind === 'failed') this.#connectFailed(outcome.code)
    else if (outcome.status !== 0) {
      // From inside the call: told in a turn of its own.
      const { status } = outcome
      this.#home.schedule(() => {
        this.#connectFailed(status)
      })
    }
  }

  connected(status: Status, stream?: Stream): void {
    const local = this.#host?.localAddress()
    if (status !== 0 || stream === undefined) this.#connectFailed(status === 0 ? WSA.WSAECONNABORTED : status)
    else if (this.#state !== 'connecting') stream.reset()
    else this.#connected(stream, local?.ok === true ? local.value : UNKNOWN[this.family], 'tcpip')
  }

  #connected(stream: Stream, local: SocketAddress, provider: string): void {
    const pending = this.#connecting
    if (pending === undefined) return
    this.#connecting = undefined
    this.#move('connected')
    this.#events.record(FD_CONNECT)
    const { sending } = this.#join({ stream, local, remote: pending.remote, provider })
    if (pending.overlapped === undefined) return
    if (pending.data.length === 0) this.#home.completion.end(pending.overlapped, 0, 0)
    else sending.send(pending.data, 0, pending.overlapped)
  }

  #connectFailed(status: WsaCode): void {
    const pending = this.#connecting
    if (pending === undefined) return
    this.#connecting = undefined
    this.#error = status
    this.#move('failed')
    this.#switchSocket?.close()
    this.#home.forget(this)
    this.#events.record(FD_CONNECT, status)
    if (pending.overlapped !== undefined) this.#home.completion.end(pending.overlapped, status, 0)
  }

  // --- data ---------------------------------------------------------------------------------------------------------

  #join({ stream, local, remote, provider }: Incoming): Connection {
    const { completion, clock } = this.#home
    const limit = (): number => this.#options.value('SO_SNDBUF')
    const sending = new Sending(stream, completion, this.#events, limit)
    const receiving = new Receiving(stream, completion, this.#events)
    const shown = { local: shownIn(this.family, local), remote: shownIn(this.family, remote) }
    this.#connection = { stream, provider, sending, receiving, ...shown, since: clock.now() }
    this.#home.hold(this)
    const session = urgentOf(stream)
    if (session !== undefined) session.urgentInline = this.#options.value('SO_OOBINLINE') !== 0
    const owner = {
      readable: () => {
        receiving.readable()
      },
      writable: () => {
        sending.writable()
        if (sending.drained) this.#whenDrained?.()
      },
      urgent: () => {
        receiving.urgent()
      },
    }
    stream.attach(owner)
    // What came along with the connection was told to nobody.
    this.#home.schedule(() => {
      if (this.#closed) return
      this.#events.record(FD_WRITE)
      receiving.readable()
    })
    return this.#connection
  }

  #open(): Result<Connection> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    return this.#connection === undefined ? failure(WSA.WSAENOTCONN) : success(this.#connection)
  }

  /**
   * Sends: what fits, `WSAEWOULDBLOCK` when nothing does; with `overlapped` all of it, in its time, and the buffers are the
   * socket's until then. `MSG_OOB` makes the last byte urgent, over a SAN only.
   *
   * @returns bytes taken. @source WSASend
   */
  send(buffers: Buffers, flags = 0, overlapped?: Overlapped): Result<number> {
    const open = this.#open()
    return open.ok ? open.value.sending.send(listOf(buffers), flags, overlapped) : open
  }

  /**
   * Receives what is there: 0 at the end of the stream, `WSAEWOULDBLOCK` when there is nothing yet; with `overlapped` as soon
   * as there is something, or with `MSG_WAITALL` when all buffers are full.
   *
   * @source WSARecv
   */
  recv(buffers: Buffers, flags = 0, overlapped?: Overlapped): Result<number> {
    const open = this.#open()
    return open.ok ? open.value.receiving.receive(listOf(buffers), flags, overlapped) : open
  }

  /** Sends `length` bytes of a file, from `offset`. @source TransmitFile; WSD-EXT-1 */
  transmitFile(file: FileSource, offset: number, length: number, overlapped: Overlapped): Status {
    const open = this.#open()
    if (!open.ok) return open.error
    transmitFile(this, this.#home.completion, file, offset, length, overlapped)
    return WSA.WSA_IO_PENDING
  }

  /** The result of an overlapped operation: bytes, or `WSA_IO_INCOMPLETE` while it is pending. @source WSAGetOverlappedResult */
  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.pending ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  /** Takes an overlapped operation back; it ends with `WSA_OPERATION_ABORTED`. `WSAEINVAL` when it is not pending. @source CancelIoEx */
  cancel(overlapped: Overlapped): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    if (this.#connecting?.overlapped === overlapped) {
      this.#connectFailed(WSA.WSA_OPERATION_ABORTED)
      return 0
    }
    const found =
      this.#accepting?.cancel(overlapped) === true ||
      this.#connection?.sending.cancel(overlapped) === true ||
      this.#connection?.receiving.cancel(overlapped) === true
    return found ? 0 : WSA.WSAEINVAL
  }

  // --- events, options ----------------------------------------------------------------------------------------------

  /** Chooses the event to set and what for; what holds already is told at once. @source WSAEventSelect */
  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    const status = this.#events.select(event, mask)
    if (status !== 0 || mask === 0) return status
    this.#accepting?.tellNow()
    if (this.#connection !== undefined) {
      this.#events.record(FD_WRITE)
      this.#connection.receiving.tellNow()
    }
    if (this.#state === 'failed') this.#events.record(FD_CONNECT, this.#error)
    return 0
  }

  /** What happened since the last time, and resets `event`. @source WSAEnumNetworkEvents */
  enumNetworkEvents(event: EventObject | null): Result<SocketEvents> {
    return this.#closed ? failure(WSA.WSAENOTSOCK) : success(this.#events.enumerate(event))
  }

  getsockopt(option: OptionName): Result<number> {
    return this.#closed ? failure(WSA.WSAENOTSOCK) : this.#options.get(option)
  }

  setsockopt(option: OptionName, value: number): Status {
    return this.#closed ? WSA.WSAENOTSOCK : this.#options.set(option, value)
  }

  readonly #optionHost: OptionHost = {
    known: (option) => {
      switch (option) {
        case 'SO_ACCEPTCONN':
          return this.#state === 'listening' ? 1 : 0
        case 'SO_ERROR': {
          const error = this.#error
          this.#error = 0
          return error
        }
        case 'SO_CONNECT_TIME':
          return this.#connection === undefined
            ? NO_CONNECT_TIME
            : Math.floor((this.#home.clock.now() - this.#connection.since) / 1000)
        default:
          return undefined
      }
    },
    apply: (option, value) => this.#applyOption(option, value),
  }

  #applyOption(option: OptionName, value: number): Status {
    const stream = this.#connection?.stream
    switch (option) {
      case 'SO_KEEPALIVE':
      case 'TCP_NODELAY':
        this.#host?.setOption(option, value)
        return stream?.setOption(option, value) ?? 0
      case 'SO_DEBUG':
      case 'SO_GROUP_PRIORITY':
        this.#switchSocket?.record(option, value)
        // A carrier that does not know it keeps it from nobody: it is replayed to the next one that does.
        stream?.setOption(option, value)
        return 0
      case 'SO_OOBINLINE': {
        const session = stream && urgentOf(stream)
        if (session !== undefined) session.urgentInline = value !== 0
        return 0
      }
      case 'SO_LINGER':
        return value >= -1 && value <= 0xffff ? 0 : WSA.WSAEINVAL
      case 'SO_SNDBUF':
        return value > 0 ? 0 : WSA.WSAEINVAL
      case 'SO_SNDTIMEO':
      case 'SO_RCVTIMEO':
        return value >= 0 ? 0 : WSA.WSAEINVAL
      case 'SO_CONDITIONAL_ACCEPT':
        return this.#accepting === undefined ? 0 : WSA.WSAEINVAL
      case 'SO_UPDATE_ACCEPT_CONTEXT':
      case 'SO_UPDATE_CONNECT_CONTEXT':
        return stream === undefined ? WSA.WSAENOTCONN : 0
      default:
        return 0
    }
  }

  /** @returns what the code answers: a number, a boolean, addresses, or a function. @source WSAIoctl */
  ioctl(code: IoctlName, input?: number | string): Result<unknown> {
    if (this.#closed) return failure(WSA.WSAENOTSOCK)
    const row = (IOCTLS as Readonly<Record<string, (typeof IOCTLS)[IoctlName]>>)[code]
    if (row === undefined) return failure(WSA.WSAEOPNOTSUPP)
    switch (code) {
      case 'FIONBIO':
        return input === 1 ? success(1) : failure(row.error)
      case 'FIONREAD':
        return this.#connection === undefined
          ? failure(row.error)
          : success(this.#connection.receiving.available)
      case 'SIOCATMARK':
        if (this.#connection === undefined) return failure(row.error)
        return success(urgentOf(this.#connection.stream)?.atMark ?? true)
      case 'SIO_ADDRESS_LIST_QUERY':
        return success(hostAddresses(this.family))
      case 'SIO_GET_EXTENSION_FUNCTION_POINTER':
        return this.#extension(String(input).toUpperCase())
      default:
        return failure(row.error)
    }
  }

  #extension(guid: string): Result<unknown> {
    const names = Object.keys(EXTENSIONS) as (keyof typeof EXTENSIONS)[]
    const name = names.find((each) => EXTENSIONS[each] === guid)
    return name === undefined ? failure(WSA.WSAEINVAL) : success(this[name].bind(this))
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Ends sending, after what was sent before; receiving; or both. @source shutdown; WSD-SHUT-1, -2, -4 */
  shutdown(how: typeof SD_RECEIVE | typeof SD_SEND | typeof SD_BOTH): Status {
    const open = this.#open()
    if (!open.ok) return open.error
    if (how === SD_SEND || how === SD_BOTH) open.value.sending.end()
    if (how === SD_RECEIVE || how === SD_BOTH) open.value.receiving.end()
    return 0
  }

  /**
   * Closes. Whatever is pending ends with `WSA_OPERATION_ABORTED`. What was sent goes on its way, unless SO_LINGER is 0: then
   * the connection is reset. With a longer SO_LINGER and bytes not sent yet it answers `WSAEWOULDBLOCK`, and nothing happens.
   *
   * @source closesocket; WSD-CLOSE-4, -19
   */
  closesocket(): Status {
    if (this.#closed) return WSA.WSAENOTSOCK
    const linger = this.#options.value('SO_LINGER')
    if (linger > 0 && this.#connection?.sending.drained === false) return WSA.WSAEWOULDBLOCK
    this.abort(linger === 0)
    return 0
  }

  /** For whoever closes on behalf of the application: as {@link closesocket}, at once. @param reset Abruptly. */
  abort(reset: boolean): void {
    if (this.#closed) return
    this.#reserved?.()
    this.#reserved = undefined
    const { stream, sending, receiving } = this.#connection ?? {}
    const connecting = this.#connecting
    const socket = this.#switchSocket
    this.#connecting = undefined
    this.#connection = undefined
    this.#move('close')
    this.#events.select(null, 0)
    this.#accepting?.close()
    sending?.cancelAll(WSA.WSA_OPERATION_ABORTED)
    receiving?.cancelAll(WSA.WSA_OPERATION_ABORTED)
    if (connecting?.overlapped !== undefined) {
      this.#home.completion.end(connecting.overlapped, WSA.WSA_OPERATION_ABORTED, 0)
    }
    if (reset || receiving?.hasPeeked === true) stream?.reset()
    else stream?.close()
    if (socket !== undefined) {
      this.#home.switch.untrack(socket)
      socket.close()
    }
    this.#host?.close()
    this.#home.forget(this)
  }

  /** For the blocking close: seconds to wait for what was sent, and who is told when it has gone. */
  lingering(told: () => void): number {
    const linger = this.#options.value('SO_LINGER')
    if (linger <= 0 || this.#connection === undefined || this.#connection.sending.drained) return 0
    this.#whenDrained = told
    return linger
  }
}

const MAX_BACKLOG = 0x7fffffff
const NO_CONNECT_TIME = 0xffffffff
const UNKNOWN: Readonly<Record<AddressFamily, SocketAddress>> = {
  IPv4: { family: 'IPv4', address: '0.0.0.0', port: 0 },
  IPv6: { family: 'IPv6', address: '::', port: 0 },
}

function listOf(buffers: Buffers): readonly Uint8Array[] {
  return buffers instanceof Uint8Array ? [buffers] : buffers
}

function hostAddresses(family: AddressFamily): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).filter((each) => each.family === family).map(({ address }) => address),
  )
}
