import type { TcpipArrival } from '../../spi/index.ts'
import type { ListenerReport } from '../../switch/face.ts'
import type { SockAddr } from './addresses.ts'
import type { Out } from './buffer.ts'
import { ConnectingSocket } from './connecting-socket.ts'
import { streamDispatch } from './dispatch-tables.ts'
import type { WskClientConnectionDispatch, WskClientStreamDispatch, WskConnectionSocket } from './dispatch.ts'
import type { EventSwitches } from './events.ts'
import type { IrpSink } from './irp.ts'
import { Listener, acceptAt } from './listener.ts'
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

  constructor(parts: SocketParts, client: WskClientStreamDispatch | null) {
    super(parts)
    this.#client = client
  }

  protected override get events(): EventSwitches | undefined {
    return this.#listener?.events ?? super.events
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
    const { tcp, switchSocket } = this
    if (!this.machine.can('listen') || tcp === undefined || switchSocket === undefined) {
      return STATUS.STATUS_INVALID_DEVICE_STATE
    }
    const listener = new Listener({
      listener: this,
      callbacks: this.#client?.Listen ?? null,
      state: () => this.state,
      tcp,
      socket: switchSocket,
      conditional: false,
    })
    const status = listener.listen()
    if (status !== STATUS.STATUS_SUCCESS) return status
    this.machine.move('listen')
    this.#listener = listener
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
      acceptAt(this.#listener, flags, { request, context, callbacks, local, remote })
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
