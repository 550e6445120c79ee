import { WSA, failure, success } from '../src/spi/index.ts'
import type {
  EventObject,
  Overlapped,
  Result,
  Status,
  SwitchHandle,
  Upcalls,
  WsaCode,
} from '../src/spi/index.ts'

/** An event object that remembers when it was set and can be waited for. */
export class RecordedEvent implements EventObject {
  #set = false
  #setAt = 0n
  #waiting: (() => void)[] = []

  get isSet(): boolean {
    return this.#set
  }

  /** When it was last set, in nanoseconds of a clock that all processes of the host share. */
  get setAt(): bigint {
    return this.#setAt
  }

  set(): void {
    this.#set = true
    this.#setAt = process.hrtime.bigint()
    for (const wake of this.#waiting.splice(0)) wake()
  }

  reset(): void {
    this.#set = false
  }

  async wait(): Promise<void> {
    while (!this.#set) {
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
  }
}

/** One upcall. */
export interface UpcallRecord {
  readonly call: keyof Upcalls
  readonly handle: SwitchHandle
  readonly at: bigint
  /** The operation that `completeOverlappedRequest` announced, with what it was told. */
  readonly completed?: {
    readonly overlapped: Overlapped
    readonly status: Status
    readonly bytes: number
    /** `overlapped` had ended, with the same status and bytes, when it was announced. */
    readonly hadEnded: boolean
  }
}

/** A breach of a rule about upcalls, seen while it happened. */
export interface Violation {
  readonly clause: 'UP-1' | 'UP-2'
  readonly what: string
}

/** The switch's side of the interface: keeps every upcall, in order, and watches the rules that hold at all times. */
export class RecordedUpcalls implements Upcalls {
  readonly records: UpcallRecord[] = []
  readonly violations: Violation[] = []
  /** What `createSocketHandle` fails with from now on. */
  refuseHandles: WsaCode | null = null
  readonly #contexts = new Map<SwitchHandle, object>()
  readonly #isInsideDownCall: (handle: SwitchHandle) => boolean
  #waiting: (() => void)[] = []

  /** @param isInsideDownCall Says whether a down-call on the socket of `handle` is running. */
  constructor(isInsideDownCall: (handle: SwitchHandle) => boolean = () => false) {
    this.#isInsideDownCall = isInsideDownCall
  }

  createSocketHandle(context: object): Result<SwitchHandle> {
    if (this.refuseHandles !== null) return failure(this.refuseHandles)
    const handle = Object.freeze({}) as unknown as SwitchHandle
    this.#contexts.set(handle, context)
    this.#record({ call: 'createSocketHandle', handle, at: process.hrtime.bigint() })
    return success(handle)
  }

  querySocketHandleContext(handle: SwitchHandle): Result<object> {
    this.#record({ call: 'querySocketHandleContext', handle, at: process.hrtime.bigint() })
    const context = this.#contexts.get(handle)
    return context === undefined ? failure(WSA.WSAENOTSOCK) : success(context)
  }

  completeOverlappedRequest(
    handle: SwitchHandle,
    overlapped: Overlapped,
    status: 0 | WsaCode,
    bytes: number,
  ): Status {
    this.#watch('completeOverlappedRequest', handle)
    const hadEnded = overlapped.status === status && overlapped.bytes === bytes
    const completed = { overlapped, status, bytes, hadEnded }
    this.#record({ call: 'completeOverlappedRequest', handle, at: process.hrtime.bigint(), completed })
    return this.#contexts.has(handle) ? 0 : WSA.WSAEINVAL
  }

  closeSocketHandle(handle: SwitchHandle): Status {
    this.#watch('closeSocketHandle', handle)
    this.#record({ call: 'closeSocketHandle', handle, at: process.hrtime.bigint() })
    return this.#contexts.delete(handle) ? 0 : WSA.WSAENOTSOCK
  }

  /** Resolves with the first upcall, past or to come, that `matches`. */
  async first(matches: (record: UpcallRecord) => boolean): Promise<UpcallRecord> {
    for (;;) {
      const found = this.records.find(matches)
      if (found !== undefined) return found
      await new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
    }
  }

  of(handle: SwitchHandle): readonly UpcallRecord[] {
    return this.records.filter((record) => record.handle === handle)
  }

  /** The completions announced for `overlapped` so far. */
  completions(overlapped: Overlapped): readonly UpcallRecord[] {
    return this.records.filter((record) => record.completed?.overlapped === overlapped)
  }

  #record(record: UpcallRecord): void {
    this.records.push(record)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  #watch(call: string, handle: SwitchHandle): void {
    if (this.#isInsideDownCall(handle)) {
      this.violations.push({
        clause: 'UP-1',
        what: `${call} was made from inside a down-call on the same socket`,
      })
    }
    if (!this.#contexts.has(handle)) {
      this.violations.push({ clause: 'UP-2', what: `${call} was made with a handle that is not open` })
    }
  }
}
