import type { StreamOwner } from '../../spi/index.ts'
import { connectionReport } from '../../switch/face.ts'
import type { Carried, ConnectionReport } from '../../switch/face.ts'
import { segmentsOf } from './buffer.ts'
import type { WskBuf } from './buffer.ts'
import * as wsk from './constants.ts'
import type { WskClientConnectionDispatch, WskDataIndication, WskInspectId } from './dispatch.ts'
import type { EventSwitches, WskEvent } from './events.ts'
import type { Kit } from './kit.ts'
import { Receiver } from './receiver.ts'
import type { IndicationAnswer } from './receiver.ts'
import type { Request, Requests } from './request.ts'
import { Sender } from './sender.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** A connection as it comes to a socket. */
export interface Arrived extends Carried {
  readonly inspectId?: WskInspectId
  /** Gives back what the connection held besides the stream. */
  readonly release?: () => void
}

export interface ConnectionHost {
  readonly kit: Kit
  readonly requests: Requests
  readonly events: EventSwitches
  /** The client's context and callbacks; they may be set while a WskAcceptEvent runs. */
  readonly client: () => {
    readonly context: unknown
    readonly callbacks: WskClientConnectionDispatch | null
  }
  /** What the client may hold before its peer is held back. */
  readonly windowBytes: () => number
}

/**
 * What a connected socket does with its stream: receives and indications, sends, both ends. The stream tells it of what
 * happens; the client's code runs from the dispatcher.
 */
export class Connection implements StreamOwner {
  readonly arrived: Arrived
  readonly #host: ConnectionHost
  readonly #receiver: Receiver
  readonly #sender: Sender
  #pumpPosted = false
  /** False until the client knows of the socket: nothing is told before (WSK §8 rules 13, 14). */
  #open = false
  #over = false

  constructor(arrived: Arrived, host: ConnectionHost) {
    this.arrived = arrived
    this.#host = host
    const { stream } = arrived
    this.#sender = new Sender(stream, (bytes) => {
      this.#tellBacklog(bytes)
    })
    this.#receiver = new Receiver(stream, {
      dispatcher: host.kit.dispatcher,
      get windowBytes() {
        return host.windowBytes()
      },
      get indicates() {
        return host.events.isEnabled(wsk.WSK_EVENT_RECEIVE)
      },
      get inCall() {
        return host.events.inCall
      },
      indicate: (flags, list, bytes) => this.#indicate(flags, list, bytes),
      ended: () => {
        this.#tellDisconnect(0)
      },
      pumpSoon: () => {
        this.pumpSoon()
      },
    })
    stream.attach(this)
  }

  /** The client knows of it: from here on it is told what happens. */
  open(): void {
    this.#open = true
    this.pumpSoon()
  }

  // --- what the stream tells ----------------------------------------------------------------------------------------

  readable(): void {
    this.#host.kit.dispatcher.event(this.#pump)
  }

  writable(): void {
    this.#host.kit.dispatcher.event(() => {
      if (!this.#over) this.#sender.pump()
    })
  }

  /** Looks soon what is there, and whom it is for. */
  pumpSoon(): void {
    if (this.#pumpPosted || this.#over) return
    this.#pumpPosted = true
    this.#host.requests.post('receive', this.#postedPump)
  }

  readonly #postedPump = (): void => {
    this.#pumpPosted = false
    this.#pump()
  }

  readonly #pump = (): void => {
    if (this.#over || !this.#open) return
    if (this.arrived.stream.aborted) {
      this.#abort(STATUS.STATUS_CONNECTION_RESET)
      this.#tellDisconnect(wsk.WSK_FLAG_ABORTIVE)
      return
    }
    this.#receiver.pump()
  }

  #abort(status: NtStatus, sends = status): void {
    this.#over = true
    this.#receiver.fail(status)
    this.#sender.fail(sends, status)
  }

  // --- callbacks ----------------------------------------------------------------------------------------------------

  #indicate(flags: number, list: WskDataIndication, bytes: number): IndicationAnswer {
    const accepted = { value: bytes }
    const status = this.#call(wsk.WSK_EVENT_RECEIVE, STATUS.STATUS_DATA_NOT_ACCEPTED, (context, callbacks) =>
      callbacks.WskReceiveEvent?.(context, flags, list, bytes, accepted),
    )
    return { status, accepted: accepted.value }
  }

  // After every receive that was before it, and after no byte that was not taken.
  #tellDisconnect(flags: number): void {
    const { requests, events } = this.#host
    requests.post('receive', () => {
      if (!events.isEnabled(wsk.WSK_EVENT_DISCONNECT)) {
        this.#untold = flags
        return
      }
      this.#untold = undefined
      this.#call(wsk.WSK_EVENT_DISCONNECT, STATUS.STATUS_SUCCESS, (context, callbacks) =>
        callbacks.WskDisconnectEvent?.(context, flags),
      )
    })
  }
  /** A disconnect that nobody wanted to hear of: told when the event is enabled (WSK-EVC-16). */
  #untold: number | undefined

  #tellBacklog(bytes: number): void {
    const { requests, events } = this.#host
    requests.post('send', () => {
      if (!events.isEnabled(wsk.WSK_EVENT_SEND_BACKLOG)) return
      this.#call(wsk.WSK_EVENT_SEND_BACKLOG, STATUS.STATUS_SUCCESS, (context, callbacks) =>
        callbacks.WskSendBacklogEvent?.(context, bytes),
      )
    })
  }

  /** Tells the receive callback that the socket is dead. */
  tellDead(): void {
    if (!this.#host.events.isEnabled(wsk.WSK_EVENT_RECEIVE)) return
    this.#call(wsk.WSK_EVENT_RECEIVE, STATUS.STATUS_SUCCESS, (context, callbacks) =>
      callbacks.WskReceiveEvent?.(context, 0, null, 0, { value: 0 }),
    )
  }

  #call(
    event: WskEvent,
    fallback: NtStatus,
    call: (context: unknown, callbacks: WskClientConnectionDispatch) => NtStatus | undefined,
  ): NtStatus {
    const { kit, events } = this.#host
    const { context, callbacks } = this.#host.client()
    if (callbacks === null) return fallback
    return events.run(event, () =>
      kit.dispatcher.client(() => call(context, callbacks) ?? fallback, fallback),
    )
  }

  /** A callback was enabled, or disabled. */
  eventsChanged(): void {
    if (!this.#host.events.isEnabled(wsk.WSK_EVENT_RECEIVE)) this.#receiver.unstall()
    if (this.#untold !== undefined) this.#tellDisconnect(this.#untold)
    this.pumpSoon()
  }

  // --- requests -----------------------------------------------------------------------------------------------------

  receive(request: Request, buffer: WskBuf, flags: number): void {
    this.#receiver.receive(request, buffer, flags)
    // A reset that nobody was told of is seen by reading.
    if (!request.over && this.arrived.stream.aborted) this.pumpSoon()
  }

  send(request: Request, buffer: WskBuf, flags: number): void {
    const segments = segmentsOf(buffer)
    if ((flags & ~wsk.WSK_FLAG_NODELAY) !== 0) request.complete(STATUS.STATUS_NOT_SUPPORTED)
    else if (segments === undefined) request.complete(STATUS.STATUS_INVALID_PARAMETER)
    else this.#sender.send(request, segments, flags !== 0)
  }

  disconnect(request: Request, buffer: WskBuf | null, flags: number): void {
    const segments = buffer === null ? [] : segmentsOf(buffer)
    const abortive = (flags & wsk.WSK_FLAG_ABORTIVE) !== 0
    if ((flags & ~wsk.WSK_FLAG_ABORTIVE) !== 0) request.complete(STATUS.STATUS_NOT_SUPPORTED)
    else if (segments === undefined || (abortive && buffer !== null))
      request.complete(STATUS.STATUS_INVALID_PARAMETER)
    else if (!abortive) this.#sender.end(request, segments)
    else {
      if (!this.#over) this.#cut()
      request.complete(STATUS.STATUS_SUCCESS)
    }
  }

  #cut(): void {
    this.arrived.stream.reset()
    this.#abort(STATUS.STATUS_CONNECTION_ABORTED, STATUS.STATUS_CANCELLED)
  }

  release(list: WskDataIndication): NtStatus {
    return this.#receiver.release(list) ? STATUS.STATUS_SUCCESS : STATUS.STATUS_INVALID_PARAMETER
  }

  get report(): ConnectionReport {
    return connectionReport(this.arrived)
  }

  /** The process ends; the kernel does the same for TCP/IP. */
  farewell(): void {
    const { provider, stream } = this.arrived
    if (provider === 'tcpip') return
    // The stream does not know of what was indicated and not taken.
    if (this.#receiver.backlog > 0) stream.reset()
    else stream.close()
  }

  get idealBacklog(): number {
    return this.#sender.idealBacklog
  }
  get receiveBacklog(): number {
    return this.#over ? 0 : this.#receiver.backlog
  }

  setKeepAlive(on: boolean): void {
    this.arrived.stream.setOption('SO_KEEPALIVE', on ? 1 : 0)
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** The socket closes or dies. What has not ended in both directions is reset (WSK-CLOSE-4). */
  close(): void {
    const { stream, release } = this.arrived
    if (this.#receiver.retainedBytes > 0) {
      process.emitWarning('A socket was closed before its retained indications were released', 'WskWarning')
    }
    const finished = !this.#over && this.#sender.ended && (this.#receiver.ended || stream.readEnd() === 'end')
    this.#over = true
    if (finished) stream.close()
    else stream.reset()
    release?.()
  }
}
