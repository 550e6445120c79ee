import { Fifo } from '../../base/fifo.ts'
import type { SocketAddress } from '../../spi/index.ts'

/** What the face asks of the host's TCP/IP that Node cannot do; handed in by the composition root. */
export interface HostTcp {
  /** Keeps a TCP port on the local address from which a connect would leave; a negative errno on failure. */
  reserveTcpPort(
    address: string,
    port: number,
  ): { readonly fd: number; readonly address: string; readonly port: number } | number
  socketPair(): readonly [number, number] | number
  close(fd: number): number
}

/** A local TCP port that nobody else can have, and the descriptor that keeps it. */
export interface ReservedPort {
  readonly fd: number
  readonly local: SocketAddress
  /** The address it was reserved for; a connect to another one may leave from elsewhere. */
  readonly destination: string
}

/** Ports kept for the next connect to the same address: a short connection should not cost four system calls. */
const MAX_KEPT = 64
const KEEP_MS = 1000

/** Reserves local ports for connections that no TCP socket stands behind. */
export class ReservedPorts {
  readonly #host: HostTcp
  /** The port unused for longest first, so that a port rests as TCP's would. */
  readonly #kept = new Map<string, Fifo<ReservedPort>>()
  #count = 0
  #timer: NodeJS.Timeout | undefined

  constructor(host: HostTcp) {
    this.#host = host
  }

  take(destination: SocketAddress): ReservedPort | number {
    const kept = this.#count === 0 ? undefined : this.#kept.get(destination.address)?.shift()
    if (kept !== undefined) {
      this.#count -= 1
      return kept
    }
    const reserved = this.#host.reserveTcpPort(destination.address, destination.port)
    if (typeof reserved === 'number') return reserved
    const local = { family: destination.family, address: reserved.address, port: reserved.port }
    return { fd: reserved.fd, local, destination: destination.address }
  }

  close(port: ReservedPort): void {
    this.#host.close(port.fd)
  }

  /** Takes a port back, for the next connect to the same address. */
  give(port: ReservedPort): void {
    if (this.#count >= MAX_KEPT) {
      this.close(port)
      return
    }
    let kept = this.#kept.get(port.destination)
    if (kept === undefined) this.#kept.set(port.destination, (kept = new Fifo()))
    kept.push(port)
    this.#count += 1
    this.#timer ??= setTimeout(() => {
      this.clear()
    }, KEEP_MS).unref()
  }

  /** Closes the ports that wait for another use. */
  clear(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const kept of this.#kept.values()) {
      for (let port = kept.shift(); port !== undefined; port = kept.shift()) this.#host.close(port.fd)
    }
    this.#kept.clear()
    this.#count = 0
  }
}
