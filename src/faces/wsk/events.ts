import * as wsk from './constants.ts'
import type { Request } from './request.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** The event callbacks that can be enabled and disabled. */
export type WskEvent =
  | typeof wsk.WSK_EVENT_ACCEPT
  | typeof wsk.WSK_EVENT_RECEIVE
  | typeof wsk.WSK_EVENT_DISCONNECT
  | typeof wsk.WSK_EVENT_SEND_BACKLOG
  | typeof wsk.WSK_EVENT_RECEIVE_FROM

/** The events of a connection; on a listener they are what its accepted sockets inherit. */
export const CONNECTION_EVENTS = wsk.WSK_EVENT_RECEIVE | wsk.WSK_EVENT_DISCONNECT | wsk.WSK_EVENT_SEND_BACKLOG
export const EVERY_EVENT = CONNECTION_EVENTS | wsk.WSK_EVENT_ACCEPT | wsk.WSK_EVENT_RECEIVE_FROM

/** `WSK_EVENT_CALLBACK_CONTROL`. */
export interface EventCallbackControl {
  readonly npiId: string
  readonly eventMask: number
}

interface Callback {
  running: number
  /** Disables that wait until the running calls have returned. */
  readonly barrier: Request[]
}

export interface EventSwitchesParts {
  /** Events the category has. */
  readonly valid: number
  /** Events that only its accepted sockets have: enabled here for them, never disabled here (WSK-EVC-10). */
  readonly inherited: number
  /** Enabled for good by WSK_SET_STATIC_EVENT_CALLBACKS. */
  readonly fixed: number
  /** Enabled from the start, for a socket that inherits. */
  readonly initial?: number
  /** True when the client has a callback for the event. */
  readonly has: (event: WskEvent) => boolean
}

/** Which event callbacks of one socket are enabled, and which run (WSK-EVC-1 to -16). */
export class EventSwitches {
  readonly #parts: EventSwitchesParts
  readonly #callbacks = new Map<WskEvent, Callback>()
  #enabled: number
  #running = 0

  constructor(parts: EventSwitchesParts) {
    this.#parts = parts
    this.#enabled = (parts.fixed | (parts.initial ?? 0)) & (parts.valid | parts.inherited)
  }

  /** What a socket accepted here begins with. */
  get forAccepted(): number {
    return this.#enabled & this.#parts.inherited
  }

  isEnabled(event: WskEvent): boolean {
    return (this.#enabled & event) !== 0 && this.#parts.has(event)
  }

  isFixed(event: WskEvent): boolean {
    return (this.#parts.fixed & event) !== 0
  }

  /** True while a callback of the socket runs: they are called one after another (WSK-EVT-4, -5). */
  get inCall(): boolean {
    return this.#running > 0
  }

  enable(mask: number): NtStatus {
    const { valid, inherited } = this.#parts
    if (mask === 0 || (mask & ~(valid | inherited)) !== 0) return STATUS.STATUS_INVALID_PARAMETER
    for (const event of eventsIn(mask & valid)) {
      if (!this.#parts.has(event)) return STATUS.STATUS_INVALID_PARAMETER
    }
    this.#enabled |= mask
    return STATUS.STATUS_SUCCESS
  }

  /** Why `mask`, without the disable bit, cannot be disabled; success when it can. */
  mayDisable(mask: number): NtStatus {
    const { valid, inherited, fixed } = this.#parts
    const [event, ...others] = eventsIn(mask)
    if (event === undefined || others.length > 0 || (mask & ~(valid | inherited)) !== 0) {
      return STATUS.STATUS_INVALID_PARAMETER
    }
    const forGood = (mask & (fixed | (inherited & ~valid))) !== 0
    return forGood ? STATUS.STATUS_INVALID_DEVICE_REQUEST : STATUS.STATUS_SUCCESS
  }

  /**
   * Disables one event: no call of it starts from here on. The answer is success when none runs; else the request, where there
   * is one, completes once they have returned.
   */
  disable(event: WskEvent, request?: Request): NtStatus {
    this.#enabled &= ~event
    const callback = this.#callbacks.get(event)
    if (callback === undefined || callback.running === 0) {
      request?.complete(STATUS.STATUS_SUCCESS)
      return STATUS.STATUS_SUCCESS
    }
    if (request === undefined) return STATUS.STATUS_EVENT_PENDING
    callback.barrier.push(request)
    return STATUS.STATUS_PENDING
  }

  /** Runs a callback, which counts as in progress meanwhile. */
  run<T>(event: WskEvent, call: () => T): T {
    let callback = this.#callbacks.get(event)
    if (callback === undefined) this.#callbacks.set(event, (callback = { running: 0, barrier: [] }))
    callback.running += 1
    this.#running += 1
    try {
      return call()
    } finally {
      callback.running -= 1
      this.#running -= 1
      if (callback.running === 0) {
        for (const request of callback.barrier.splice(0)) request.complete(STATUS.STATUS_SUCCESS)
      }
    }
  }
}

const EVENTS: readonly WskEvent[] = [
  wsk.WSK_EVENT_ACCEPT,
  wsk.WSK_EVENT_RECEIVE,
  wsk.WSK_EVENT_DISCONNECT,
  wsk.WSK_EVENT_SEND_BACKLOG,
  wsk.WSK_EVENT_RECEIVE_FROM,
]

function eventsIn(mask: number): WskEvent[] {
  return EVENTS.filter((event) => (mask & event) !== 0)
}
