/**
 * `node --import sockswitch/register app.js`: puts the switch under every TCP connection of the process. The only module
 * that does something when it is imported.
 */
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'

try {
  const whole = processSwitch()
  if ('unavailable' in whole) warnUnavailable(whole.unavailable)
  else whole.install(true)
} catch (error) {
  // A wrong variable: one line for whoever set it, instead of a trace through our code.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
