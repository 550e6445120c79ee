import { WSA, failure, success } from '../spi/index.ts'
import type { Overlapped, Result, Status, SwitchHandle, Upcalls, WsaCode } from '../spi/index.ts'

/** The switch descriptor of one SAN socket: carries the provider's context until it is closed. */
class Handle {
  /** Whose descriptor it is: to another switch it means nothing. */
  readonly table: UpcallTable
  context: object | undefined

  constructor(table: UpcallTable, context: object) {
    this.table = table
    this.context = context
  }
}

/**
 * The upcall table of one switch. Completions find their way by the operation they end, so an upcall for a socket whose
 * descriptor the switch does not know yet is no trouble (RACE-8, WSD-CPL-4).
 */
export class UpcallTable implements Upcalls {
  #open = 0
  #onIdle: (() => void) | undefined

  /** Switch descriptors not closed yet. */
  get open(): number {
    return this.#open
  }

  /** Calls `onIdle` once no descriptor is open; at once, where none is. */
  whenIdle(onIdle: () => void): void {
    if (this.#open === 0) onIdle()
    else this.#onIdle = onIdle
  }

  createSocketHandle(context: object): Result<SwitchHandle> {
    this.#open += 1
    return success(new Handle(this, context) as unknown as SwitchHandle)
  }

  querySocketHandleContext(handle: SwitchHandle): Result<object> {
    const found = this.#own(handle)?.context
    return found === undefined ? failure(WSA.WSAENOTSOCK) : success(found)
  }

  completeOverlappedRequest(
    handle: SwitchHandle,
    overlapped: Overlapped,
    status: 0 | WsaCode,
    bytes: number,
  ): Status {
    // One that is pending has not ended: its end was announced before, and it has been posted again since.
    if (this.#own(handle)?.context === undefined || overlapped.pending) return WSA.WSAEINVAL
    overlapped.completed?.(status, bytes)
    return 0
  }

  closeSocketHandle(handle: SwitchHandle): Status {
    const found = this.#own(handle)
    if (found?.context === undefined) return WSA.WSAENOTSOCK
    found.context = undefined
    this.#open -= 1
    if (this.#open === 0) this.#onIdle?.()
    return 0
  }

  #own(handle: SwitchHandle): Handle | undefined {
    return handle instanceof Handle && handle.table === this ? handle : undefined
  }
}
