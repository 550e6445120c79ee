import { WSA } from '../../spi/index.ts'
import type { EventObject, Status } from '../../spi/index.ts'
import { FD_ALL_EVENTS } from './constants.ts'

/** What happened on an application's socket since the last enumeration. */
export interface SocketEvents {
  /** Sum of the `FD_…` bits that occurred. */
  readonly mask: number
  /** How each of them went, by its bit; 0 for success. */
  readonly errors: Readonly<Record<number, Status>>
}

/**
 * Keeps what happened and whom to tell. An event is told once; the call that answers to it arms it again, and tells at once
 * where its condition still holds.
 *
 * @source WSAEventSelect, WSAEnumNetworkEvents
 */
export class SocketEventRecord {
  #event: EventObject | null = null
  #mask = 0
  #armed = FD_ALL_EVENTS
  #occurred = 0
  #errors: Record<number, Status> = {}

  /** Chooses anew; what was recorded is forgotten, and every event armed. The caller tells what holds now. */
  select(event: EventObject | null, mask: number): Status {
    if ((mask & ~FD_ALL_EVENTS) !== 0 || (mask !== 0 && event === null)) return WSA.WSAEINVAL
    this.#event = event
    this.#mask = mask
    this.#armed = FD_ALL_EVENTS
    this.#occurred = 0
    this.#errors = {}
    return 0
  }

  get isSelected(): boolean {
    return this.#mask !== 0
  }

  record(bit: number, status: Status = 0): void {
    if ((this.#mask & this.#armed & bit) === 0) return
    this.#armed &= ~bit
    this.#occurred |= bit
    this.#errors[bit] = status
    this.#event?.set()
  }

  arm(bit: number): void {
    this.#armed |= bit
  }

  enumerate(event: EventObject | null): SocketEvents {
    const found = { mask: this.#occurred, errors: this.#errors }
    this.#occurred = 0
    this.#errors = {}
    event?.reset()
    return found
  }
}
