// The server of one scenario, in a process of its own: says where it listens, then what it saw.
import { program } from './pair.ts'
import { SCENARIOS } from './scenarios.ts'
import { shmProvider } from '../support/shm-provider.ts'

const scenario = SCENARIOS[process.argv[2] ?? '']
if (scenario === undefined || process.send === undefined) throw new Error('Cannot run: no such scenario')
const provider = shmProvider()
const { winsock } = program(provider, { schedule: provider.schedule })
provider.keepAlive(true)
const saw = await scenario.server({ winsock, carrier: 'shm' }, (address) => process.send?.({ address }))
process.send({ saw: saw ?? null }, () => {
  process.exit()
})
