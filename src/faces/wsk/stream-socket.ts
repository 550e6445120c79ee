import type { TcpipArrival } from '../../spi/index.ts'
import type { ListenerReport } from '../../switch/face.ts'
import type { SockAddr } from './addresses.ts'
import type { Out } from './buffer.ts'
import { ConnectingSocket } from './connecting-socket.ts'
import * as wsk from './constants.ts'
import { streamDispatch } from './dispatch-tables.ts'
import type { WskClientConnectionDispatch, WskClientStreamDispatch, WskConnectionSocket } from './dispatch.ts'
import { CONNECTION_EVENTS, EventSwitches } from './events.ts'
import type { IrpSink } from './irp.ts'
import { Listener } from './listener.ts'
import { Machine } from '../../base/machine.ts'
import type { SocketParts } from './socket.ts'
import { STREAM } from './socket-states.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** A stream socket: becomes a listener or a connection, whichever it is first asked to be (WSK-OBJ-11). */
export class StreamSocket extends ConnectingSocket {
  readonly category = 'stream'
  readonly dispatch = streamDispatch
  protected readonly machine = new Machine(STREAM, 'created')
  readonly #client: WskClientStreamDispatch | null
  #listener: Listener | undefined
  #listenEvents: EventSwitches | undefined

  constructor(parts: SocketParts, client: WskClientStreamDispatch | null) {
    super(parts)
    this.#client = client
  }

  protected override get events(): EventSwitches | undefined {
    return this.#listenEvents ?? super.events
  }
  protected get connectionCallbacks(): WskClientConnectionDispatch | null {
    return this.#client?.Connect ?? null
  }
  protected get connectionContext(): unknown {
    return this.parts.context
  }

  /** @source WskListen: over once it listens (WSK-LISTEN-3) */
  listen(irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      request.complete(this.#listen())
    })
  }

  #listen(): NtStatus {
    const { tcp, switchSocket, kit, requests } = this
    if (!this.machine.can('listen') || tcp === undefined || switchSocket === undefined) {
      return STATUS.STATUS_INVALID_DEVICE_STATE
    }
    const callbacks = this.#client?.Listen ?? null
    const events = new EventSwitches({
      valid: wsk.WSK_EVENT_ACCEPT,
      inherited: CONNECTION_EVENTS,
      fixed: this.parts.client.staticEvents,
      has: () => callbacks?.WskAcceptEvent !== undefined,
    })
    const listener = new Listener(
      {
        kit,
        requests,
        events,
        callbacks,
        listener: this,
        context: this.parts.context,
        alive: () => this.state === 'listening',
      },
      tcp,
      switchSocket,
      false,
    )
    const status = listener.listen()
    if (status !== STATUS.STATUS_SUCCESS) return status
    this.machine.move('listen')
    this.#listener = listener
    this.#listenEvents = events
    return status
  }

  override get listenerReport(): ListenerReport | undefined {
    return this.state === 'listening' ? this.#listener?.report : undefined
  }

  protected tcpArrived(arrival: TcpipArrival): void {
    if (this.#listener === undefined) arrival.stream.reset()
    else this.#listener.arrived(arrival)
  }

  accept(
    context: unknown,
    callbacks: WskClientConnectionDispatch | null,
    local: Out<SockAddr> | null,
    remote: Out<SockAddr> | null,
    flags: number,
    irp: IrpSink<WskConnectionSocket> | null,
  ): NtStatus {
    return this.start(irp, 'accept', (request) => {
      if (flags !== 0) request.complete(STATUS.STATUS_INVALID_PARAMETER)
      else if (this.#listener === undefined) request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      else this.#listener.queue.accept({ request, context, callbacks, local, remote })
    })
  }

  protected override eventsChanged(): void {
    this.#listener?.queue.tellSoon()
    super.eventsChanged()
  }

  protected override release(): void {
    this.#listener?.close()
    super.release()
  }

  protected override tellDead(): void {
    this.#listener?.queue.tellDead()
    super.tellDead()
  }
}
