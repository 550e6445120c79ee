import type { AddressFamily, HostSocket, SocketOption, TcpipOwner } from '../../spi/index.ts'
import type { SwitchSocket } from '../../switch/socket.ts'
import type { Home } from './home.ts'

/** The two of them. */
export interface Lower {
  /** TCP/IP's, which has the application's address. */
  readonly host: HostSocket
  /** The switch's, which decides who carries it. */
  readonly socket: SwitchSocket
}

/**
 * What stands below an application's socket. TCP/IP makes it (WSD-SOCK-1), when it is first needed: a socket that gets its
 * connection from a listener never needs it.
 */
export class LowerSocket {
  readonly #home: Home
  readonly #family: AddressFamily
  readonly #owner: TcpipOwner
  #made: Lower | undefined

  constructor(home: Home, family: AddressFamily, owner: TcpipOwner) {
    this.#home = home
    this.#family = family
    this.#owner = owner
  }

  get made(): Lower | undefined {
    return this.#made
  }

  /** @param options What was set before there was anything to set it on, by who answers for it. */
  make(options: (handler: 'companion' | 'tcpip') => Iterable<readonly [SocketOption, number]>): Lower {
    if (this.#made !== undefined) return this.#made
    const host = this.#home.tcpip.socket(this.#family, this.#owner)
    const socket = this.#home.switch.socket(host)
    for (const [option, value] of options('tcpip')) host.setOption(option, value)
    for (const [option, value] of options('companion')) socket.record(option, value)
    this.#made = { host, socket }
    return this.#made
  }

  close(): void {
    if (this.#made === undefined) return
    const { host, socket } = this.#made
    this.#home.switch.untrack(socket)
    socket.close()
    host.close()
  }
}
