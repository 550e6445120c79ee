/**
 * `sockswitch/wsk`: the Winsock Kernel programming model over the switch. {@link wsk} is the subsystem of this process, made at
 * first use; {@link createWsk} makes one of your own parts.
 */
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'
import { createWsk } from './faces/wsk/index.ts'
import type { Wsk } from './faces/wsk/index.ts'
import { tcpip } from './providers/tcpip/index.ts'
import { createSwitch } from './switch/switch.ts'

export * from './faces/wsk/index.ts'

let made: Wsk | undefined

/** The WSK subsystem of this event loop, over the same switch as everything else in it. */
export function wsk(): Wsk {
  return (made ??= make())
}

function make(): Wsk {
  const whole = processSwitch()
  if ('unavailable' in whole) {
    warnUnavailable(whole.unavailable)
    return createWsk({ switch: createSwitch({ san: [] }), tcpip: tcpip() })
  }
  // Counters, `sockswitch ls` and an orderly end; no socket of node:net is touched.
  whole.install(false)
  const { switch: theSwitch, shm, liveness } = whole
  const subsystem = createWsk({ switch: theSwitch, tcpip: tcpip(), schedule: shm.schedule, liveness })
  whole.others.add(subsystem)
  return subsystem
}
