/**
 * `node --import sockswitch/register app.js`: puts the switch under every TCP connection of the process. The only module
 * that does something when it is imported.
 */
import { processSwitch, warnUnavailable } from './compose/process-switch.ts'

const whole = processSwitch()
if ('unavailable' in whole) warnUnavailable(whole.unavailable)
else whole.install(true)
