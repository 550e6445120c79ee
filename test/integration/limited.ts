/**
 * The actor, or the carrier if its second argument says so, in a process whose shared-memory provider has the limits that its
 * first argument says, as JSON; and with more patience than programs have, so that a busy machine does not decide what a test sees.
 */
import { Liveness } from '../../src/base/liveness.ts'
import { faceOver } from '../../src/compose/process-switch.ts'
import { loadShm } from '../../src/native/load.ts'
import { shm } from '../../src/providers/shm/index.ts'
import type { ShmLimits } from '../../src/providers/shm/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'

const PATIENCE_MS = 10_000

const loaded = loadShm()
if ('reason' in loaded) throw new Error(loaded.reason)
const { native } = loaded
const [said = '{}', program] = process.argv.splice(2, 2)
const limits = JSON.parse(said) as Partial<ShmLimits>
const provider = shm({ native, limits: { handshakeMs: PATIENCE_MS, ...limits } })
const theSwitch = createSwitch({
  san: [provider],
  schedule: provider.schedule,
  connectTimeoutMs: PATIENCE_MS,
  negotiationTimeoutMs: PATIENCE_MS,
})
const liveness = new Liveness((on) => {
  provider.keepAlive(on)
})
const face = faceOver(theSwitch, provider, liveness, () => true)
face.install()
Object.assign(globalThis, {
  [Symbol.for('sockswitch.process.1')]: { switch: theSwitch, face, shm: provider },
})
await (program === 'carrier' ? import('./carrier.ts') : import('./actor.ts'))
