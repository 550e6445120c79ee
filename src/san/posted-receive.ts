import { WSA } from '../spi/index.ts'
import type { Overlapped, Status, WsaCode } from '../spi/index.ts'

/** The receive of one connection, and what there is to tell: signals, then the end (RECV-1 to -3, SIGNAL-1). */
export class PostedReceive {
  #posted: Overlapped | null = null
  #signalled = false
  /** What a receive ends with once there are no signals left; 0 while the connection stands. */
  #end: Status = 0
  #endReported = false

  /** `WSA_IO_PENDING`: the caller tells once {@link finish} answers it. */
  post(overlapped: Overlapped): WsaCode {
    if (this.#endReported) return WSA.WSAECONNRESET
    if (this.#posted !== null) return WSA.WSAEALREADY
    overlapped.begin()
    this.#posted = overlapped
    return WSA.WSA_IO_PENDING
  }

  isPosted(overlapped: Overlapped): boolean {
    return this.#posted === overlapped
  }

  /** {@link finish} has something to answer, when a receive is posted. */
  get hasNews(): boolean {
    return this.#signalled || this.#end !== 0
  }

  signal(): void {
    this.#signalled = true
  }

  end(code: WsaCode): void {
    this.#end = code
  }

  /** Ends the posted receive if there is something to tell; answers it then. */
  finish(): Overlapped | null {
    const posted = this.#posted
    if (posted === null || !this.hasNews) return null
    this.#posted = null
    if (this.#signalled) {
      this.#signalled = false
      posted.end(0, 0)
    } else {
      this.#endReported = true
      posted.end(this.#end, 0)
    }
    return posted
  }

  /** CLOSE-1: ends the posted receive unfinished; answers it. */
  abort(): Overlapped | null {
    const posted = this.#posted
    this.#posted = null
    posted?.end(WSA.WSA_OPERATION_ABORTED, 0)
    return posted
  }
}
