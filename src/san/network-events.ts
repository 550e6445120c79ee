import { FD_ACCEPT, FD_CONNECT, WSA } from '../spi/index.ts'
import type { EventObject, NetworkEvents, Status } from '../spi/index.ts'

/** What happened on a socket since the last enumeration, and whom to tell. */
export class EventRecord {
  #event: EventObject | null = null
  #mask = 0
  #occurred = 0
  #connectStatus: Status = 0

  /** EVENT-1. What has happened and was not enumerated is signalled at once (RACE-2). */
  select(event: EventObject | null, mask: number): Status {
    if ((mask & ~(FD_ACCEPT | FD_CONNECT)) !== 0) return WSA.WSAEINVAL
    if (mask !== 0 && event === null) return WSA.WSAEINVAL
    this.#event = event
    this.#mask = mask
    this.#tell()
    return 0
  }

  recordAccept(): void {
    this.#occurred |= FD_ACCEPT
    this.#tell()
  }

  recordConnect(status: Status): void {
    this.#occurred |= FD_CONNECT
    this.#connectStatus = status
    this.#tell()
  }

  /** A request left the queue: reset first, then look whether `more` are left (RACE-4). */
  acceptTaken(more: boolean): void {
    if ((this.#mask & FD_ACCEPT) !== 0) this.#event?.reset()
    if (more) this.recordAccept()
  }

  enumerate(event: EventObject | null): NetworkEvents {
    const mask = this.#occurred & this.#mask
    this.#occurred &= ~mask
    event?.reset()
    return { mask, connectStatus: this.#connectStatus }
  }

  #tell(): void {
    if ((this.#occurred & this.#mask) !== 0) this.#event?.set()
  }
}
