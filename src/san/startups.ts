import { SPI_VERSION, WSA, failure } from '../spi/index.ts'
import type { Result, SocketRequest, StartupRequest, Status, Upcalls } from '../spi/index.ts'
import type { Carrier } from './carrier.ts'
import { CarriedSocket } from './socket.ts'

const FAMILIES: readonly string[] = ['IPv4', 'IPv6']

/** The start-ups of a provider, and the sockets it has made. */
export class Startups {
  readonly #sockets = new Set<CarriedSocket>()
  #upcalls: Upcalls | undefined
  #count = 0

  /** @throws before the first start-up. */
  get upcalls(): Upcalls {
    if (this.#upcalls === undefined) throw new Error('Cannot make an upcall: the provider was not started')
    return this.#upcalls
  }

  get isStarted(): boolean {
    return this.#count > 0
  }

  /** PROVIDER-1, PROVIDER-2. @param start Called where nothing is started; what it answers is the answer. */
  begin({ version, upcalls }: StartupRequest, start: () => Status = nothing): Status {
    if (version.major !== SPI_VERSION.major) return WSA.WSAVERNOTSUPPORTED
    if (this.#count === 0) {
      const status = start()
      if (status !== 0) return status
      this.#upcalls = upcalls
    }
    this.#count += 1
    return 0
  }

  /** PROVIDER-3, PROVIDER-4. @param stop Called after the last one, when the sockets are closed. */
  end(stop: () => void = nothing): Status {
    if (this.#count === 0) return WSA.WSANOTINITIALISED
    this.#count -= 1
    if (this.#count > 0) return 0
    for (const socket of [...this.#sockets]) socket.close()
    stop()
    return 0
  }

  /** Makes a new socket: PROVIDER-5, SOCKET-1. What to do with `duplicate` is the caller's business. */
  socket(carrier: Carrier, { family }: SocketRequest): Result<CarriedSocket> {
    if (this.#count === 0) return failure(WSA.WSANOTINITIALISED)
    return FAMILIES.includes(family) ? CarriedSocket.open(carrier, family) : failure(WSA.WSAEAFNOSUPPORT)
  }

  /** The socket exists, and is closed with the last clean-up unless it is {@link remove}d first. */
  add(socket: CarriedSocket): void {
    this.#sockets.add(socket)
  }

  remove(socket: CarriedSocket): void {
    this.#sockets.delete(socket)
  }
}

function nothing(): 0 {
  return 0
}
