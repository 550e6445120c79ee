import { createConnection, createServer, isIP } from 'node:net'
import type { Server, Socket } from 'node:net'

import {
  FD_ACCEPT,
  FD_CONNECT,
  MAX_CONNECT_DATA_BYTES,
  SOMAXCONN,
  WSA,
  failure,
  isWildcard,
  success,
} from 'sockswitch/spi'
import type {
  Accepted,
  AddressFamily,
  ConditionFunction,
  ConnectionMemory,
  EventObject,
  MemoryRegion,
  NetworkEvents,
  Overlapped,
  RegisteredMemory,
  Result,
  SanSocket,
  SocketAddress,
  SocketOption,
  Status,
  SwitchHandle,
  Upcalls,
  Verdict,
  WsaCode,
} from 'sockswitch/spi'
import { Channel } from './channel.ts'
import type { Frame } from './channel.ts'
import { Connection } from './connection.ts'

/** What a socket needs of its provider. */
export interface Home {
  readonly upcalls: Upcalls
  readonly sockets: Set<UnixSocket>
  serves(address: SocketAddress): boolean
  /** Where a listener bound to `address` can be met. */
  pathOf(address: SocketAddress): string
}

interface Request {
  readonly channel: Channel
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly callerData: Uint8Array
  /** Hears what the peer says once it is accepted. */
  taker: UnixSocket | undefined
}

type State = 'created' | 'bound' | 'listening' | 'connecting' | 'connected' | 'closed'
const DEFAULT_BACKLOG = 128
const WILDCARDS: Readonly<Record<AddressFamily, string>> = { IPv4: '0.0.0.0', IPv6: '::' }

export class UnixSocket implements SanSocket {
  readonly #home: Home
  readonly #family: AddressFamily
  readonly #handle: SwitchHandle
  #state: State = 'created'
  #local: SocketAddress | undefined
  // Events: who is told, of what, and what has happened.
  #event: EventObject | null = null
  #mask = 0
  #occurred = 0
  #connectStatus: Status = 0
  // Listening.
  #server: Server | undefined
  #backlog = 0
  readonly #queue: Request[] = []
  readonly #pended = new Map<Overlapped, Request>()
  // Connecting and connected.
  #attempt: Socket | undefined
  #channel: Channel | undefined
  #connection: Connection | undefined
  #calleeData: Uint8Array = new Uint8Array()

  /** SOCKET-1: the switch's descriptor comes first. */
  static open(home: Home, family: AddressFamily): Result<UnixSocket> {
    const context = {}
    const handle = home.upcalls.createSocketHandle(context)
    if (!handle.ok) return handle
    const socket = new UnixSocket(home, family, handle.value)
    home.sockets.add(socket)
    return success(socket)
  }

  private constructor(home: Home, family: AddressFamily, handle: SwitchHandle) {
    this.#home = home
    this.#family = family
    this.#handle = handle
  }

  // --- control plane ------------------------------------------------------------------------------------------------

  bind(address: SocketAddress): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state !== 'created') return WSA.WSAEINVAL
    if (address.family !== this.#family || isIP(address.address) === 0 || address.port === 0)
      return WSA.WSAEFAULT
    if (!isWildcard(address) && !this.#home.serves(address)) return WSA.WSAEADDRNOTAVAIL
    this.#local = address
    this.#state = 'bound'
    return 0
  }

  setSockOpt(_option: SocketOption, _value: number): Status {
    return this.#state === 'closed' ? WSA.WSAENOTSOCK : WSA.WSAENOPROTOOPT
  }

  getSockOpt(_option: SocketOption): Result<number> {
    return failure(this.#state === 'closed' ? WSA.WSAENOTSOCK : WSA.WSAENOPROTOOPT)
  }

  listen(backlog: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state === 'connected') return WSA.WSAEISCONN
    if (this.#local === undefined || (this.#state !== 'bound' && this.#state !== 'listening'))
      return WSA.WSAEINVAL
    if (!Number.isInteger(backlog) || backlog < 1) return WSA.WSAEINVAL
    this.#backlog = backlog === SOMAXCONN ? DEFAULT_BACKLOG : backlog
    for (const request of this.#queue.splice(Math.max(0, this.#backlog - this.#pended.size))) {
      refuse(request, WSA.WSAECONNREFUSED)
    }
    if (this.#server !== undefined) return 0
    this.#state = 'listening'
    this.#server = createServer((socket) => {
      this.#visited(socket)
    })
    // Somebody else has the name: nobody will come, and TCP/IP serves.
    this.#server.on('error', () => undefined)
    this.#server.listen(this.#home.pathOf(this.#local))
    return 0
  }

  /** Somebody is at the door; the first frame says what for. */
  #visited(socket: Socket): void {
    let request: Request | undefined
    const channel: Channel = new Channel(
      socket,
      (frame) => {
        if (request === undefined && frame.kind === 'request') {
          request = {
            channel,
            ...addressesIn(frame.head),
            callerData: Uint8Array.from(frame.data),
            taker: undefined,
          }
          this.#offer(request)
          return
        }
        const taker = request?.taker
        if (taker?.hear(frame) === true) return
        channel.close()
        taker?.lose()
      },
      () => {
        request?.taker?.lose()
        if (request !== undefined && request.taker === undefined) this.#withdrawn(request)
      },
    )
  }

  #offer(request: Request): void {
    if (this.#state !== 'listening' || this.#queue.length + this.#pended.size >= this.#backlog) {
      refuse(request, WSA.WSAECONNREFUSED)
      return
    }
    this.#queue.push(request)
    this.#occur(FD_ACCEPT)
  }

  #withdrawn(request: Request): void {
    const at = this.#queue.indexOf(request)
    if (at >= 0) this.#queue.splice(at, 1)
    for (const [pended, each] of this.#pended)
      if (each === request) this.#endPended(pended, WSA.WSAECONNRESET)
  }

  eventSelect(event: EventObject | null, mask: number): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if ((mask & ~(FD_ACCEPT | FD_CONNECT)) !== 0 || (mask !== 0 && event === null)) return WSA.WSAEINVAL
    this.#event = event
    this.#mask = mask
    if (this.#queue.length > 0) this.#occur(FD_ACCEPT)
    return 0
  }

  enumNetworkEvents(event: EventObject | null): Result<NetworkEvents> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    const mask = this.#occurred & this.#mask
    this.#occurred &= ~mask
    event?.reset()
    return success({ mask, connectStatus: this.#connectStatus })
  }

  #occur(what: number): void {
    this.#occurred |= what
    if ((this.#mask & what) !== 0) this.#event?.set()
  }

  accept(condition: ConditionFunction, pended?: Overlapped): Result<Accepted> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (this.#state !== 'listening') return failure(WSA.WSAEINVAL)
    const request = pended === undefined ? this.#queue[0] : this.#pended.get(pended)
    if (request === undefined) return failure(pended === undefined ? WSA.WSAEWOULDBLOCK : WSA.WSAEINVAL)
    const { remote, local, callerData } = request
    const verdict = condition({ remote, local, callerData })
    const waits = verdict.decision === 'CF_DEFER' || verdict.decision === 'CF_PEND'
    if (pended !== undefined) {
      if (waits) return failure(WSA.WSA_IO_PENDING)
      // The condition function may have closed this socket; so below.
      if (!this.#endPended(pended, 0)) return failure(WSA.WSAEINVAL)
    } else {
      if (verdict.decision === 'CF_DEFER') return failure(WSA.WSATRY_AGAIN)
      if (this.#queue[0] !== request) return failure(WSA.WSAEWOULDBLOCK)
      this.#queue.shift()
      // Reset, then look again: RACE-4.
      this.#event?.reset()
      if (this.#queue.length > 0) this.#occur(FD_ACCEPT)
    }
    return this.#answer(request, verdict)
  }

  #answer(request: Request, verdict: Verdict): Result<Accepted> {
    if (verdict.decision === 'CF_PEND') {
      verdict.pended.begin()
      this.#pended.set(verdict.pended, request)
      request.channel.send({ kind: 'pend' })
      return failure(WSA.WSA_IO_PENDING)
    }
    if (verdict.decision !== 'CF_ACCEPT') {
      refuse(request, (verdict.decision === 'CF_REJECT' ? verdict.error : undefined) ?? WSA.WSAECONNREFUSED)
      return failure(WSA.WSAECONNREFUSED)
    }
    const tooLong = verdict.calleeData.length > MAX_CONNECT_DATA_BYTES
    const opened = tooLong ? failure(WSA.WSAEMSGSIZE) : UnixSocket.open(this.#home, this.#family)
    if (!opened.ok) {
      refuse(request, opened.error)
      return opened
    }
    const socket = opened.value
    request.taker = socket
    socket.#join(request.channel)
    request.channel.send({ kind: 'accept', data: verdict.calleeData })
    return success({ socket, remote: request.remote, local: request.local })
  }

  /** The request waits no more; false when it did not. */
  #endPended(pended: Overlapped, status: Status): boolean {
    if (!this.#pended.delete(pended)) return false
    pended.end(status, 0)
    setImmediate(() => {
      this.#announce(pended)
    })
    return true
  }

  connect(address: SocketAddress, callerData: Uint8Array): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    if (this.#state === 'connecting') return WSA.WSAEALREADY
    if (this.#state === 'connected') return WSA.WSAEISCONN
    if (this.#state !== 'bound') return WSA.WSAEINVAL
    if (callerData.length > MAX_CONNECT_DATA_BYTES) return WSA.WSAEMSGSIZE
    if (address.family !== this.#family) return WSA.WSAEAFNOSUPPORT
    if (isWildcard(address) || address.port === 0) return WSA.WSAEADDRNOTAVAIL
    this.#state = 'connecting'
    const head = JSON.stringify({ remote: this.#local, local: address })
    this.#knock([address, { ...address, address: WILDCARDS[this.#family] }], head, callerData.slice())
    return WSA.WSAEWOULDBLOCK
  }

  /** At the very address first, then at the wildcard. */
  #knock([at, ...others]: readonly SocketAddress[], head: string, data: Uint8Array): void {
    if (at === undefined) {
      // Nobody switched is there, which says nothing about TCP/IP (CONNECT-2).
      this.#connectEnded(WSA.WSAETIMEDOUT)
      return
    }
    const socket = createConnection(this.#home.pathOf(at))
    this.#attempt = socket
    const failed = (): void => {
      if (this.#attempt === socket && this.#state === 'connecting') this.#knock(others, head, data)
    }
    socket.once('error', failed)
    socket.once('connect', () => {
      socket.off('error', failed)
      this.#attempt = undefined
      const channel = new Channel(
        socket,
        (frame) => {
          if (this.hear(frame)) return
          channel.close()
          this.lose()
        },
        () => {
          this.lose()
        },
      )
      this.#channel = channel
      channel.send({ kind: 'request', head, data })
    })
  }

  #join(channel: Channel): void {
    this.#channel = channel
    this.#connection = new Connection(channel, (overlapped) => {
      this.#announce(overlapped)
    })
    this.#state = 'connected'
  }

  /** A frame of the peer's; false when it makes no sense now. */
  hear(frame: Frame): boolean {
    if (this.#state === 'closed') return true
    if (this.#connection !== undefined) return this.#connection.hear(frame)
    const channel = this.#channel
    if (this.#state !== 'connecting' || channel === undefined) return false
    if (frame.kind === 'accept' && frame.data.length <= MAX_CONNECT_DATA_BYTES) {
      this.#calleeData = Uint8Array.from(frame.data)
      this.#join(channel)
      this.#connectStatus = 0
      this.#occur(FD_CONNECT)
      return true
    }
    if (frame.kind === 'pend') {
      this.#connectStatus = WSA.WSA_IO_PENDING
      this.#occur(FD_CONNECT)
      return true
    }
    if (frame.kind !== 'refuse') return false
    this.#connectEnded(codeOf(frame.code))
    return true
  }

  /** The peer is gone. */
  lose(): void {
    if (this.#state === 'connecting') this.#connectEnded(WSA.WSAETIMEDOUT)
    this.#connection?.lose()
  }

  #connectEnded(status: WsaCode): void {
    if (this.#state !== 'connecting') return
    this.#channel?.close()
    this.#channel = undefined
    this.#state = 'bound'
    this.#connectStatus = status
    this.#occur(FD_CONNECT)
  }

  calleeData(): Uint8Array {
    return this.#calleeData.slice()
  }

  duplicate(_processId: number): Result<Uint8Array> {
    return failure(this.#state === 'closed' ? WSA.WSAENOTSOCK : WSA.WSAEOPNOTSUPP)
  }

  close(): Status {
    if (this.#state === 'closed') return WSA.WSAENOTSOCK
    this.#state = 'closed'
    this.#home.sockets.delete(this)
    this.#server?.close()
    for (const request of this.#queue.splice(0)) refuse(request, WSA.WSAECONNREFUSED)
    for (const [pended, request] of this.#pended) {
      this.#endPended(pended, WSA.WSA_OPERATION_ABORTED)
      refuse(request, WSA.WSAECONNREFUSED)
    }
    this.#attempt?.destroy()
    this.#channel?.close()
    const aborted = this.#connection?.abort() ?? null
    // Never from inside this call (UP-1), and the closing upcall last (CLOSE-2).
    setImmediate(() => {
      if (aborted !== null) this.#announce(aborted)
      this.#home.upcalls.closeSocketHandle(this.#handle)
    })
    return 0
  }

  #announce(overlapped: Overlapped): void {
    if (overlapped.silent) return
    const { status, bytes } = overlapped
    this.#home.upcalls.completeOverlappedRequest(this.#handle, overlapped, status, bytes)
  }

  // --- data plane ---------------------------------------------------------------------------------------------------

  memory(): Result<ConnectionMemory> {
    return this.#connected(failure, ({ memory }) => success(memory))
  }

  registerMemory(bytes: number): Result<RegisteredMemory> {
    return this.#connected(failure, (connection) => connection.registerMemory(bytes))
  }

  deregisterMemory(memory: RegisteredMemory): Status {
    return this.#connected(asStatus, (connection) => connection.deregisterMemory(memory))
  }

  peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    return this.#connected(failure, (connection) => connection.peerMemory(descriptor, bytes))
  }

  /** Done at once: what is written is copied into the channel. */
  rdmaWrite(
    memory: RegisteredMemory,
    offset: number,
    length: number,
    _overlapped: Overlapped | null,
  ): Status {
    return this.#connected(asStatus, (connection) => connection.rdmaWrite(memory, offset, length))
  }

  signal(): Status {
    return this.#connected(asStatus, (connection) => connection.signal())
  }

  receive(overlapped: Overlapped): Status {
    return this.#connected(asStatus, (connection) => connection.receive(overlapped))
  }

  getOverlappedResult(overlapped: Overlapped): Result<number> {
    if (this.#state === 'closed') return failure(WSA.WSAENOTSOCK)
    if (overlapped.status === 0) return success(overlapped.bytes)
    return failure(overlapped.pending ? WSA.WSA_IO_INCOMPLETE : overlapped.status)
  }

  #connected<T, F>(failed: (error: WsaCode) => F, use: (connection: Connection) => T): T | F {
    if (this.#state === 'closed') return failed(WSA.WSAENOTSOCK)
    return this.#connection === undefined ? failed(WSA.WSAENOTCONN) : use(this.#connection)
  }
}

function refuse({ channel }: Request, code: WsaCode): void {
  channel.send({ kind: 'refuse', code })
  channel.close()
}

function addressesIn(head: string): Pick<Request, 'remote' | 'local'> {
  return JSON.parse(head) as Pick<Request, 'remote' | 'local'>
}

/** The peer's word: what is no code is no answer. */
function codeOf(value: number): WsaCode {
  return Object.values(WSA).find((code) => code === value) ?? WSA.WSAENETDOWN
}

function asStatus(error: WsaCode): Status {
  return error
}
