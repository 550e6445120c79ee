import type { HostSocket, Stream, TcpipArrival } from '../../spi/index.ts'
import { destinationOf, shownIn } from '../../switch/addresses.ts'
import type { ConnectionReport } from '../../switch/face.ts'
import type { SwitchSocket } from '../../switch/socket.ts'
import { isSockAddr } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import type { Out, WskBuf, WskList } from './buffer.ts'
import { segmentsOf } from './buffer.ts'
import { Connection } from './connection.ts'
import type { Arrived } from './connection.ts'
import * as wsk from './constants.ts'
import type { ControlInput, WskClientConnectionDispatch, WskDataIndication } from './dispatch.ts'
import { optionKey } from './control-table.ts'
import { EventSwitches } from './events.ts'
import { CONNECTION_EVENTS } from './events.ts'
import type { IrpSink } from './irp.ts'
import { Request } from './request.ts'
import { BAD_INPUT, SocketCore } from './socket.ts'
import type { IoctlAnswer } from './socket.ts'
import type { Timing } from './control-table.ts'
import { STATUS, ntStatusOf } from './status.ts'
import type { NtStatus } from './status.ts'

/** What connection-oriented and stream sockets have in common: an address, a connect, and what a connection does. */
export abstract class ConnectingSocket extends SocketCore {
  protected abstract override readonly machine: {
    readonly state: string
    is(...states: readonly string[]): boolean
    can(event: 'die' | 'bind' | 'connect'): boolean
    move(event: 'bind' | 'connect' | 'connected' | 'failed' | 'die' | 'close' | 'through'): void
  }
  /** TCP/IP's socket and the switch's, from bind on. */
  protected tcp: HostSocket | undefined
  protected switchSocket: SwitchSocket | undefined
  #connection: Connection | undefined
  #events: EventSwitches | undefined
  #connecting: Request | undefined
  #pendingTcp: ((status: NtStatus, stream: Stream | undefined) => void) | undefined

  /** Callbacks of the connection, and what they are called with. */
  protected abstract get connectionCallbacks(): WskClientConnectionDispatch | null
  protected abstract get connectionContext(): unknown
  /** A connection has arrived although this is a connecting socket: only stream sockets listen. */
  protected abstract tcpArrived(arrival: TcpipArrival): void

  protected get connection(): Connection | undefined {
    return this.#connection
  }
  protected get events(): EventSwitches | undefined {
    return this.#events
  }

  // --- addresses ----------------------------------------------------------------------------------------------------

  bind(address: SockAddr, flags: number, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      request.complete(this.#bind(address, flags))
    })
  }

  #bind(address: SockAddr, flags: number): NtStatus {
    if (flags !== 0 || !isSockAddr(address) || address.family !== this.parts.family) {
      return STATUS.STATUS_INVALID_PARAMETER
    }
    if (!this.machine.can('bind')) return STATUS.STATUS_INVALID_DEVICE_STATE
    const claimed = this.claim({ ...address })
    if (claimed !== STATUS.STATUS_SUCCESS) return claimed
    const tcp = this.kit.tcpip.socket(this.parts.family, {
      connected: (status, stream) => {
        const pending = this.#pendingTcp
        this.#pendingTcp = undefined
        if (pending === undefined) stream?.reset()
        else pending(ntStatusOf(status), stream)
      },
      arrived: (arrival) => {
        this.tcpArrived(arrival)
      },
    })
    const bound = tcp.bind(address, this.option(wsk.IPPROTO_IPV6, wsk.IPV6_V6ONLY) !== 0)
    const local = tcp.localAddress()
    if (bound !== 0 || !local.ok) {
      this.unbind()
      tcp.close()
      return ntStatusOf(bound)
    }
    if (address.port === 0) this.claim(local.value)
    this.tcp = tcp
    this.switchSocket = this.kit.switch.socket(tcp)
    this.machine.move('bind')
    return STATUS.STATUS_SUCCESS
  }

  getLocalAddress(address: Out<SockAddr>, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      const local = this.#connection?.arrived.local ?? this.#boundAddress()
      if (local !== undefined) address.value = { ...local }
      request.complete(local === undefined ? STATUS.STATUS_INVALID_DEVICE_STATE : STATUS.STATUS_SUCCESS)
    })
  }

  #boundAddress(): SockAddr | undefined {
    const local = this.tcp?.localAddress()
    return local?.ok === true ? local.value : undefined
  }

  getRemoteAddress(address: Out<SockAddr>, irp: IrpSink<0> | null): NtStatus {
    return this.#connected(irp, 'control', (connection, request) => {
      address.value = { ...connection.arrived.remote }
      request.complete(STATUS.STATUS_SUCCESS)
    })
  }

  // --- connecting ---------------------------------------------------------------------------------------------------

  connect(remote: SockAddr, buffer: WskBuf | null, flags: number, irp: IrpSink<never> | null): NtStatus {
    const address = { ...remote }
    return this.start(irp, 'connect', (request) => {
      const segments = buffer === null ? [] : segmentsOf(buffer)
      if (flags !== 0 || !isSockAddr(address) || segments === undefined) {
        request.complete(STATUS.STATUS_INVALID_PARAMETER)
      } else if ((buffer?.length ?? 0) > wsk.MAX_CONNECT_BYTES) {
        request.complete(STATUS.STATUS_BUFFER_OVERFLOW)
      } else if (!this.machine.can('connect')) {
        request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      } else {
        this.#connect(address, buffer, request)
      }
    })
  }

  /** WskSocketConnect, once the socket is made. */
  bindAndConnect(local: SockAddr, remote: SockAddr, request: Request): void {
    const bound = this.#bind(local, 0)
    if (bound === STATUS.STATUS_SUCCESS) this.#connect({ ...remote }, null, request)
    else request.complete(bound)
  }

  #connect(remote: SockAddr, buffer: WskBuf | null, request: Request): void {
    this.machine.move('connect')
    this.#connecting = request
    request.onCancel = () => {
      if (this.machine.state === 'connecting') this.machine.move('failed')
      this.#giveUp()
      request.complete(STATUS.STATUS_CANCELLED)
    }
    const destination = destinationOf(remote)
    this.switchSocket?.connect(destination, (outcome) => {
      if (request.over) {
        if (outcome.kind === 'san') outcome.session.reset()
      } else if (outcome.kind === 'san') {
        const { session: stream, local, provider } = outcome
        this.#established({ stream, local, remote: destination, provider }, buffer, request)
      } else if (outcome.kind === 'failed') {
        this.#failed(ntStatusOf(outcome.code), request)
      } else if (outcome.status !== 0) {
        this.#failed(ntStatusOf(outcome.status), request)
      } else {
        const { reason } = outcome
        this.#pendingTcp = (status, stream) => {
          if (stream === undefined) this.#failed(status, request)
          else {
            const local = this.#boundAddress() ?? destination
            const parts = { stream, local, remote: destination, provider: 'tcpip', reason }
            this.#established(parts, buffer, request)
          }
        }
      }
    })
  }

  #failed(status: NtStatus, request: Request): void {
    this.kit.dispatcher.event(() => {
      if (this.machine.state === 'connecting') this.machine.move('failed')
      this.#connecting = undefined
      request.complete(status)
    })
  }

  #established(parts: Omit<Arrived, 'direction'>, buffer: WskBuf | null, request: Request): void {
    const { family } = this.parts
    const local = shownIn(family, parts.local)
    const remote = shownIn(family, parts.remote)
    this.kit.dispatcher.event(() => {
      this.#connecting = undefined
      this.machine.move('connected')
      const connection = this.adopt({ ...parts, local, remote, direction: 'out' }, 0)
      const open = (): void => {
        connection.open()
      }
      if (buffer === null || buffer.length === 0) {
        request.complete(STATUS.STATUS_SUCCESS, 0, open)
        return
      }
      const sent: Request = new Request(() => {
        request.complete(sent.status, sent.information, open)
      })
      request.onCancel = () => {
        sent.cancel()
      }
      connection.send(sent, buffer, 0)
    })
  }

  #giveUp(): void {
    this.#pendingTcp = undefined
    this.#connecting = undefined
    this.switchSocket?.close()
    this.tcp?.close()
  }

  /** The socket has its connection. @param initial the events it inherits */
  protected adopt(arrived: Arrived, initial: number): Connection {
    const { kit, requests } = this
    const events = new EventSwitches({
      valid: CONNECTION_EVENTS,
      inherited: 0,
      fixed: this.parts.client.staticEvents,
      initial,
      has: (event) => {
        const callbacks = this.connectionCallbacks
        if (event === wsk.WSK_EVENT_RECEIVE) return callbacks?.WskReceiveEvent !== undefined
        if (event === wsk.WSK_EVENT_DISCONNECT) return callbacks?.WskDisconnectEvent !== undefined
        return callbacks?.WskSendBacklogEvent !== undefined
      },
    })
    this.#events = events
    this.#connection = new Connection(arrived, {
      kit,
      requests,
      events,
      client: () => ({ context: this.connectionContext, callbacks: this.connectionCallbacks }),
      windowBytes: () => this.option(wsk.SOL_SOCKET, wsk.SO_RCVBUF) || kit.receiveWindowBytes,
    })
    if (this.option(wsk.SOL_SOCKET, wsk.SO_KEEPALIVE) !== 0) this.#connection.setKeepAlive(true)
    return this.#connection
  }

  // --- a connection's functions -------------------------------------------------------------------------------------

  /** Starts a request on the connection; there has to be one. */
  #connected(
    irp: IrpSink<never> | null,
    kind: 'send' | 'control',
    begin: (connection: Connection, request: Request) => void,
  ): NtStatus {
    return this.start(irp, kind, (request) => {
      const connection = this.#connectionFor(request)
      if (connection !== undefined) begin(connection, request)
    })
  }

  #connectionFor(request: Request): Connection | undefined {
    if (request.over) return undefined
    if (this.#connection === undefined) request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
    return this.#connection
  }

  // Sends and receives are what connections are for: they are started without a closure each.

  send(buffer: WskBuf, flags: number, irp: IrpSink<number> | null): NtStatus {
    if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
    const request = this.begin(irp, 'send')
    this.#connectionFor(request)?.send(request, buffer, flags)
    return this.requests.begun(request)
  }

  receive(buffer: WskBuf, flags: number, irp: IrpSink<number> | null): NtStatus {
    if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
    const request = this.begin(irp, 'receive')
    this.#connectionFor(request)?.receive(request, buffer, flags)
    return this.requests.begun(request)
  }

  disconnect(buffer: WskBuf | null, flags: number, irp: IrpSink<0> | null): NtStatus {
    return this.#connected(irp, 'send', (connection, request) => {
      connection.disconnect(request, buffer, flags)
    })
  }

  releaseData(list: WskDataIndication): NtStatus {
    return this.#connection?.release(list) ?? STATUS.STATUS_INVALID_PARAMETER
  }

  override get connectionReport(): ConnectionReport | undefined {
    return this.state === 'connected' ? this.#connection?.report : undefined
  }
  override farewell(): void {
    if (this.state === 'connected') this.#connection?.farewell()
  }

  // --- control ------------------------------------------------------------------------------------------------------

  protected override reached(timing: Timing): boolean {
    switch (timing) {
      case 'any':
        return true
      case 'beforeBind':
        return this.state === 'created'
      case 'bound':
        return this.tcp !== undefined || this.#connection !== undefined
      case 'connected':
        return this.#connection !== undefined
    }
  }

  protected override eventsChanged(): void {
    this.#connection?.eventsChanged()
  }

  protected override optionSet(key: string, value: number): NtStatus {
    if (key === optionKey(wsk.SOL_SOCKET, wsk.SO_KEEPALIVE)) this.#connection?.setKeepAlive(value !== 0)
    if (key === optionKey(wsk.SOL_SOCKET, wsk.SO_RCVBUF)) this.#connection?.pumpSoon()
    return STATUS.STATUS_SUCCESS
  }

  protected override ioctl(
    code: number,
    _input: ControlInput | null,
    output: Out<unknown> | WskList<unknown> | null,
  ): IoctlAnswer | undefined {
    const connection = this.#connection
    if (output === null || !('value' in output)) return BAD_INPUT
    switch (code) {
      case wsk.SIO_WSK_QUERY_IDEAL_SEND_BACKLOG:
        output.value = connection?.idealBacklog
        break
      case wsk.SIO_WSK_QUERY_RECEIVE_BACKLOG:
        output.value = connection?.receiveBacklog
        break
      case wsk.SIO_WSK_QUERY_INSPECT_ID:
        if (connection?.arrived.inspectId === undefined) return undefined
        output.value = { ...connection.arrived.inspectId }
        return { status: STATUS.STATUS_SUCCESS, information: 16 }
      default:
        return undefined
    }
    return { status: STATUS.STATUS_SUCCESS, information: 8 }
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  protected override release(): void {
    if (this.#connecting !== undefined) this.#giveUp()
    this.#connection?.close()
    this.switchSocket?.close()
    this.tcp?.close()
  }

  protected override tellDead(): void {
    this.#connection?.tellDead()
  }
}
