/**
 * `sockswitch/winsock`: stream sockets with the calls of Winsock, over the switch. {@link winsock} is the Winsock of this
 * process, made at first use; `new Winsock({ switch, tcpip })` makes one over a switch of your own.
 */
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'
import { Winsock } from './faces/winsock/index.ts'
import { tcpip } from './providers/tcpip/index.ts'
import { createSwitch } from './switch/switch.ts'

export * from './faces/winsock/index.ts'
export { Overlapped, SockswitchError, WSA, wsaName } from './spi/index.ts'
export type { EventObject, Result, SocketAddress, Status, WsaCode, WsaName } from './spi/index.ts'

let made: Winsock | undefined

/** The Winsock of this event loop, over the same switch as everything else in it. */
export function winsock(): Winsock {
  return (made ??= make())
}

function make(): Winsock {
  const whole = processSwitch()
  if ('unavailable' in whole) {
    warnUnavailable(whole.unavailable)
    return new Winsock({ switch: createSwitch({ san: [] }), tcpip: tcpip() })
  }
  // Counters, `sockswitch ls` and an orderly end; no socket of node:net is touched.
  whole.install(false)
  const { switch: theSwitch, shm, liveness } = whole
  const subsystem = new Winsock({ switch: theSwitch, tcpip: tcpip(), schedule: shm.schedule, liveness })
  whole.others.add(subsystem)
  return subsystem
}
