import type { Dispatcher, Job } from './dispatcher.ts'
import { beginIrp, finishIrp } from './irp.ts'
import type { Cancellable, IrpSink } from './irp.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** Requests of one kind complete in the order in which they end; between kinds there is no order (WSK-IRP-17). */
export type RequestKind = 'accept' | 'connect' | 'send' | 'receive' | 'control' | 'close'

/**
 * One use of an IRP. The first outcome counts: completion, cancel and close race, and one of them wins (WSK-IRP-13).
 *
 * There is one for every send and receive: its fields are assigned, since defining them costs 4 % of a round trip.
 */
export class Request implements Cancellable {
  /** What cancelling does; the owner sets it where more is to be done than to stop waiting. */
  declare onCancel: (() => void) | undefined
  declare private readonly finish: (request: Request) => void
  /** True: whoever has it queued is to forget it. */
  declare over: boolean
  declare status: NtStatus
  declare information: unknown
  /** What happens once the client knows. */
  declare after: (() => void) | undefined

  constructor(finish: (request: Request) => void) {
    this.onCancel = undefined
    this.finish = finish
    this.over = false
    this.status = STATUS.STATUS_PENDING
    this.information = 0
    this.after = undefined
  }

  cancel(): void {
    if (this.onCancel === undefined) this.complete(STATUS.STATUS_CANCELLED)
    else this.onCancel()
  }

  complete(status: NtStatus, information: unknown = 0, after?: () => void): void {
    if (this.over) return
    this.over = true
    this.status = status
    this.information = information
    this.after = after
    this.finish(this)
  }
}

/** A request that a client has started: its completion is a job of its own. */
export class ClientRequest extends Request implements Job {
  declare readonly irp: IrpSink<never>
  declare private readonly requests: Requests
  declare private readonly kind: RequestKind
  /** True until the function that started it returns. */
  declare starting: boolean
  /** Its neighbours among those that wait. */
  declare older: ClientRequest | undefined
  declare newer: ClientRequest | undefined

  constructor(
    requests: Requests,
    kind: RequestKind,
    irp: IrpSink<never>,
    finish: (request: ClientRequest) => void,
  ) {
    super(finish as (request: Request) => void)
    this.requests = requests
    this.kind = kind
    this.irp = irp
    this.starting = true
    this.older = undefined
    this.newer = undefined
  }

  get lane(): object {
    return this.requests.lane(this.kind)
  }

  run(): void {
    this.requests.tell(this)
  }
}

/** The requests of one object: those under way, in what order they complete, and when none is left. */
export class Requests {
  readonly #dispatcher: Dispatcher
  readonly #lanes = new Map<RequestKind, object>()
  /** Those that wait, the oldest first: linked, because one comes and goes with every receive. */
  #oldest: ClientRequest | undefined
  #newest: ClientRequest | undefined
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

  /** Runs `run` in order with the completions of `kind`. */
  post(kind: RequestKind, run: () => void): void {
    this.#dispatcher.post({ lane: this.lane(kind), run })
  }

  /**
   * Takes `irp` and starts the request. An outcome that is known before `begin` returns completes the IRP at once where that
   * recurses into nobody; else the answer is `STATUS_PENDING`.
   *
   * @returns what the function answers.
   */
  start(irp: IrpSink<never> | null, kind: RequestKind, begin: (request: Request) => void): NtStatus {
    if (irp === null) return STATUS.STATUS_INVALID_PARAMETER
    const request = this.begin(irp, kind)
    begin(request)
    return this.begun(request)
  }

  /** The first half of {@link start}, for what is done often; the second is {@link begun}. */
  begin(irp: IrpSink<never>, kind: RequestKind): ClientRequest {
    const request = new ClientRequest(this, kind, irp, this.#finished)
    beginIrp(irp, request)
    this.#outstanding += 1
    return request
  }

  begun(request: ClientRequest): NtStatus {
    request.starting = false
    if (!request.over) {
      this.#link(request)
      return STATUS.STATUS_PENDING
    }
    if (!this.#dispatcher.mayCompleteInline) {
      this.#dispatcher.post(request)
      return STATUS.STATUS_PENDING
    }
    this.tell(request)
    return request.status
  }

  readonly #finished = (request: ClientRequest): void => {
    if (request.starting) return
    this.#unlink(request)
    this.#dispatcher.post(request)
  }

  #link(request: ClientRequest): void {
    request.older = this.#newest
    if (this.#newest === undefined) this.#oldest = request
    else this.#newest.newer = request
    this.#newest = request
  }

  #unlink(request: ClientRequest): void {
    const { older, newer } = request
    if (older === undefined) this.#oldest = newer
    else older.newer = newer
    if (newer === undefined) this.#newest = older
    else newer.older = older
    // It keeps nothing alive that comes after it.
    request.older = request.newer = undefined
  }

  get #pending(): ClientRequest[] {
    const all: ClientRequest[] = []
    for (let at = this.#oldest; at !== undefined; at = at.newer) all.push(at)
    return all
  }

  /** Completes the IRP. */
  tell(request: ClientRequest): void {
    const { irp, status, information } = request
    this.#dispatcher.enterClient()
    try {
      finishIrp(irp, status, information)
    } catch (error) {
      this.#dispatcher.report(error)
    } finally {
      this.#dispatcher.leaveClient()
    }
    request.after?.()
    this.#outstanding -= 1
    this.#checkIdle()
  }

  /** Ends every request under way as a cancel would. */
  cancelAll(except?: Request): void {
    for (const request of this.#pending) if (request !== except) request.cancel()
  }

  /** Ends every request under way with `status`. */
  failAll(status: NtStatus): void {
    for (const request of this.#pending) request.complete(status)
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
