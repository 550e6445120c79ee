import type { ListenerReport } from '../../switch/face.ts'
import { isSockAddr } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import type { Out } from './buffer.ts'
import * as wsk from './constants.ts'
import type { Timing } from './control-table.ts'
import { listenDispatch } from './dispatch-tables.ts'
import type {
  WskClientConnectionDispatch,
  WskClientListenDispatch,
  WskConnectionSocket,
  WskInspectId,
} from './dispatch.ts'
import type { EventSwitches } from './events.ts'
import type { IrpSink } from './irp.ts'
import { Listener, acceptAt } from './listener.ts'
import { Machine } from '../../base/machine.ts'
import { SocketCore } from './socket.ts'
import type { SocketParts } from './socket.ts'
import { LISTENING } from './socket-states.ts'
import { STATUS, ntStatusOf } from './status.ts'
import type { NtStatus } from './status.ts'

/** A listening socket: listens from the moment it is bound (WSK-LISTEN-1). */
export class ListeningSocket extends SocketCore {
  readonly category = 'listen'
  readonly dispatch = listenDispatch
  protected readonly machine = new Machine(LISTENING, 'created')
  readonly #client: WskClientListenDispatch | null
  #listener: Listener | undefined
  #local: SockAddr | undefined

  constructor(parts: SocketParts, client: WskClientListenDispatch | null) {
    super(parts)
    this.#client = client
  }

  protected get events(): EventSwitches | undefined {
    return this.#listener?.events
  }

  bind(address: SockAddr, flags: number, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      request.complete(this.#bind(address, flags))
    })
  }

  #bind(address: SockAddr, flags: number): NtStatus {
    const { family, transport } = this.parts
    if (flags !== 0 || !isSockAddr(address) || address.family !== family)
      return STATUS.STATUS_INVALID_PARAMETER
    if (this.state !== 'created') return STATUS.STATUS_INVALID_DEVICE_STATE
    // A transport without connections: nobody can listen (WSK-SOCK-4).
    if (transport.protocol !== wsk.IPPROTO_TCP) return STATUS.STATUS_NOT_IMPLEMENTED
    const claimed = this.claim({ ...address })
    if (claimed !== STATUS.STATUS_SUCCESS) return claimed
    const tcp = this.kit.tcpip.socket(family, {
      connected() {
        // It never connects.
      },
      arrived: (arrival) => {
        if (this.#listener === undefined) arrival.stream.reset()
        else this.#listener.arrived(arrival)
      },
    })
    const fail = (status: NtStatus): NtStatus => {
      this.unbind()
      tcp.close()
      return status
    }
    const bound = tcp.bind(address, this.option(wsk.IPPROTO_IPV6, wsk.IPV6_V6ONLY) !== 0)
    const local = tcp.localAddress()
    if (bound !== 0 || !local.ok) return fail(ntStatusOf(bound))
    if (address.port === 0) this.claim(local.value)
    const listener = new Listener({
      listener: this,
      callbacks: this.#client,
      state: () => this.state,
      tcp,
      socket: this.kit.switch.socket(tcp),
      conditional: this.#conditional,
    })
    this.#listener = listener
    const status = listener.listen()
    if (status !== STATUS.STATUS_SUCCESS) {
      this.#listener = undefined
      listener.close()
      return fail(status)
    }
    this.#local = local.value
    this.machine.move('bind')
    return status
  }

  get #conditional(): boolean {
    return this.option(wsk.SOL_SOCKET, wsk.SO_CONDITIONAL_ACCEPT) !== 0
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

  inspectComplete(id: WskInspectId, action: number, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      const inspections = this.#listener?.inspections
      if (inspections === undefined) request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
      else inspections.complete(id, action, request)
    })
  }

  getLocalAddress(address: Out<SockAddr>, irp: IrpSink<0> | null): NtStatus {
    return this.start(irp, 'control', (request) => {
      if (this.#local !== undefined) address.value = { ...this.#local }
      request.complete(this.#local === undefined ? STATUS.STATUS_INVALID_DEVICE_STATE : STATUS.STATUS_SUCCESS)
    })
  }

  override get listenerReport(): ListenerReport | undefined {
    return this.state === 'listening' ? this.#listener?.report : undefined
  }

  protected reached(timing: Timing): boolean {
    return (
      timing === 'any' || (timing === 'beforeBind' ? this.state === 'created' : this.state === 'listening')
    )
  }

  protected eventsChanged(): void {
    this.#listener?.queue.tellSoon()
  }

  protected release(): void {
    this.#listener?.close()
  }

  protected tellDead(): void {
    const { dispatcher } = this.kit
    this.#listener?.queue.tellDead()
    if (this.#conditional) {
      dispatcher.client(
        () => this.#client?.WskInspectEvent?.(this.parts.context, null, null, null),
        undefined,
      )
    }
  }
}
