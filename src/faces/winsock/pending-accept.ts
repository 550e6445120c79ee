import { Overlapped } from '../../spi/index.ts'
import type { Status, WsaCode } from '../../spi/index.ts'
import type { Carried } from '../../switch/face.ts'
import type { WinsockCondition } from './accepting.ts'
import type { Completion } from './completion.ts'
import type { Receiving } from './receiving.ts'

/** The new socket that is to have the connection. */
export interface AcceptTarget {
  adopt(incoming: Carried): { readonly receiving: Receiving }
  /** It gets none; one that it has is closed, abruptly (WSD-ACCEPT-24). */
  release(): void
}

/** What an AcceptEx brought. */
export interface AcceptRequest {
  readonly condition: WinsockCondition | undefined
  readonly overlapped: Overlapped
  /** For the first data; undefined: the accept ends with the connection. */
  readonly buffers: readonly Uint8Array[] | undefined
}

/** An accept that waits: for a connection, and where it brought a buffer for the first data as well (WSD-ACCEPT-23). */
export class PendingAccept {
  readonly request: AcceptRequest
  readonly #target: AcceptTarget
  readonly #completion: Completion
  #first: { readonly receiving: Receiving; readonly overlapped: Overlapped } | undefined

  constructor(request: AcceptRequest, target: AcceptTarget, completion: Completion) {
    this.request = request
    this.#target = target
    this.#completion = completion
    request.overlapped.begin()
  }

  /** @param over Told, where there are first data to wait for, once nobody waits for them any more. */
  deliver(incoming: Carried, over: () => void): void {
    const { receiving } = this.#target.adopt(incoming)
    const { buffers, overlapped } = this.request
    if (buffers === undefined) {
      over()
      this.#completion.end(overlapped, 0, 0)
      return
    }
    const first = new FirstData((status, bytes) => {
      over()
      this.#completion.end(overlapped, status, bytes)
    })
    this.#first = { receiving, overlapped: first }
    receiving.receive(buffers, 0, first)
  }

  /** It ends without a connection. */
  fail(status: WsaCode): void {
    this.#target.release()
    this.#completion.end(this.request.overlapped, status, 0)
  }

  /** Takes it back while it waits for the first data; false when they have come. */
  withdraw(): boolean {
    if (this.#first?.receiving.cancel(this.#first.overlapped) !== true) return false
    this.#target.release()
    return true
  }
}

/** The receive of the first data: its end is the accept's. */
class FirstData extends Overlapped {
  readonly #ended: (status: Status, bytes: number) => void

  constructor(ended: (status: Status, bytes: number) => void) {
    super({ silent: true })
    this.#ended = ended
  }

  override end(status: 0 | WsaCode, bytes: number): void {
    super.end(status, bytes)
    this.#ended(status, bytes)
  }
}
