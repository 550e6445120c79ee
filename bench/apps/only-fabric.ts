/**
 * Loaded before a program (`--import`): its connections go over the fabric alone, to this very host, too. For benches in a
 * machine that has but one RDMA device; shared memory would come first there.
 */
import { Liveness } from '../../src/base/liveness.ts'
import { readConfig, PROFILES } from '../../src/compose/config.ts'
import { composeFabric } from '../../src/compose/fabric.ts'
import { faceOver } from '../../src/compose/process-switch.ts'
import { loadShm } from '../../src/native/load.ts'
import { shm } from '../../src/providers/shm/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'

const { fabric: config, profile } = readConfig(process.env)
const { spinMicroseconds } = PROFILES[profile]
const loaded = loadShm()
if ('reason' in loaded) throw new Error(`Cannot bench the fabric: ${loaded.reason}`)
// Its turns drive the loop; it carries nothing.
const provider = shm({ native: loaded.native, spinMicroseconds })
const unavailable: (reason: string) => never = (reason) => {
  throw new Error(`Cannot bench the fabric: ${reason}`)
}
const fabric = composeFabric(config, provider.turns, unavailable, spinMicroseconds)
if (fabric === undefined) unavailable('SOCKSWITCH_FABRIC asks for none')
else if ('reason' in fabric) unavailable(fabric.reason)
const liveness = new Liveness((on) => {
  provider.keepAlive(on)
})
faceOver(
  createSwitch({ san: [fabric], schedule: provider.schedule }),
  provider,
  liveness,
  () => true,
).install()
