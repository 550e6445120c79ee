import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import type { SanProvider, SocketAddress } from '../../src/spi/index.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { cleanUp, program } from './pair.ts'
import { SCENARIOS } from './scenarios.ts'
import type { Side } from './scenarios.ts'

const SIDE = fileURLToPath(new URL('side.js', import.meta.url))

/** One provider for all tests of this process, as in a program. */
const provider = shmProvider()
const overShm = program(provider, { schedule: provider.schedule })
provider.keepAlive(true)

after(() => {
  cleanUp()
  provider.keepAlive(false)
})

/** Appendix D of the specification, as far as an application can see it; the rest is in test/switch and conformance. */
describe('scenarios of appendix D', { timeout: 60_000 }, () => {
  for (const [name, { server, client, expected }] of Object.entries(SCENARIOS)) {
    const here = async (side: Side): Promise<void> => {
      let told: (address: SocketAddress) => void = () => undefined
      const address = new Promise<SocketAddress>((resolve) => {
        told = resolve
      })
      const seen = await Promise.all([server(side, told), address.then(async (to) => client(side, to))])
      assert.deepEqual(seen, expected)
    }

    test(`${name} (loopback)`, async () => {
      const san: SanProvider = loopback()
      await here({ winsock: program(san).winsock, carrier: 'loopback' })
    })

    test(`${name} (shm, one process)`, async () => {
      await here({ winsock: overShm.winsock, carrier: 'shm' })
    })

    test(`${name} (shm, two processes)`, async () => {
      const child = fork(SIDE, [name])
      const exit = once(child, 'exit')
      const [{ address }] = (await once(child, 'message')) as [{ address: SocketAddress }]
      const saw = once(child, 'message') as Promise<[{ saw: unknown }]>
      const seen = await client({ winsock: overShm.winsock, carrier: 'shm' }, address)
      assert.deepEqual([(await saw)[0].saw, seen], [expected[0] ?? null, expected[1]])
      assert.deepEqual(await exit, [0, null])
    })
  }
})
