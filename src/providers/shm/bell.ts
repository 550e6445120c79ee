import type { ShmNative } from '../../native/shm.ts'
import * as layout from './layout.ts'

/** The doorbell of a peer, and its status page, which says whether it sleeps; docs/doorbell-protocol.md. */
export class Bell {
  readonly #native: ShmNative
  readonly #doorbell: number
  readonly #status: Int32Array<ArrayBuffer>
  #rungEpoch = 0

  /** @param doorbell Ours from here on, as is the mapping behind `status`. */
  constructor(native: ShmNative, doorbell: number, status: Int32Array<ArrayBuffer>) {
    this.#native = native
    this.#doorbell = doorbell
    this.#status = status
  }

  /** Wakes the peer, if it sleeps and was not woken since. */
  ring(): void {
    if (Atomics.load(this.#status, layout.STATUS_SLEEPING) === 0) return
    const epoch = Atomics.load(this.#status, layout.STATUS_EPOCH)
    if (epoch === this.#rungEpoch) return
    this.#rungEpoch = epoch
    this.#native.ring(this.#doorbell)
  }

  release(): void {
    this.#native.unmap(this.#status.buffer)
    this.#native.close(this.#doorbell)
  }
}
