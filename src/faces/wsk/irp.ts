import type { EventOf, StateOf, Table } from '../../base/machine.ts'
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
} as const satisfies Table

export type IrpState = StateOf<typeof TRANSITIONS>
type IrpEvent = EventOf<typeof TRANSITIONS>

/** A row of the table, with arrows in place of names: an IRP follows four of them per request. */
type Standing = { readonly name: IrpState } & { [E in IrpEvent]: Standing | undefined }

const STANDINGS = linked()

function linked(): Readonly<Record<IrpState, Standing>> {
  const none = { begin: undefined, free: undefined, complete: undefined, through: undefined }
  const blank = (name: IrpState): Standing => ({
    name,
    ...none,
    hold: undefined,
    resume: undefined,
    reuse: undefined,
  })
  const names = Object.keys(TRANSITIONS) as IrpState[]
  const rows = Object.fromEntries(names.map((name) => [name, blank(name)])) as Record<IrpState, Standing>
  for (const name of names) {
    const arrows = Object.entries(TRANSITIONS[name]) as [IrpEvent, IrpState][]
    for (const [event, to] of arrows) rows[name][event] = rows[to]
  }
  return rows
}

/**
 * Called once the request is over. Returns `STATUS_MORE_PROCESSING_REQUIRED` to keep the IRP, to free or reuse it; anything
 * else lets the routine that was set before it run, as for an IRP that was passed down.
 */
export type CompletionRoutine<T = unknown> = (irp: Irp<T>, context: unknown) => NtStatus

/** For which outcomes a routine runs; for each unless said otherwise. */
export interface CompletionCases {
  readonly onSuccess?: boolean
  readonly onError?: boolean
  readonly onCancel?: boolean
}
const ALWAYS: CompletionCases = {}

interface StackLocation<T> {
  readonly routine: CompletionRoutine<T>
  readonly context: unknown
  readonly when: CompletionCases
  /** Set before this one, and runs after it. */
  readonly below: StackLocation<T> | undefined
}

/** What an IRP is lent to. */
export interface Cancellable {
  cancel(): void
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
  begin(irp: IrpSink<never>, request: Cancellable): void
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
  #standing: Standing = STANDINGS.idle
  #top: StackLocation<T> | undefined
  /** The routine that runs next. */
  #next: StackLocation<T> | undefined
  /** Whom to ask to end soon. */
  #request: Cancellable | undefined

  static {
    access = {
      begin(sink, request) {
        const irp = real(sink)
        irp.#move('be lent to a request', irp.#standing.begin)
        irp.#next = irp.#top
        irp.#request = request
      },
      finish(sink, status, information) {
        const irp = real(sink)
        irp.#request = undefined
        irp.ioStatus.status = status
        irp.ioStatus.information = information
        irp.#move('complete', irp.#standing.complete)
        irp.#run()
      },
    }
  }

  get state(): IrpState {
    return this.#standing.name
  }

  /**
   * What runs when the request is over; of several the last one set runs first. Called again by whoever uses the IRP next.
   *
   * @source IoSetCompletionRoutine
   */
  setCompletionRoutine(
    routine: CompletionRoutine<T>,
    context?: unknown,
    when: CompletionCases = ALWAYS,
  ): this {
    this.#check('be given a completion routine', this.state === 'idle' || this.state === 'completed')
    this.#top = { routine, context, when, below: this.#top }
    return this
  }

  /** Asks the request to end soon. It completes all the same, once, with what it really came to. @source IoCancelIrp */
  cancel(): boolean {
    const request = this.#request
    this.#request = undefined
    request?.cancel()
    return request !== undefined
  }

  /** Makes a completed IRP as good as new. @source IoReuseIrp */
  reuse(): this {
    if (this.#standing !== STANDINGS.idle) this.#move('reuse', this.#standing.reuse)
    this.#top = undefined
    this.ioStatus.status = STATUS.STATUS_SUCCESS
    this.ioStatus.information = 0
    return this
  }

  /** Gives it up; a request that gets it later throws. @source IoFreeIrp */
  free(): void {
    this.#move('free', this.#standing.free)
  }

  /** Goes on with an IRP that a routine kept: what was set before that routine runs. @source IoCompleteRequest */
  resume(): void {
    this.#move('resume', this.#standing.resume)
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
    for (let location = this.#next; location !== undefined; location = this.#next) {
      this.#next = location.below
      if (location.when !== ALWAYS && location.when[caseOf(status)] === false) continue
      // The routine may reuse the IRP at once, for its next request.
      this.#standing = STANDINGS.held
      const answer = location.routine(this, location.context)
      if (answer === STATUS.STATUS_MORE_PROCESSING_REQUIRED) return
      if (this.state !== 'held') return
      this.#standing = STANDINGS.completing
    }
    this.#move('complete', this.#standing.through)
  }

  #move(what: string, to: Standing | undefined): void {
    this.#check(what, to !== undefined)
    this.#standing = to as Standing
  }

  #check(what: string, legal: boolean): void {
    if (!legal) throw new Error(`Cannot ${what}: the IRP is ${this.state}`)
  }
}

function caseOf(status: NtStatus): keyof CompletionCases {
  if (status === STATUS.STATUS_SUCCESS) return 'onSuccess'
  return status === STATUS.STATUS_CANCELLED ? 'onCancel' : 'onError'
}

function real(irp: IrpSink<never>): Irp {
  if (!(irp instanceof Irp))
    throw new TypeError('Cannot start the request: it was given something else than an IRP')
  return irp
}

/** For requests: takes an IRP; throws when another request has it, which is a bug of the client. */
export function beginIrp(irp: IrpSink<never>, request: Cancellable): void {
  access.begin(irp, request)
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
