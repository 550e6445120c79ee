/** Many connections: what they took is given back, and what they hold is bounded. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beside } from '../support/app.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { numberFromEnv } from '../support/random.ts'
import { eventually } from '../support/waiting.ts'
import { LIMIT_MS, Program } from './program.ts'

const ACTOR = beside(import.meta.url, 'actor')
const OPENED = numberFromEnv('SOCKSWITCH_OPENED', 2000)
/** 10,000 with an environment variable; memory per connection is measured by the bench. */
const IDLE = numberFromEnv('SOCKSWITCH_IDLE', 1000)
const WAVE = 100

/** Opens `count` connections at once; answers their keys and which way they went. */
async function open(client: Program, port: number, name: string, count: number) {
  const keys = Array.from({ length: count }, (_, at) => `${name}.${at}`)
  const answers = await Promise.all(keys.map((key) => client.ask('connect', { key, options: { port } })))
  assert.deepEqual(
    answers.flatMap(({ error }) => (error === undefined ? [] : [error])),
    [],
  )
  return { keys, ways: answers.map(({ way }) => way as string) }
}

async function close(client: Program, keys: readonly string[]): Promise<void> {
  await Promise.all(keys.map((key) => client.ask('close', { key })))
}

test(
  `${OPENED} connections that were opened, used and closed leave no descriptor, mapping or name`,
  { timeout: 30_000 + OPENED * 20 },
  async (t) => {
    const server = new Program(ACTOR, { test: t })
    const client = new Program(ACTOR, { test: t })
    await Promise.all([server.event('ready'), client.event('ready')])
    const { port } = await server.ask('listen')
    const wave = async (name: string): Promise<string[]> => {
      const { keys, ways } = await open(client, port as number, name, WAVE)
      await Promise.all(keys.map((key) => client.ask('echo', { key, bytes: 3000 })))
      await close(client, keys)
      return ways
    }
    // What is made once and kept, such as slots of the link and ports for the next connects, is made now.
    await wave('warm')
    await wave('warmer')
    const before = [server, client].map(({ pid }) => censusOf(pid))
    const ways: string[] = []
    for (let opened = 0; opened < OPENED; opened += WAVE) ways.push(...(await wave(`w${opened}`)))
    assert.ok(ways.filter((way) => way === 'san').length > OPENED / 2, `switched: ${summary(ways)}`)
    const left = (): string[] =>
      [server, client].flatMap(({ pid }, at) => leftovers(before[at]!, censusOf(pid)))
    await eventually(
      () => left().length === 0,
      LIMIT_MS,
      () => `what is left to go: ${left().join('; ')}`,
    )
    // A slot is free when the peer is through with it, too.
    let held = 0
    const isFree = async (program: Program): Promise<boolean> => {
      const { shm } = (await program.ask('state')) as unknown as { shm: { connections: number } }
      held = shm.connections
      return held === 0
    }
    for (const program of [server, client]) {
      await eventually(
        () => isFree(program),
        LIMIT_MS,
        () => `the last of ${held} connections to end`,
      )
    }
  },
)

test(`${IDLE} idle connections at once: each of them works`, { timeout: 60_000 + IDLE * 20 }, async (t) => {
  const server = new Program(ACTOR, { test: t })
  const client = new Program(ACTOR, { test: t })
  await Promise.all([server.event('ready'), client.event('ready')])
  const { port } = await server.ask('listen')
  const all: string[] = []
  const ways: string[] = []
  for (let opened = 0; opened < IDLE; opened += WAVE) {
    const wave = await open(client, port as number, `i${opened}`, WAVE)
    all.push(...wave.keys)
    ways.push(...wave.ways)
  }
  assert.ok(ways.filter((way) => way === 'san').length > IDLE / 2, `switched: ${summary(ways)}`)
  for (let at = 0; at < all.length; at += WAVE) {
    const keys = all.slice(at, at + WAVE)
    const answers = await Promise.all(keys.map((key) => client.ask('echo', { key, bytes: 500 })))
    assert.ok(answers.every(({ error }) => error === undefined))
  }
  await close(client, all)
})

function summary(ways: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const way of ways) counts.set(way, (counts.get(way) ?? 0) + 1)
  return [...counts].map(([way, count]) => `${way} ${count}`).join(', ')
}
