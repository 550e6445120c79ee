import type { Condition, IncomingRequest, Judgement } from '../../switch/incoming.ts'
import { WSA } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import { next } from '../../base/machine.ts'
import type { EventOf, StateOf, Table } from '../../base/machine.ts'
import type { SockAddr } from './addresses.ts'
import * as wsk from './constants.ts'
import { inspectIdKey } from './dispatch.ts'
import type { WskClientListenDispatch, WskInspectId } from './dispatch.ts'
import type { Kit } from './kit.ts'
import type { Request } from './request.ts'
import { STATUS } from './status.ts'

/** Which event is legal when, for a connection request that the client inspects; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** WskInspectEvent runs. */
  inspecting: { accept: 'establishing', reject: 'rejected', pend: 'pending' },
  pending: { accept: 'establishing', reject: 'rejected', drop: 'aborted' },
  establishing: { established: 'established', drop: 'aborted' },
  established: {},
  rejected: {},
  /** WskAbortEvent has been called, or will be. */
  aborted: {},
} as const satisfies Table

type InspectionState = StateOf<typeof TRANSITIONS>
type InspectionEvent = EventOf<typeof TRANSITIONS>

interface Inspection {
  readonly id: WskInspectId
  readonly incoming: IncomingRequest
  state: InspectionState
  /** WskInspectComplete was called before WskInspectEvent had returned (WSK 6.14). */
  early: { readonly action: wsk.WskInspectDecision; readonly request: Request } | undefined
  cancelTimer: Cancel | undefined
}

export interface InspectionHost {
  readonly kit: Kit
  readonly context: unknown
  readonly callbacks: WskClientListenDispatch | null
  /** False once the listener is closed or dead: nothing is told any more (WSK 6.20). */
  readonly alive: () => boolean
  /** True when no further connection has room. */
  readonly full: () => boolean
  show(address: SockAddr): SockAddr
}

/** Ids of requests that were dropped while pending and may still be completed; the oldest are forgotten. */
const MAX_ABORTED = 1024
const REFUSE: Judgement = { reject: WSA.WSAECONNREFUSED }

/** The requests of one conditional listener that are not connections yet (WSK §6). */
export class Inspections {
  readonly #host: InspectionHost
  readonly #live = new Map<string, Inspection>()
  readonly #byRequest = new Map<IncomingRequest, Inspection>()
  readonly #aborted = new Set<string>()
  #serial = 0

  constructor(host: InspectionHost) {
    this.#host = host
  }

  /** Asks the client; for the switch, and for what arrives over TCP/IP. */
  readonly condition: Condition = (incoming) => {
    const { alive, full, callbacks } = this.#host
    if (!alive() || full() || callbacks?.WskInspectEvent === undefined) return REFUSE
    this.#serial += 1
    // Keys may come again, the pair does not.
    const id = { key: BigInt(this.#live.size), serialNumber: this.#serial }
    const inspection: Inspection = {
      id,
      incoming,
      state: 'inspecting',
      early: undefined,
      cancelTimer: undefined,
    }
    this.#live.set(inspectIdKey(id), inspection)
    this.#byRequest.set(incoming, inspection)
    incoming.onAbandoned = () => {
      this.#host.kit.dispatcher.event(() => {
        this.#drop(inspection)
      })
    }
    return this.#judge(inspection, this.#ask(inspection, callbacks.WskInspectEvent))
  }

  #ask(inspection: Inspection, ask: NonNullable<WskClientListenDispatch['WskInspectEvent']>): number {
    const { kit, context } = this.#host
    const { incoming, id } = inspection
    const local = this.#host.show(incoming.local)
    const remote = this.#host.show(incoming.remote)
    return kit.dispatcher.client<number>(() => ask(context, local, remote, { ...id }), wsk.WskInspectReject)
  }

  #judge(inspection: Inspection, action: number): Judgement {
    const { early } = inspection
    inspection.early = undefined
    if (!this.#host.alive()) return REFUSE
    if (action === wsk.WskInspectPend) {
      this.#move(inspection, 'pend')
      if (early === undefined) {
        inspection.cancelTimer = this.#host.kit.clock.after(this.#host.kit.inspectTimeoutMs, () => {
          this.#timeOut(inspection)
        })
        return 'defer'
      }
      early.request.complete(STATUS.STATUS_SUCCESS)
      return this.#decided(inspection, early.action)
    }
    early?.request.complete(STATUS.STATUS_INVALID_PARAMETER)
    return this.#decided(inspection, action)
  }

  #decided(inspection: Inspection, action: number): Judgement {
    // What is neither is a refusal (WSK 6.27).
    const accepted = action === wsk.WskInspectAccept
    this.#move(inspection, accepted ? 'accept' : 'reject')
    return accepted ? 'accept' : REFUSE
  }

  #move(inspection: Inspection, event: InspectionEvent): void {
    const to = next(TRANSITIONS, inspection.state, event)
    if (to === undefined) throw new Error(`Cannot ${event}: the inspection is ${inspection.state}`)
    inspection.state = to
    if (to === 'pending' || to === 'establishing') return
    inspection.cancelTimer?.()
    this.#live.delete(inspectIdKey(inspection.id))
    this.#byRequest.delete(inspection.incoming)
  }

  /** WskInspectComplete. */
  complete(id: WskInspectId, action: number, request: Request): void {
    const key = inspectIdKey(id)
    const inspection = this.#live.get(key)
    if (this.#aborted.delete(key)) {
      request.complete(STATUS.STATUS_CONNECTION_ABORTED)
    } else if (
      inspection === undefined ||
      (action !== wsk.WskInspectAccept && action !== wsk.WskInspectReject)
    ) {
      request.complete(STATUS.STATUS_INVALID_PARAMETER)
    } else if (inspection.state === 'inspecting' && inspection.early === undefined) {
      inspection.early = { action, request }
    } else if (inspection.state !== 'pending') {
      request.complete(STATUS.STATUS_INVALID_PARAMETER)
    } else {
      this.#decide(inspection, action, request)
    }
  }

  #decide(inspection: Inspection, action: wsk.WskInspectDecision, request: Request): void {
    const { incoming } = inspection
    if (action === wsk.WskInspectReject) {
      this.#move(inspection, 'reject')
      incoming.reject()
      request.complete(STATUS.STATUS_SUCCESS)
      return
    }
    // Before it is accepted: over TCP/IP the connection stands at once.
    this.#move(inspection, 'accept')
    inspection.cancelTimer?.()
    // Too late: its end is being told (WSK 6.11).
    request.complete(incoming.accept() ? STATUS.STATUS_SUCCESS : STATUS.STATUS_CONNECTION_ABORTED)
  }

  /** The connection that came of a request stands; its id. */
  established(incoming: IncomingRequest | undefined): WskInspectId | undefined {
    const inspection = incoming === undefined ? undefined : this.#byRequest.get(incoming)
    if (inspection === undefined) return undefined
    this.#move(inspection, 'established')
    return inspection.id
  }

  #timeOut(inspection: Inspection): void {
    if (inspection.state !== 'pending') return
    inspection.incoming.reject()
    this.#host.kit.dispatcher.event(() => {
      this.#drop(inspection)
    })
  }

  // Never from inside WskInspectEvent: the client may not have noted the id (WSK 6.10).
  #drop(inspection: Inspection): void {
    const { state, id } = inspection
    if (state !== 'pending' && state !== 'establishing') return
    if (state === 'pending') this.#remember(inspectIdKey(id))
    this.#move(inspection, 'drop')
    const { kit, context, callbacks, alive } = this.#host
    if (!alive()) return
    kit.dispatcher.client(() => callbacks?.WskAbortEvent?.(context, { ...id }), undefined)
  }

  #remember(key: string): void {
    this.#aborted.add(key)
    if (this.#aborted.size <= MAX_ABORTED) return
    for (const oldest of this.#aborted) {
      this.#aborted.delete(oldest)
      return
    }
  }

  /** The listener ends: every request with it. */
  close(): void {
    for (const inspection of [...this.#live.values()]) {
      inspection.cancelTimer?.()
      if (inspection.state === 'pending') inspection.incoming.reject()
    }
    this.#live.clear()
    this.#byRequest.clear()
  }
}
