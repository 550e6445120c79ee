import type { HostSocket, TcpipArrival } from '../../spi/index.ts'
import type { Condition, IncomingRequest } from '../../switch/incoming.ts'
import { shownIn } from '../../switch/addresses.ts'
import type { SwitchSocket } from '../../switch/socket.ts'
import { WSA } from '../../spi/index.ts'
import { listenerReport } from '../../switch/face.ts'
import type { ListenerReport } from '../../switch/face.ts'
import { AcceptQueue } from './accept-queue.ts'
import type { Accept, AcceptHost } from './accept-queue.ts'
import type { Arrived } from './connection.ts'
import type { SockAddr } from './addresses.ts'
import * as wsk from './constants.ts'
import type { WskClientListenDispatch } from './dispatch.ts'
import { CONNECTION_EVENTS, EventSwitches } from './events.ts'
import { Inspections } from './inspections.ts'
import type { SocketCore } from './socket.ts'
import { STATUS, ntStatusOf } from './status.ts'
import type { NtStatus } from './status.ts'
import { judgeTcpip } from './tcp-request.ts'

export interface ListenerParts {
  /** Whose listening half it is. */
  readonly listener: SocketCore
  readonly callbacks: WskClientListenDispatch | null
  readonly state: () => string
  readonly tcp: HostSocket
  readonly socket: SwitchSocket
  /** The client is asked about each request. */
  readonly conditional: boolean
}

/** The listening half of a listening socket, or of a stream socket that has become one: arrivals of every carrier. */
export class Listener {
  readonly queue: AcceptQueue
  readonly events: EventSwitches
  readonly inspections: Inspections | undefined
  readonly #host: AcceptHost
  readonly #tcp: HostSocket
  readonly #socket: SwitchSocket

  constructor(parts: ListenerParts) {
    const { listener, callbacks, state, tcp, socket, conditional } = parts
    const { kit, requests, parts: created } = listener
    const events = new EventSwitches({
      valid: wsk.WSK_EVENT_ACCEPT,
      inherited: CONNECTION_EVENTS,
      fixed: created.client.staticEvents,
      has: () => callbacks?.WskAcceptEvent !== undefined,
    })
    const alive = (): boolean => state() === 'listening'
    const host: AcceptHost = { kit, requests, events, callbacks, listener, context: created.context, alive }
    this.events = events
    this.#host = host
    this.#tcp = tcp
    this.#socket = socket
    const queue = new AcceptQueue(host)
    this.queue = queue
    if (!conditional) return
    this.inspections = new Inspections({
      kit: host.kit,
      context: host.context,
      callbacks: host.callbacks,
      alive: host.alive,
      full: () => queue.full,
      show: (address) => this.#show(address),
    })
  }

  /** Listens on TCP/IP and on every SAN provider that serves the address. */
  listen(): NtStatus {
    const { kit } = this.#host
    const status = this.#socket.listen(
      kit.backlog,
      ({ session, local, remote, provider, request }) => {
        kit.dispatcher.event(() => {
          this.#offer({ stream: session, local, remote, provider }, request)
        })
      },
      { condition: this.inspections?.condition ?? this.#hasRoom },
    )
    if (status === 0) kit.switch.track(this.#socket)
    return ntStatusOf(status)
  }

  // Over a SAN a peer is refused before it is connected, where over TCP/IP it could only be reset.
  readonly #hasRoom: Condition = () => (this.queue.full ? { reject: WSA.WSAECONNREFUSED } : 'accept')

  /** The kernel has accepted. */
  arrived(arrival: TcpipArrival): void {
    const { dispatcher } = this.#host.kit
    const { stream, local, remote } = arrival
    const parts = { stream, local, remote, provider: 'tcpip', reason: 'peer-not-switched' } as const
    dispatcher.event(() => {
      if (this.inspections === undefined) {
        this.#offer(parts, undefined)
        return
      }
      judgeTcpip(
        arrival,
        this.inspections.condition,
        (error) => {
          throw error
        },
        (request) => {
          this.#offer(parts, request)
        },
      )
    })
  }

  #offer(parts: Omit<Arrived, 'direction' | 'inspectId'>, request: IncomingRequest | undefined): void {
    const inspectId = this.inspections?.established(request)
    this.queue.offer({
      ...parts,
      local: this.#show(parts.local),
      remote: this.#show(parts.remote),
      direction: 'in',
      ...(inspectId !== undefined && { inspectId }),
    })
  }

  #show(address: SockAddr): SockAddr {
    return shownIn(this.#host.listener.parts.family, address)
  }

  get report(): ListenerReport | undefined {
    return listenerReport(this.#tcp, this.#socket)
  }

  close(): void {
    this.#host.kit.switch.untrack(this.#socket)
    this.#socket.close()
    this.#tcp.close()
    this.inspections?.close()
    this.queue.close()
  }
}

/** WskAccept of a socket whose listening half is `listener`, where it has one. */
export function acceptAt(listener: Listener | undefined, flags: number, accept: Accept): void {
  if (flags !== 0) accept.request.complete(STATUS.STATUS_INVALID_PARAMETER)
  else if (listener === undefined) accept.request.complete(STATUS.STATUS_INVALID_DEVICE_STATE)
  else listener.queue.accept(accept)
}
