import { WSA } from '../../spi/index.ts'
import type { Overlapped, SocketAddress, Status, Stream, WsaCode } from '../../spi/index.ts'
import type { Schedule } from '../../switch/network-event.ts'
import { destinationOf } from '../../switch/addresses.ts'
import type { Reason } from '../../switch/reasons.ts'
import type { SwitchSocket } from '../../switch/socket.ts'
import type { Carried } from '../../switch/face.ts'

/** What the application has asked for. */
export interface ConnectRequest {
  readonly remote: SocketAddress
  /** To be sent first; the operation ends when all of it was taken. */
  readonly data: readonly Uint8Array[]
  readonly overlapped: Overlapped | undefined
}

/** How it ended. */
export type AttemptEnd =
  | { readonly status: 0; readonly connection: Carried }
  | { readonly status: WsaCode; readonly connection?: undefined }

/** A connect of an application's. Its end is told once, never from inside {@link start}. */
export class Attempt {
  readonly request: ConnectRequest
  readonly #ended: (end: AttemptEnd) => void
  /** Why TCP/IP connects. */
  #reason: Reason | undefined
  #over = false

  constructor(request: ConnectRequest, ended: (end: AttemptEnd) => void) {
    this.request = request
    this.#ended = ended
  }

  start(socket: SwitchSocket, schedule: Schedule): void {
    const { remote } = this.request
    socket.connect(destinationOf(remote), (outcome) => {
      if (outcome.kind === 'san') {
        const { session, local, provider } = outcome
        this.#end({ status: 0, connection: { stream: session, local, remote, direction: 'out', provider } })
      } else if (outcome.kind === 'failed') {
        this.fail(outcome.code)
      } else if (outcome.status === 0) {
        this.#reason = outcome.reason
      } else {
        // From inside the call: told in a turn of its own.
        const { status } = outcome
        schedule(() => {
          this.fail(status)
        })
      }
    })
  }

  /** TCP/IP's connect has ended. */
  overTcpip(status: Status, stream: Stream | undefined, local: SocketAddress): void {
    if (status !== 0 || stream === undefined) this.fail(status === 0 ? WSA.WSAECONNABORTED : status)
    else if (this.#over) stream.reset()
    else {
      const parts = {
        direction: 'out',
        provider: 'tcpip',
        ...(this.#reason && { reason: this.#reason }),
      } as const
      this.#end({ status: 0, connection: { stream, local, remote: this.request.remote, ...parts } })
    }
  }

  /** It has failed, or is given up: what comes of it later is nobody's. */
  fail(status: WsaCode): void {
    this.#end({ status })
  }

  /** Nobody is told any more. */
  drop(): void {
    this.#over = true
  }

  #end(end: AttemptEnd): void {
    if (this.#over) return
    this.#over = true
    this.#ended(end)
  }
}
