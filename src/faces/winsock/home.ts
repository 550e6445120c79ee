import type { AddressFamily, TcpipProvider } from '../../spi/index.ts'
import type { Clock } from '../../base/clock.ts'
import type { Liveness } from '../../base/liveness.ts'
import type { Schedule } from '../../switch/network-event.ts'
import type { Switch } from '../../switch/switch.ts'
import type { Completion } from './completion.ts'
import type { WinsockSocket } from './socket.ts'

/** What a Winsock stands on. */
export interface WinsockOptions {
  readonly switch: Switch
  readonly tcpip: TcpipProvider
  readonly clock?: Clock
  /** Runs a job soon, in a turn of its own; the switch's own schedule, so that events keep their order. */
  readonly schedule?: Schedule
  /** Keeps the process alive while connections are open. */
  readonly liveness?: Liveness
  /** Called by the last cleanup; ends the switch where it is this Winsock's own (WSD-CLEAN-1). */
  readonly onCleanup?: () => void
}

/** What a socket needs of the Winsock that made it. */
export interface Home {
  readonly switch: Switch
  readonly tcpip: TcpipProvider
  readonly clock: Clock
  readonly schedule: Schedule
  readonly completion: Completion
  newSocket(family: AddressFamily): WinsockSocket
  forget(socket: WinsockSocket): void
  /** A connection of `socket`'s is open, or not any more. */
  hold(socket: WinsockSocket): void
}
