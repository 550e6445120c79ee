import type { TcpipArrival } from '../../spi/index.ts'
import { ConnectingSocket } from './connecting-socket.ts'
import type { Arrived } from './connection.ts'
import { connectionDispatch } from './dispatch-tables.ts'
import type { WskClientConnectionDispatch } from './dispatch.ts'
import { Irp } from './irp.ts'
import { Machine } from '../../base/machine.ts'
import type { SocketCore, SocketParts } from './socket.ts'
import { CONNECTION } from './socket-states.ts'

/** Whose callbacks a connection's are, and what they are called with; a WskAcceptEvent says it while it runs. */
export interface ConnectionClient {
  readonly context: unknown
  readonly callbacks: WskClientConnectionDispatch | null
}

/** A connection-oriented socket: one that connects, or one that was accepted. */
export class ConnectionSocket extends ConnectingSocket {
  readonly category = 'connection'
  readonly dispatch = connectionDispatch
  protected readonly machine: Machine<typeof CONNECTION>
  readonly #client: ConnectionClient

  constructor(parts: SocketParts, client: ConnectionClient, start: 'created' | 'connected' = 'created') {
    super(parts)
    this.machine = new Machine(CONNECTION, start)
    this.#client = client
  }

  /** The socket of a connection that `listener` has accepted (WSK-OBJ-4, -6, -7). @param events what it inherits */
  static accepted(
    listener: SocketCore,
    arrived: Arrived,
    client: ConnectionClient,
    events: number,
  ): ConnectionSocket {
    const socket = new ConnectionSocket({ ...listener.parts, context: undefined }, client, 'connected')
    socket.inherit(listener)
    socket.adopt(arrived, events)
    return socket
  }

  /** The client knows of it. */
  open(): void {
    if (this.state === 'connected') this.connection?.open()
  }

  /** The client does not want it (WSK-ACCEPT-9). */
  abandon(): void {
    this.close(new Irp())
  }

  protected get connectionCallbacks(): WskClientConnectionDispatch | null {
    return this.#client.callbacks
  }
  protected get connectionContext(): unknown {
    return this.#client.context
  }
  protected tcpArrived({ stream }: TcpipArrival): void {
    // It never listens.
    stream.reset()
  }
}
