import { WSA, failure, success } from '../../spi/index.ts'
import type { AddressFamily, Result, Status } from '../../spi/index.ts'
import { systemClock } from '../../base/clock.ts'
import type { ConnectionReport, Face, ListenerReport } from '../../switch/face.ts'
import { Completion } from './completion.ts'
import { AF_INET, AF_INET6, IPPROTO_TCP, SOCK_STREAM, WINSOCK_VERSION } from './constants.ts'
import type { Home, WinsockOptions } from './home.ts'
import { WinsockSocket } from './socket.ts'

export interface Version {
  readonly major: number
  readonly minor: number
}

/** What startup answers. */
export interface WsaData {
  /** The version that is spoken: what was asked for, or less. */
  readonly version: Version
  readonly highVersion: Version
  readonly description: string
}

/** Winsock over a switch: TCP/IP, and every SAN provider the switch has. Several may live in one process. */
export class Winsock implements Face {
  readonly #home: Home
  readonly #onCleanup: (() => void) | undefined
  readonly #sockets = new Set<WinsockSocket>()
  readonly #held = new Set<WinsockSocket>()
  #starts = 0

  constructor(options: WinsockOptions) {
    const schedule = options.schedule ?? ((job) => setImmediate(job))
    const { liveness } = options
    this.#onCleanup = options.onCleanup
    this.#home = {
      switch: options.switch,
      tcpip: options.tcpip,
      clock: options.clock ?? systemClock,
      schedule,
      completion: new Completion(schedule),
      newSocket: (family) => this.#newSocket(family),
      hold: (socket) => {
        if (this.#held.has(socket)) return
        this.#held.add(socket)
        liveness?.hold()
      },
      forget: (socket) => {
        if (socket.state === 'closed') this.#sockets.delete(socket)
        if (this.#held.delete(socket)) liveness?.release()
      },
    }
  }

  /**
   * Begins to use Winsock; each call wants its own {@link cleanup}.
   *
   * Fails with `WSAVERNOTSUPPORTED` for a version before 1.0. @source WSAStartup; WSD-START-15
   */
  startup(wanted: Version = WINSOCK_VERSION): Result<WsaData> {
    if (wanted.major < 1) return failure(WSA.WSAVERNOTSUPPORTED)
    this.#starts += 1
    const isLess =
      wanted.major < WINSOCK_VERSION.major ||
      (wanted.major === WINSOCK_VERSION.major && wanted.minor < WINSOCK_VERSION.minor)
    const version = isLess ? wanted : WINSOCK_VERSION
    return success({ version, highVersion: WINSOCK_VERSION, description: 'sockswitch' })
  }

  /** The last one closes every socket; what is pending ends with `WSA_OPERATION_ABORTED`. @source WSACleanup; WSD-CLEAN-1, -4 */
  cleanup(): Status {
    if (this.#starts === 0) return WSA.WSANOTINITIALISED
    this.#starts -= 1
    if (this.#starts > 0) return 0
    for (const socket of [...this.#sockets]) socket.abort(false)
    this.#onCleanup?.()
    return 0
  }

  /**
   * A new socket. Only streams: raw and datagram sockets have nothing to do with the switch (WSD-ROUTE-1).
   *
   * Fails with `WSANOTINITIALISED`, `WSAEAFNOSUPPORT`, `WSAEPROTONOSUPPORT`. @source WSASocket
   */
  socket(
    af: number = AF_INET,
    type: number = SOCK_STREAM,
    protocol: number = IPPROTO_TCP,
  ): Result<WinsockSocket> {
    if (this.#starts === 0) return failure(WSA.WSANOTINITIALISED)
    if (af !== AF_INET && af !== AF_INET6) return failure(WSA.WSAEAFNOSUPPORT)
    if (type !== SOCK_STREAM || (protocol !== IPPROTO_TCP && protocol !== 0))
      return failure(WSA.WSAEPROTONOSUPPORT)
    return success(this.#newSocket(af === AF_INET ? 'IPv4' : 'IPv6'))
  }

  // --- in the eyes of the process -----------------------------------------------------------------------------------

  /** @internal */
  listeners(): ListenerReport[] {
    return [...this.#sockets].flatMap(({ listenerReport }) => listenerReport ?? [])
  }
  /** @internal */
  connections(): ConnectionReport[] {
    return [...this.#sockets].flatMap(({ connectionReport }) => connectionReport ?? [])
  }
  /** @internal */
  farewell(): void {
    for (const socket of this.#sockets) socket.farewell()
  }

  #newSocket(family: AddressFamily): WinsockSocket {
    const socket = new WinsockSocket(this.#home, family)
    this.#sockets.add(socket)
    return socket
  }
}
