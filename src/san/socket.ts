import { MAX_CONNECT_DATA_BYTES, WSA, failure, isWildcard, success } from '../spi/index.ts'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  EventObject,
  NetworkEvents,
  Overlapped,
  Result,
  SanSocket,
  Sharing,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  WsaCode,
} from '../spi/index.ts'
import type { Attempt, Carrier, Connection, ConnectionOwner, IncomingRequest } from './carrier.ts'
import { DataPlane } from './data-plane.ts'
import { Listener } from './listener.ts'
import { EventRecord } from './network-events.ts'

/** A SAN socket over a {@link Carrier}: all that does not depend on how the bytes get to the peer. */
export class CarriedSocket extends DataPlane implements SanSocket, ConnectionOwner {
  readonly #family: AddressFamily
  readonly #events = new EventRecord()
  #local: SocketAddress | undefined
  #debug = 0
  #sharing: Sharing | undefined
  #listener: Listener | undefined
  #attempt: Attempt | undefined
  #calleeData: Uint8Array | undefined

  /** SOCKET-1: the switch's descriptor comes first. */
  static open(carrier: Carrier, family: AddressFamily): Result<CarriedSocket> {
    const handle = carrier.startups.upcalls.createSocketHandle(carrier)
    if (!handle.ok) return handle
    const socket = new CarriedSocket(carrier, family, handle.value)
    carrier.startups.add(socket)
    return success(socket)
  }

  private constructor(carrier: Carrier, family: AddressFamily, handle: SwitchHandle) {
    super(carrier, handle)
    this.#family = family
  }

  bind(address: SocketAddress): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    if (this.state !== 'open') return WSA.WSAEINVAL
    if (address.port === 0 || address.family !== this.#family) return WSA.WSAEFAULT
    if (!isWildcard(address) && !this.carrier.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.move('bind')
    return 0
  }

  /** Of what reaches a provider only a debug switch means anything here; it changes nothing, and accepted sockets have it, too. */
  setSockOpt(option: SocketOption, value: number): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    if (option !== 'SO_DEBUG') return WSA.WSAENOPROTOOPT
    this.#debug = value
    return 0
  }

  getSockOpt(option: SocketOption): Result<number> {
    if (this.state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (option === 'SO_DEBUG') return success(this.#debug)
    if (option === 'SO_MAX_RDMA_SIZE') return success(this.carrier.bounds.maxMemoryBytes)
    return failure(WSA.WSAENOPROTOOPT)
  }

  share(sharing: Sharing): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    if (this.carrier.shares !== true) return WSA.WSAEOPNOTSUPP
    if (this.state !== 'bound') return WSA.WSAEINVAL
    this.#sharing = sharing
    return 0
  }

  listen(backlog: number): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    if (!(backlog >= 1)) return WSA.WSAEINVAL
    if (this.#listener !== undefined) {
      this.#listener.setBacklog(backlog)
      return 0
    }
    if (this.connection !== undefined) return WSA.WSAEISCONN
    if (this.state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    const listener = new Listener(this.#local, backlog, this.#events, (pended) => {
      this.announceLater(pended)
    })
    const status = this.carrier.listen(listener, this.#sharing)
    if (status !== 0) return status
    this.#listener = listener
    this.move('listen')
    return 0
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    const status = this.#events.select(event, mask)
    // EVENT-2.
    if (status === 0 && this.#listener?.hasWaiting === true) this.#events.recordAccept()
    return status
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    if (this.state === 'closed') return failure(WSA.WSAENOTSOCK)
    return success(this.#events.enumerate(event))
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#listener === undefined) return failure(WSA.WSAEINVAL)
    const judged = this.#listener.judge(condition, pended)
    return judged.ok ? this.#accept(judged.value.request, judged.value.calleeData) : judged
  }

  // ACCEPT-2.
  #accept(request: IncomingRequest, calleeData: Uint8Array): Result<Accepted> {
    const { remote, local } = request
    const tooLong = calleeData.length > MAX_CONNECT_DATA_BYTES
    const opened = tooLong ? failure(WSA.WSAEMSGSIZE) : CarriedSocket.open(this.carrier, this.#family)
    const connection = opened.ok ? request.accept(opened.value, calleeData) : opened
    if (opened.ok && connection.ok) {
      opened.value.#debug = this.#debug
      opened.value.#connected(connection.value)
      return success({ socket: opened.value, remote, local })
    }
    if (opened.ok) opened.value.close()
    request.refuse(WSA.WSAENOBUFS)
    return failure(connection.ok ? WSA.WSAENOBUFS : connection.error)
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    if (this.state === 'connecting') return WSA.WSAEALREADY
    if (this.connection !== undefined) return WSA.WSAEISCONN
    if (this.state !== 'bound' || this.#local === undefined) return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    const request = { remote: this.#local, local: address, callerData: callerData.slice() }
    const attempt = this.carrier.connect(this, request)
    if (!attempt.ok) return attempt.error
    this.#attempt = attempt.value
    this.move('connect')
    return WSA.WSAEWOULDBLOCK
  }

  /** DUP-3, for a new socket: takes over a connection that another process has left. */
  takeOver(attempt: Attempt): void {
    this.#attempt = attempt
    this.move('takeOver')
  }

  calleeData(): Uint8Array {
    return this.#calleeData?.slice() ?? new Uint8Array()
  }

  duplicate(processId: number): Result<Uint8Array> {
    if (this.state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.carrier.bounds.duplicates !== true) return failure(WSA.WSAEOPNOTSUPP)
    const connection = this.connection
    if (this.state !== 'connected' || connection === undefined) return failure(this.dataError())
    const passage = connection.duplicate?.(processId) ?? failure(WSA.WSAEOPNOTSUPP)
    if (!passage.ok) return passage
    this.move('leave')
    // Not aborted, even if the socket is closed before anybody is told.
    this.posted.signal()
    const finished = this.posted.finish()
    if (finished !== null) this.announceLater(finished)
    return passage
  }

  close(): Status {
    if (this.state === 'closed') return WSA.WSAENOTSOCK
    this.move('close')
    const listener = this.#listener
    this.#listener = undefined
    if (listener !== undefined) {
      this.carrier.unlisten(listener)
      listener.close()
    }
    this.#attempt?.close()
    this.connection?.close()
    this.#attempt = undefined
    this.connection = undefined
    this.carrier.startups.remove(this)
    const aborted = this.posted.abort()
    // CLOSE-1 and CLOSE-2, never from inside the down-call.
    this.carrier.schedule(() => {
      if (aborted !== null) this.announce(aborted)
      this.afterReads(() => {
        this.upcalls.closeSocketHandle(this.handle)
      })
    })
    return 0
  }

  // --- what the connection tells ------------------------------------------------------------------------------------

  accepted(connection: Connection, calleeData: Uint8Array): void {
    if (this.state !== 'connecting') return
    this.#calleeData = calleeData
    this.#connected(connection)
    this.#events.recordConnect(0)
  }

  #connected(connection: Connection): void {
    this.#attempt = undefined
    this.connection = connection
    this.move('accepted')
  }

  judging(): void {
    if (this.state === 'connecting') this.#events.recordConnect(WSA.WSA_IO_PENDING)
  }

  refused(code: WsaCode): void {
    if (this.state !== 'connecting') return
    this.#attempt = undefined
    this.move('refused')
    this.#events.recordConnect(code)
  }
}
