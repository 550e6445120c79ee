import { WSA } from './errors.ts'
import type { Status, WsaCode } from './errors.ts'

/**
 * One asynchronous operation. The caller makes it, hands it to one call, and may reuse it once it has completed.
 *
 * @source WSAOVERLAPPED; bit 0 of its `hEvent` is {@link silent} here (WSD-CPL-1, WSD-CPL-2)
 */
export class Overlapped {
  /** True: the provider must not announce the completion; the caller polls with `getOverlappedResult`. */
  readonly silent: boolean
  /** `WSA_IO_PENDING` from the start of the operation until its completion, then how it ended. Set by the provider. */
  status: Status = 0
  /** Bytes moved, valid once `status` is no longer pending; 0 for an aborted operation. Set by the provider. */
  bytes = 0

  /** For the switch: what to do with the announced completion. */
  readonly completed: ((status: Status, bytes: number) => void) | undefined

  constructor(options: { silent?: boolean; completed?: (status: Status, bytes: number) => void } = {}) {
    this.silent = options.silent ?? false
    this.completed = options.completed
  }

  get pending(): boolean {
    return this.status === WSA.WSA_IO_PENDING
  }

  /** For providers: the operation starts. */
  begin(): void {
    this.bytes = 0
    this.status = WSA.WSA_IO_PENDING
  }

  /** For providers: the operation is over. Bytes first, then the status that makes them valid (RACE-22). */
  end(status: 0 | WsaCode, bytes: number): void {
    this.bytes = bytes
    this.status = status
  }
}
