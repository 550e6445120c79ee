import type { Dispatcher } from './dispatcher.ts'
import { beginIrp, finishIrp } from './irp.ts'
import type { IrpSink } from './irp.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** Requests of one kind complete in the order in which they end; between kinds there is no order (WSK-IRP-17). */
export type RequestKind = 'accept' | 'connect' | 'send' | 'receive' | 'control' | 'close'

/** One use of an IRP. The first outcome counts: completion, cancel and close race, and one of them wins (WSK-IRP-13). */
export class Request {
  /** What cancelling does; the owner sets it where more is to be done than to stop waiting. */
  onCancel: () => void = () => {
    this.complete(STATUS.STATUS_CANCELLED)
  }
  readonly #finish: (request: Request) => void
  #over = false
  status: NtStatus = STATUS.STATUS_PENDING
  information: unknown = 0
  /** What happens once the client knows. */
  after: (() => void) | undefined

  constructor(finish: (request: Request) => void) {
    this.#finish = finish
  }

  /** True: whoever has it queued is to forget it. */
  get over(): boolean {
    return this.#over
  }

  complete(status: NtStatus, information: unknown = 0, after?: () => void): void {
    if (this.#over) return
    this.#over = true
    this.status = status
    this.information = information
    this.after = after
    this.#finish(this)
  }
}

/** The requests of one object: those under way, in what order they complete, and when none is left. */
export class Requests {
  readonly #dispatcher: Dispatcher
  readonly #lanes = new Map<RequestKind, object>()
  readonly #pending = new Set<Request>()
  /** Begun and not yet known to the client to be over. */
  #outstanding = 0
  #onIdle: (() => void) | undefined

  constructor(dispatcher: Dispatcher) {
    this.#dispatcher = dispatcher
  }

  get outstanding(): number {
    return this.#outstanding
  }

  /** What runs in order with the completions of `kind`. */
  lane(kind: RequestKind): object {
    let lane = this.#lanes.get(kind)
    if (lane === undefined) this.#lanes.set(kind, (lane = { kind }))
    return lane
  }

  /**
   * Takes `irp` and starts the request. An outcome that is known before `begin` returns completes the IRP at once where that
   * recurses into nobody; else the answer is `STATUS_PENDING`.
   *
   * @returns what the function answers.
   */
  start(irp: IrpSink<never> | null, kind: RequestKind, begin: (request: Request) => void): NtStatus {
    if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
    let inside = true
    const finish = (): void => {
      this.#pending.delete(request)
      if (inside) return
      this.#dispatcher.post(this.lane(kind), () => {
        this.#finish(irp, request)
      })
    }
    const request: Request = new Request(finish)
    beginIrp(irp, () => {
      request.onCancel()
    })
    this.#outstanding += 1
    this.#pending.add(request)
    begin(request)
    inside = false
    if (!request.over) return STATUS.STATUS_PENDING
    if (!this.#dispatcher.mayCompleteInline) {
      finish()
      return STATUS.STATUS_PENDING
    }
    this.#finish(irp, request)
    return request.status
  }

  #finish(irp: IrpSink<never>, request: Request): void {
    this.#dispatcher.client(() => {
      finishIrp(irp, request.status, request.information)
    }, undefined)
    request.after?.()
    this.#outstanding -= 1
    this.#checkIdle()
  }

  /** Ends every request under way as a cancel would. */
  cancelAll(except?: Request): void {
    for (const request of [...this.#pending]) if (request !== except) request.onCancel()
  }

  /** Ends every request under way with `status`. */
  failAll(status: NtStatus): void {
    for (const request of [...this.#pending]) request.complete(status)
  }

  /** Calls `action` once no more than `left` requests are outstanding. */
  whenDownTo(left: number, action: () => void): void {
    const look = (): void => {
      if (this.#outstanding > left) return
      this.#onIdle = undefined
      action()
    }
    this.#onIdle = look
    look()
  }

  #checkIdle(): void {
    this.#onIdle?.()
  }
}
