import { AF_UNSPEC, IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM } from './constants.ts'

/** @source WSK_TRANSPORT */
export interface WskTransport {
  readonly version: number
  readonly socketType: number
  readonly protocol: number
  /** `AF_UNSPEC`: both families. */
  readonly addressFamily: number
  readonly providerId: string
}

export const TCP_TRANSPORT: WskTransport = {
  version: 1,
  socketType: SOCK_STREAM,
  protocol: IPPROTO_TCP,
  addressFamily: AF_UNSPEC,
  providerId: 'sockswitch',
}

export const UDP_TRANSPORT: WskTransport = {
  version: 1,
  socketType: SOCK_DGRAM,
  protocol: IPPROTO_UDP,
  addressFamily: AF_UNSPEC,
  providerId: 'dgram',
}

/** The combinations of family, type and protocol that WskSocket takes now (WSK-XPORT-1 to -3, WSK-SOCK-2). */
export class Transports {
  readonly #rows = new Set<WskTransport>([TCP_TRANSPORT, UDP_TRANSPORT])
  readonly #watchers = new Set<(removed: WskTransport | undefined) => void>()

  get list(): readonly WskTransport[] {
    return [...this.#rows]
  }

  /** The transport for a socket, if there is one. */
  find(family: number, socketType: number, protocol: number): WskTransport | undefined {
    return this.list.find(
      (row) =>
        row.socketType === socketType &&
        row.protocol === protocol &&
        (row.addressFamily === AF_UNSPEC || row.addressFamily === family),
    )
  }

  add(transport: WskTransport): void {
    this.#rows.add(transport)
    this.#tell(undefined)
  }

  /** Takes a transport away: its sockets are closed by force (WSK §8 rule 10). */
  remove(transport: WskTransport): void {
    if (this.#rows.delete(transport)) this.#tell(transport)
  }

  /** Hears of every change until the answered function is called. */
  watch(watcher: (removed: WskTransport | undefined) => void): () => void {
    this.#watchers.add(watcher)
    return () => {
      this.#watchers.delete(watcher)
    }
  }

  #tell(removed: WskTransport | undefined): void {
    for (const watcher of [...this.#watchers]) watcher(removed)
  }
}
