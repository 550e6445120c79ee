import { invariant } from '../../base/invariant.ts'
import { STATUS, WskError } from './status.ts'
import type { NtStatus } from './status.ts'

/** Which event is legal when, for an IRP; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  idle: { begin: 'pending', free: 'freed' },
  /** A request owns it. Cancelling asks the request; it completes all the same, once. */
  pending: { complete: 'completing' },
  /** Its completion routines run, the last one set first. */
  completing: { through: 'completed', hold: 'held' },
  /** A routine kept it: whoever set that routine may go on with it. */
  held: { resume: 'completing', reuse: 'idle', free: 'freed', begin: 'pending' },
  completed: { reuse: 'idle', free: 'freed', begin: 'pending' },
  freed: {},
} as const satisfies Record<string, Record<string, string>>

export type IrpState = keyof typeof TRANSITIONS
type KeysOf<T> = T extends unknown ? keyof T : never
type IrpEvent = KeysOf<(typeof TRANSITIONS)[IrpState]>

/**
 * Called once the request is over. Returns `STATUS_MORE_PROCESSING_REQUIRED` to keep the IRP, to free or reuse it; anything
 * else lets the routine that was set before it run, as for an IRP that was passed down.
 */
export type CompletionRoutine<T = unknown> = (irp: Irp<T>, context: unknown) => NtStatus

interface StackLocation<T> {
  readonly routine: CompletionRoutine<T>
  readonly context: unknown
  readonly onSuccess: boolean
  readonly onError: boolean
  readonly onCancel: boolean
}

declare const sink: unique symbol

/** An IRP that a request can complete with a `T`: one for a `T`, or for whatever comes. */
export interface IrpSink<in T> {
  readonly [sink]?: (information: T) => void
}

/** What became of a request. */
export interface IoStatus<T> {
  status: NtStatus
  /** What the function says; 0 where it says nothing or failed. */
  information: T | 0
}

/** Set by the static block of {@link Irp}: what only requests may do. */
let access: {
  begin(irp: IrpSink<never>, cancel: () => void): void
  finish(irp: IrpSink<never>, status: NtStatus, information: unknown): void
}

/**
 * The completion token of one asynchronous request: allocated by the client, lent to a function, completed exactly once.
 *
 * @source I/O request packets; WSK-IRP-1 to -17
 */
export class Irp<T = unknown> implements IrpSink<T> {
  declare readonly [sink]?: (information: T) => void
  readonly ioStatus: IoStatus<T> = { status: STATUS.STATUS_SUCCESS, information: 0 }
  #state: IrpState = 'idle'
  #routines: StackLocation<T>[] = []
  #next = 0
  #cancel: (() => void) | undefined

  static {
    access = {
      begin(sink, cancel) {
        const irp = real(sink)
        irp.#move('begin')
        irp.#next = irp.#routines.length
        irp.#cancel = cancel
      },
      finish(sink, status, information) {
        const irp = real(sink)
        irp.#cancel = undefined
        Object.assign(irp.ioStatus, { status, information })
        irp.#move('complete')
        irp.#run()
      },
    }
  }

  get state(): IrpState {
    return this.#state
  }

  /**
   * What runs when the request is over; of several the last one set runs first. Called again by whoever uses the IRP next.
   *
   * @source IoSetCompletionRoutine
   */
  setCompletionRoutine(
    routine: CompletionRoutine<T>,
    context?: unknown,
    { onSuccess = true, onError = true, onCancel = true } = {},
  ): this {
    this.#check('be given a completion routine', this.#state === 'idle' || this.#state === 'completed')
    this.#routines.push({ routine, context, onSuccess, onError, onCancel })
    return this
  }

  /** Asks the request to end soon. It completes all the same, once, with what it really came to. @source IoCancelIrp */
  cancel(): boolean {
    const cancel = this.#cancel
    this.#cancel = undefined
    cancel?.()
    return cancel !== undefined
  }

  /** Makes a completed IRP as good as new. @source IoReuseIrp */
  reuse(): this {
    if (this.#state !== 'idle') this.#move('reuse')
    this.#routines = []
    this.ioStatus.status = STATUS.STATUS_SUCCESS
    this.ioStatus.information = 0
    return this
  }

  /** Gives it up; a request that gets it later throws. @source IoFreeIrp */
  free(): void {
    this.#move('free')
  }

  /** Goes on with an IRP that a routine kept: what was set before that routine runs. @source IoCompleteRequest */
  resume(): void {
    this.#move('resume')
    this.#run()
  }

  /**
   * Settles once the request is over: with its information, or with a {@link WskError}. To be asked for before the IRP is lent.
   *
   * @param action What was tried, for the error.
   */
  promise(action = 'complete the request'): Promise<T> {
    return new Promise((resolve, reject) => {
      this.setCompletionRoutine(({ ioStatus }) => {
        if (ioStatus.status === STATUS.STATUS_SUCCESS) resolve(ioStatus.information as T)
        else reject(new WskError(ioStatus.status, action))
        return STATUS.STATUS_SUCCESS
      })
    })
  }

  #run(): void {
    const { status } = this.ioStatus
    while (this.#next > 0) {
      this.#next -= 1
      const location = this.#routines[this.#next]
      invariant(location, 'an IRP has the routines that were set')
      const wanted =
        status === STATUS.STATUS_CANCELLED
          ? location.onCancel
          : status === STATUS.STATUS_SUCCESS
            ? location.onSuccess
            : location.onError
      if (!wanted) continue
      // The routine may reuse the IRP at once, for its next request.
      this.#state = 'held'
      const answer = location.routine(this, location.context)
      if (answer === STATUS.STATUS_MORE_PROCESSING_REQUIRED) return
      if (this.state !== 'held') return
      this.#state = 'completing'
    }
    this.#move('through')
  }

  #move(event: IrpEvent): void {
    const row: Partial<Record<IrpEvent, IrpState>> = TRANSITIONS[this.#state]
    const to = row[event]
    this.#check(event === 'begin' ? 'be lent to a request' : event, to !== undefined)
    this.#state = to as IrpState
  }

  #check(what: string, legal: boolean): void {
    if (!legal) throw new Error(`Cannot ${what}: the IRP is ${this.#state}`)
  }
}

function real(irp: IrpSink<never>): Irp {
  if (!(irp instanceof Irp))
    throw new TypeError('Cannot start the request: it was given something else than an IRP')
  return irp
}

/** For requests: takes an IRP; throws when another request has it, which is a bug of the client. */
export function beginIrp(irp: IrpSink<never>, cancel: () => void): void {
  access.begin(irp, cancel)
}

/** For requests: the outcome. Runs the completion routines. */
export function finishIrp(irp: IrpSink<never>, status: NtStatus, information: unknown): void {
  access.finish(irp, status, information)
}

/** @source IoAllocateIrp */
export function IoAllocateIrp<T = unknown>(): Irp<T> {
  return new Irp<T>()
}

/** @source IoSetCompletionRoutine */
export function IoSetCompletionRoutine<T>(
  irp: Irp<T>,
  routine: CompletionRoutine<T>,
  context: unknown,
  onSuccess: boolean,
  onError: boolean,
  onCancel: boolean,
): void {
  irp.setCompletionRoutine(routine, context, { onSuccess, onError, onCancel })
}

/** @source IoReuseIrp */
export function IoReuseIrp(irp: { reuse(): unknown }): void {
  irp.reuse()
}

/** @source IoFreeIrp */
export function IoFreeIrp(irp: { free(): void }): void {
  irp.free()
}

/** @source IoCancelIrp */
export function IoCancelIrp(irp: { cancel(): boolean }): boolean {
  return irp.cancel()
}
