/** Limits of the shared-memory provider, as a program meets them: what is too much goes over TCP/IP, with the reason. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ShmLimits } from '../../src/providers/shm/index.ts'
import { beside } from '../support/app.ts'
import { Program } from './program.ts'

const TIMEOUT_MS = 60_000
const LIMITED = beside(import.meta.url, 'limited')

async function limited(t: TestContext, limits: Partial<ShmLimits> = {}): Promise<Program> {
  const program = new Program(LIMITED, { execArgv: [], args: [JSON.stringify(limits)], test: t })
  await program.event('ready')
  return program
}

async function wayTo(client: Program, key: string, server: Program): Promise<unknown> {
  return await wayToPort(client, key, (await server.ask('listen'))['port'])
}

async function wayToPort(client: Program, key: string, port: unknown): Promise<unknown> {
  const { way } = await client.connect(key, port)
  assert.equal((await client.ask('echo', { key, bytes: 50_000 }))['error'], undefined)
  return way
}

test(
  'maxConnections of the client: one more goes over TCP/IP, and one less may follow',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const client = await limited(t, { maxConnections: 2 })
    const server = await limited(t)
    const ways = [
      await wayTo(client, 'a', server),
      await wayTo(client, 'b', server),
      await wayTo(client, 'c', server),
    ]
    assert.deepEqual(ways, ['san', 'san', 'limit'])
    await client.ask('close', { key: 'a' })
    assert.equal(await wayTo(client, 'd', server), 'san')
    assert.deepEqual((await client.ask('state'))['reasons'], { limit: 1 })
  },
)

test('maxConnections of the server: one more goes over TCP/IP', { timeout: TIMEOUT_MS }, async (t) => {
  const server = await limited(t, { maxConnections: 1 })
  const client = await limited(t)
  assert.equal(await wayTo(client, 'a', server), 'san')
  assert.match((await wayTo(client, 'b', server)) as string, /^(limit|resource)$/)
})

test(
  'maxLinks: a second peer is reached over TCP/IP, from either side',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const one = await limited(t, { maxLinks: 1 })
    const first = await limited(t)
    const second = await limited(t)
    const { port } = await first.ask('listen')
    assert.equal(await wayToPort(one, 'a', port), 'san')
    assert.equal(await wayTo(one, 'b', second), 'limit')
    assert.equal(await wayTo(second, 'c', one), 'limit', 'whoever comes is told')
    assert.equal(await wayToPort(one, 'd', port), 'san', 'the link that stands still serves')
  },
)

test('maxBytes: without room for a link everything goes over TCP/IP', { timeout: TIMEOUT_MS }, async (t) => {
  const client = await limited(t, { maxBytes: 4096 })
  const server = await limited(t)
  assert.equal(await wayTo(client, 'a', server), 'resource')
  assert.equal(((await client.ask('state'))['shm'] as { bytes: number }).bytes, 0)
})
