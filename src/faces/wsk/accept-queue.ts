import { Fifo } from '../../base/fifo.ts'
import type { SockAddr } from './addresses.ts'
import { out } from './buffer.ts'
import type { Out } from './buffer.ts'
import type { Arrived } from './connection.ts'
import { ConnectionSocket } from './connection-socket.ts'
import * as wsk from './constants.ts'
import type { WskClientConnectionDispatch, WskClientListenDispatch } from './dispatch.ts'
import type { EventSwitches } from './events.ts'
import type { Kit } from './kit.ts'
import type { Request, Requests } from './request.ts'
import type { SocketCore } from './socket.ts'
import { STATUS } from './status.ts'
import { Waiting } from './waiting.ts'

export interface Accept {
  readonly request: Request
  readonly context: unknown
  readonly callbacks: WskClientConnectionDispatch | null
  readonly local: Out<SockAddr> | null
  readonly remote: Out<SockAddr> | null
}

export interface AcceptHost {
  readonly kit: Kit
  readonly requests: Requests
  readonly events: EventSwitches
  readonly context: unknown
  readonly callbacks: WskClientListenDispatch | null
  readonly alive: () => boolean
  /** The listener itself: its accepted sockets inherit from it. */
  readonly listener: SocketCore
}

/** Connections that nobody has taken yet, and accepts that wait for one (WSK-ACCEPT-1 to -18). */
export class AcceptQueue {
  readonly #host: AcceptHost
  readonly #waiting = new Fifo<Arrived>()
  readonly #accepts = new Waiting<Accept>()
  #eventsPosted = false

  constructor(host: AcceptHost) {
    this.#host = host
  }

  get full(): boolean {
    return this.#waiting.length >= this.#host.kit.backlog
  }

  /** A connection stands. One beyond the backlog is reset: the newest. */
  offer(arrived: Arrived): void {
    if (!this.#host.alive() || this.full) {
      arrived.stream.reset()
      arrived.release?.()
      return
    }
    this.#waiting.push(arrived)
    this.#serve()
  }

  accept(accept: Accept): void {
    this.#accepts.push(accept)
    this.#serve()
  }

  /** Completes accepts, then has the callback called for what is left. Calls nobody itself. */
  #serve(): void {
    const overtake = this.#host.kit.dispatcher.chaos?.once(8) === true && this.#enabled
    while (this.#waiting.length > 0 && !overtake) {
      const next = this.#accepts.shift()
      if (next === undefined) break
      if (next.request.over) continue
      this.#complete(next, this.#waiting.shift() as Arrived)
    }
    this.tellSoon()
  }

  #complete({ request, context, callbacks, local, remote }: Accept, arrived: Arrived): void {
    const { listener } = this.#host
    // By this way nothing is enabled but what always is (WSK-ACCEPT-13).
    const socket = ConnectionSocket.accepted(listener, arrived, { context, callbacks }, 0)
    if (local !== null) local.value = arrived.local
    if (remote !== null) remote.value = arrived.remote
    request.complete(STATUS.STATUS_SUCCESS, socket, () => {
      socket.open()
    })
  }

  get #enabled(): boolean {
    return this.#host.events.isEnabled(wsk.WSK_EVENT_ACCEPT)
  }

  /** Has the callback called for each connection that waits. */
  tellSoon(): void {
    if (this.#eventsPosted || this.#waiting.length === 0 || !this.#enabled) return
    this.#eventsPosted = true
    this.#host.requests.post('accept', () => {
      this.#eventsPosted = false
      // An accept may have come meanwhile; it goes first.
      if (!this.#host.alive() || !this.#enabled || this.#waiting.length === 0) return
      this.#tell(this.#waiting.shift() as Arrived)
      this.#serve()
    })
  }

  #tell(arrived: Arrived): void {
    const { kit, events, context, callbacks, listener } = this.#host
    const its = { context: out<unknown>(), callbacks: out<WskClientConnectionDispatch | null>() }
    const socket = ConnectionSocket.accepted(
      listener,
      arrived,
      {
        get context() {
          return its.context.value
        },
        get callbacks() {
          return its.callbacks.value ?? null
        },
      },
      events.forAccepted,
    )
    const { local, remote } = arrived
    const status = events.run(wsk.WSK_EVENT_ACCEPT, () =>
      kit.dispatcher.client(
        () =>
          callbacks?.WskAcceptEvent?.(
            context,
            0,
            { ...local },
            { ...remote },
            socket,
            its.context,
            its.callbacks,
          ),
        STATUS.STATUS_REQUEST_NOT_ACCEPTED,
      ),
    )
    if (status === STATUS.STATUS_SUCCESS) socket.open()
    else socket.abandon()
  }

  /** Tells the callback that the listener is dead. */
  tellDead(): void {
    if (!this.#enabled) return
    const { kit, events, context, callbacks } = this.#host
    events.run(wsk.WSK_EVENT_ACCEPT, () =>
      kit.dispatcher.client(
        () => callbacks?.WskAcceptEvent?.(context, 0, null, null, null, out(), out()),
        STATUS.STATUS_SUCCESS,
      ),
    )
  }

  /** The listener ends: what nobody took is reset (WSK §8 rule 7). */
  close(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      next.stream.reset()
      next.release?.()
    }
  }
}
