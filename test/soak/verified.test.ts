/** Many connections at once, in uneven pieces, with pauses and half-closes, every byte verified at both ends. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { beside, startApp } from '../support/app.ts'
import { chosenSeed, numberFromEnv } from '../support/random.ts'
import { within } from '../support/waiting.ts'

const CONNECTIONS = 50
const BYTES_EACH_WAY = numberFromEnv('SOCKSWITCH_SOAK_BYTES', 32 << 20)
/** Generous: as if a connection carried five megabytes a second, all together. */
const LIMIT_MS = 60_000 + (2 * BYTES_EACH_WAY) / 5000

async function soak(test: TestContext, switched: boolean): Promise<void> {
  const seed = chosenSeed()
  test.diagnostic(`repeat with SOCKSWITCH_SEED=${seed} SOCKSWITCH_SOAK_BYTES=${BYTES_EACH_WAY}`)
  const numbers = [seed, CONNECTIONS, BYTES_EACH_WAY].map(String)
  const script = beside(import.meta.url, 'verified')
  const { app: server, ready } = await startApp(script, { switched, args: ['server', ...numbers], test })
  const clientArgs = ['client', ...numbers, String(ready['port'])]
  const { app: client } = await startApp(script, { switched, args: clientArgs, test })
  const said = client.next()
  said.catch(() => undefined) // when it ends without a word, its exit below says more
  const stderr = (): string => `${server.stderr}${client.stderr}`
  const both = Promise.all([server.exited, client.exited])
  const exits = await within(both, LIMIT_MS, () => `the soak with seed ${seed}\n${stderr()}`)
  for (const exit of exits) assert.deepEqual(exit, { code: 0, signal: null }, stderr())
  const done = await said
  assert.equal(done['done'], true)
  assert.equal(done['connections'], CONNECTIONS)
  assert.equal(done['bytes'], 2 * BYTES_EACH_WAY)
  const ms = done['ms'] as number
  test.diagnostic(`${2 * BYTES_EACH_WAY} bytes verified in ${ms} ms, ${switched ? 'switched' : 'stock'}`)
  if (switched) {
    const connects = client.reports().reduce((all, { san }) => all + san.connect, 0)
    // On a busy machine a few may find no answer in time and stay on TCP/IP; they are verified all the same.
    assert.ok(connects >= CONNECTIONS / 2, JSON.stringify(client.reports()))
  }
}

test('switched connections carry every byte', { timeout: LIMIT_MS + 5000 }, (t) => soak(t, true))

test(
  'stock connections carry every byte, so that the soak itself is known to be sound',
  { timeout: LIMIT_MS + 5000 },
  (t) => soak(t, false),
)
