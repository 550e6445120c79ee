import type { Clock } from '../../base/clock.ts'
import type { TcpipProvider } from '../../spi/index.ts'
import type { Switch } from '../../switch/switch.ts'
import type { Dispatcher } from './dispatcher.ts'
import type { AddressTable } from './sharing.ts'
import type { Transports } from './transports.ts'

/** Keeps the process alive while a socket is open, as Node's own handles do. */
export interface Liveness {
  hold(): void
  release(): void
}

/** What the objects of one {@link file://./wsk.ts Wsk} share. */
export interface Kit {
  readonly switch: Switch
  readonly tcpip: TcpipProvider
  readonly dispatcher: Dispatcher
  readonly addresses: AddressTable
  readonly transports: Transports
  readonly clock: Clock
  readonly liveness: Liveness
  /** Connections that wait for somebody to take them, per listener; one more is reset (WSK §12 D-2). */
  readonly backlog: number
  /** Where a connection arrives over TCP/IP: judged once it stands, or not at all (WSK §12 D-11). */
  readonly conditionalAccept: 'emulated' | 'none'
  /** How long a request may be pended, in ms (WSK §12 D-17). */
  readonly inspectTimeoutMs: number
  /** What a client may hold of received bytes before its peer is held back, unless SO_RCVBUF says otherwise. */
  readonly receiveWindowBytes: number
}
