import { Fifo } from '../../base/fifo.ts'
import type { Request } from './request.ts'
import { STATUS } from './status.ts'

/**
 * Requests in line for something that may be long in coming. One that is cancelled is over at once, and soon forgotten: a
 * client that waits a while, gives up and asks again leaves behind no more than it still waits for.
 */
export class Waiting<T extends { readonly request: Request }> extends Fifo<T> {
  readonly #stays: (item: T) => boolean
  #cancelled = 0

  /** @param stays True of what keeps its place though it was cancelled. */
  constructor(stays: (item: T) => boolean = () => false) {
    super()
    this.#stays = stays
  }

  override push(item: T): void {
    const { request } = item
    request.onCancel ??= () => {
      request.complete(STATUS.STATUS_CANCELLED)
      this.#cancelled += 1
      if (this.#cancelled * 2 > this.length) this.#forget()
    }
    super.push(item)
  }

  #forget(): void {
    this.#cancelled = 0
    this.keep((item) => !item.request.over || this.#stays(item))
  }
}
