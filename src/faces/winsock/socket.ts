import { WSA, failure, success } from '../../spi/index.ts'
import type {
  AddressFamily,
  Overlapped,
  Result,
  SocketAddress,
  Status,
  Stream,
  TcpipArrival,
} from '../../spi/index.ts'
import type { Carried } from '../../switch/face.ts'
import { Accepting } from './accepting.ts'
import type { WinsockCondition } from './accepting.ts'
import { Attempt } from './attempt.ts'
import type { AttemptEnd } from './attempt.ts'
import { Blocking } from './blocking.ts'
import { listOf } from './buffers.ts'
import type { Buffers } from './buffers.ts'
import { Connection } from './connection.ts'
import { FD_CONNECT } from './constants.ts'
import type { ExtensionName } from './options.ts'
import type { OptionStore } from './option-store.ts'
import { PendingAccept } from './pending-accept.ts'
import { SocketCore } from './socket-core.ts'

const MAX_BACKLOG = 0x7fffffff
const UNKNOWN: Readonly<Record<AddressFamily, SocketAddress>> = {
  IPv4: { family: 'IPv4', address: '0.0.0.0', port: 0 },
  IPv6: { family: 'IPv6', address: '::', port: 0 },
}

/**
 * An application's stream socket, with Winsock's calls. No call blocks: a socket is nonblocking from the start, operations
 * with an {@link Overlapped} go on by themselves, and {@link blocking} has the calls that wait, as promises. Nothing is told
 * from inside a call. Addresses show as the family of the socket does.
 */
export class WinsockSocket extends SocketCore {
  /** While it is reserved: takes the accept back that is to give it a connection. */
  #takeBack: (() => void) | undefined
  /** While it connects. */
  #attempt: Attempt | undefined
  #blocking: Blocking | undefined

  /** The calls that wait. */
  get blocking(): Blocking {
    return (this.#blocking ??= new Blocking(this, this.home))
  }

  /** Binds; port 0 lets TCP/IP choose. @source bind; WSD-SOCK-5, -6 */
  bind(address: SocketAddress): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    if (this.state !== 'created') return WSA.WSAEINVAL
    if (address.family !== this.family) return WSA.WSAEFAULT
    const status = this.below().host.bind(address)
    if (status === 0) this.move('bind')
    return status
  }

  // --- listening ----------------------------------------------------------------------------------------------------

  /** Listens, on TCP/IP and on every SAN that serves the address; again, it changes the backlog. @source listen */
  listen(backlog: number): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    if (this.state === 'connected' || this.state === 'connecting') return WSA.WSAEISCONN
    if (this.state !== 'bound' && this.state !== 'listening') return WSA.WSAEINVAL
    const length = Math.min(Math.max(1, backlog), MAX_BACKLOG)
    const conditional = this.options.value('SO_CONDITIONAL_ACCEPT') !== 0
    const accepting = this.accepting ?? new Accepting(this.home.schedule, this.events, length, conditional)
    const { socket } = this.below()
    const arrived = accepting.arrived.bind(accepting)
    const status = socket.listen(length, arrived, { condition: accepting.condition })
    if (status !== 0) return status
    accepting.setBacklog(length)
    if (this.state === 'listening') return 0
    this.accepting = accepting
    this.move('listen')
    this.home.switch.track(socket)
    return 0
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
    const socket = this.home.newSocket(this.family)
    socket.#adopt(taken.value, this.options)
    return success(socket)
  }

  /**
   * Lets `socket`, a new one, have the next connection. With a buffer the operation ends with the first data in it
   * (WSD-ACCEPT-23). Cancelled until then, or when this socket closes, a connection that `socket` has is reset, and `socket` is
   * a new one again (WSD-ACCEPT-24).
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
    if (socket.state !== 'created' || socket.lower.made !== undefined) return WSA.WSAEINVAL
    if (socket.family !== this.family) return WSA.WSAEAFNOSUPPORT
    const accepting = listening.value
    socket.move('reserve')
    socket.#takeBack = () => {
      accepting.cancel(overlapped)
    }
    const target = {
      adopt: (incoming: Carried) => socket.#adopt(incoming, this.options),
      release: () => {
        socket.#release()
      },
    }
    const buffers = buffer === undefined ? undefined : listOf(buffer)
    accepting.post(new PendingAccept({ condition, overlapped, buffers }, target, this.home.completion))
    return WSA.WSA_IO_PENDING
  }

  protected override arrivedOverTcpip(arrival: TcpipArrival): void {
    if (this.state === 'listening') this.accepting?.arrivedOverTcpip(arrival)
    else arrival.stream.reset()
  }

  #listening(): Result<Accepting> {
    if (this.closed) return failure(WSA.WSAENOTSOCK)
    return this.accepting === undefined ? failure(WSA.WSAEINVAL) : success(this.accepting)
  }

  #adopt(incoming: Carried, options: OptionStore): Connection {
    this.#takeBack = undefined
    this.options.inherit(options)
    for (const [option, value] of this.options.setBy('tcpip')) incoming.stream.setOption(option, value)
    this.move('accepted')
    return this.#join(incoming)
  }

  #release(): void {
    this.#takeBack = undefined
    this.move(this.connection === undefined ? 'release' : 'withdraw')
    this.connection?.close(true)
    this.connection = undefined
    this.home.forget(this)
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

  #connect(remote: SocketAddress, data: readonly Uint8Array[], overlapped: Overlapped | undefined): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    if (this.state === 'connecting') return WSA.WSAEALREADY
    if (this.state === 'connected') return WSA.WSAEISCONN
    if (this.state !== 'created' && this.state !== 'bound') return WSA.WSAEINVAL
    if (remote.family !== this.family) return WSA.WSAEAFNOSUPPORT
    if (remote.port === 0) return WSA.WSAEADDRNOTAVAIL
    const { socket } = this.below()
    this.move('connect')
    overlapped?.begin()
    this.home.hold(this)
    this.#attempt = new Attempt({ remote, data, overlapped }, (end) => {
      this.#attempted(end, data, overlapped)
    })
    this.#attempt.start(socket, this.home.schedule)
    return WSA.WSA_IO_PENDING
  }

  protected override connectedOverTcpip(status: Status, stream: Stream | undefined): void {
    const local = this.lower.made?.host.localAddress()
    if (this.#attempt === undefined) stream?.reset()
    else this.#attempt.overTcpip(status, stream, local?.ok === true ? local.value : UNKNOWN[this.family])
  }

  #attempted(
    { status, connection }: AttemptEnd,
    data: readonly Uint8Array[],
    overlapped: Overlapped | undefined,
  ): void {
    this.#attempt = undefined
    this.move(status === 0 ? 'connected' : 'failed')
    this.events.record(FD_CONNECT, status)
    if (connection === undefined) {
      this.fail(status)
      this.lower.made?.socket.close()
      this.home.forget(this)
      if (overlapped !== undefined) this.home.completion.end(overlapped, status, 0)
      return
    }
    const { sending } = this.#join(connection)
    if (overlapped === undefined) return
    if (data.length === 0) this.home.completion.end(overlapped, 0, 0)
    else sending.send(data, 0, overlapped)
  }

  #join(incoming: Carried): Connection {
    this.connection = new Connection(this.home, this.family, this.events, this.options, incoming)
    this.home.hold(this)
    return this.connection
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Takes an overlapped operation back; it ends with `WSA_OPERATION_ABORTED`. `WSAEINVAL` when it is not pending. @source CancelIoEx */
  cancel(overlapped: Overlapped): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    if (this.#attempt?.request.overlapped === overlapped) {
      this.#attempt.fail(WSA.WSA_OPERATION_ABORTED)
      return 0
    }
    const found = this.accepting?.cancel(overlapped) === true || this.connection?.cancel(overlapped) === true
    return found ? 0 : WSA.WSAEINVAL
  }

  /**
   * Closes. Whatever is pending ends with `WSA_OPERATION_ABORTED`. What was sent goes on its way, unless SO_LINGER is 0: then
   * the connection is reset. With a longer SO_LINGER and bytes not sent yet it answers `WSAEWOULDBLOCK`, and nothing happens.
   *
   * @source closesocket; WSD-CLOSE-4, -19
   */
  closesocket(): Status {
    if (this.closed) return WSA.WSAENOTSOCK
    const linger = this.options.value('SO_LINGER')
    if (linger > 0 && this.connection?.sending.drained === false) return WSA.WSAEWOULDBLOCK
    this.abort(linger === 0)
    return 0
  }

  /** For whoever closes on behalf of the application: as {@link closesocket}, at once. @param reset Abruptly. */
  abort(reset: boolean): void {
    if (this.closed) return
    this.#takeBack?.()
    const connection = this.connection
    const attempt = this.#attempt
    this.#attempt = undefined
    this.connection = undefined
    this.move('close')
    this.events.select(null, 0)
    this.accepting?.close()
    if (attempt !== undefined) {
      attempt.drop()
      const { overlapped } = attempt.request
      if (overlapped !== undefined) this.home.completion.end(overlapped, WSA.WSA_OPERATION_ABORTED, 0)
    }
    connection?.close(reset)
    this.lower.close()
    this.home.forget(this)
  }

  protected override extension(name: ExtensionName): unknown {
    return this[name].bind(this)
  }

  /** For the blocking close: seconds to wait for what was sent, and who is told when it has gone. */
  lingering(told: () => void): number {
    const linger = this.options.value('SO_LINGER')
    if (linger <= 0 || this.connection === undefined || this.connection.sending.drained) return 0
    this.connection.sending.onDrained = told
    return linger
  }
}
