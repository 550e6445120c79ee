/** What the environment says, and what it lacks: off, wrong variables, rules, observing, no native code. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { REGISTER, beside } from '../support/app.ts'
import type { Message } from '../support/app.ts'
import { censusOf } from '../support/census.ts'
import { Program, cleanEnvironment, withoutLate } from './program.ts'
import type { ProgramOptions } from './program.ts'

const TIMEOUT_MS = 60_000
const ACTOR = beside(import.meta.url, 'actor')

async function actor(t: TestContext, options: ProgramOptions = {}): Promise<Program> {
  const program = new Program(ACTOR, { test: t, ...options })
  await program.event('ready')
  return program
}

/** One connection with an exchange: what the client and the server say of it. */
async function meet(client: Program, server: Program): Promise<readonly [client: unknown, server: unknown]> {
  const { port } = await server.ask('listen')
  const { way, localPort } = await client.connect('a', port)
  assert.equal((await client.ask('echo', { key: 'a', bytes: 50_000 }))['error'], undefined)
  for (;;) {
    const arrived = await server.event('arrived')
    if (arrived['remotePort'] === localPort) return [way, arrived['way']]
  }
}

function reasons(state: Message): unknown {
  return withoutLate(state['reasons'] as Record<string, number>)
}

test(
  'SOCKSWITCH=off: nothing is installed, nothing is said, everything works',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const server = await actor(t, { env: { SOCKSWITCH: 'off' } })
    const client = await actor(t)
    assert.deepEqual(await meet(client, server), ['peer-not-switched', 'tcpip'])
    assert.equal(server.stderr, '')
    const { names, mappings } = censusOf(server.pid)
    assert.deepEqual([names, mappings], [[], 0])
  },
)

const WRONG: readonly (readonly [variables: Record<string, string>, line: RegExp])[] = [
  [{ SOCKSWITCH: 'no' }, /^Cannot start sockswitch: SOCKSWITCH="no" is not one of on, off, observe\n$/],
  [
    { SOCKSWITCH_PROFILE: 'fast' },
    /^Cannot start sockswitch: SOCKSWITCH_PROFILE="fast" is not one of latency, balanced, cpu\n$/,
  ],
  [
    { SOCKSWITCH_SPEED: '1' },
    /^Cannot start sockswitch: unknown variable SOCKSWITCH_SPEED; known are SOCKSWITCH, .*\n$/,
  ],
  [
    { SOCKSWITCH_RULE: 'stay port=x' },
    /^Cannot read rules: SOCKSWITCH_RULE, rule 1: unknown port "x"; valid are .*\n$/,
  ],
  [{ SOCKSWITCH_RULES: '/nowhere/rules' }, /^Cannot read rules: \/nowhere\/rules: ENOENT.*\n$/],
  [{ SOCKSWITCH_RULES: tmpdir() }, /^Cannot read rules: \S+: EISDIR.*\n$/],
  [{ SOCKSWITCH_STATS_FILE: '/nowhere/x' }, /^Cannot start sockswitch: SOCKSWITCH_STATS_FILE: ENOENT.*\n$/],
]

for (const [env, line] of WRONG) {
  test(
    `${JSON.stringify(env)} ends the program with one line that says what is valid`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      const program = new Program(ACTOR, { env, test: t })
      assert.equal((await program.exit()).code, 1)
      assert.match(program.stderr, line)
      assert.equal(program.stdout, '')
    },
  )
}

test(
  'without native code everything stays on TCP/IP, and that is said once',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'no-native-code-'))
    t.after(() => {
      rmSync(folder, { recursive: true })
    })
    writeFileSync(join(folder, 'package.json'), '{ "name": "sockswitch" }')
    mkdirSync(join(folder, 'dist'))
    const register = join(folder, 'dist', 'register.cjs')
    copyFileSync(REGISTER, register)
    const bare = await actor(t, { execArgv: ['--require', register] })
    const peer = await actor(t)
    assert.deepEqual(await meet(bare, peer), ['tcpip', 'tcpip'])
    assert.match(bare.stderr, /^sockswitch: every connection stays on TCP\/IP: .*shm\.node.*\n$/)
  },
)

test(
  'where libfabric is wanted and not to be had, that is said once, and connections stay switched',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'no-fabric-'))
    t.after(() => {
      rmSync(folder, { recursive: true })
    })
    writeFileSync(join(folder, 'package.json'), '{ "name": "sockswitch" }')
    const prebuilds = join('prebuilds', `${process.platform}-${process.arch}`)
    for (const name of ['dist', prebuilds]) mkdirSync(join(folder, name), { recursive: true })
    const register = join(folder, 'dist', 'register.cjs')
    copyFileSync(REGISTER, register)
    copyFileSync(join(REGISTER, '..', '..', prebuilds, 'shm.node'), join(folder, prebuilds, 'shm.node'))
    const env = { SOCKSWITCH_FABRIC: 'tcp' }
    const without = await actor(t, { execArgv: ['--require', register], env })
    assert.deepEqual(await meet(without, await actor(t)), ['san', 'san'])
    assert.match(
      without.stderr,
      /^sockswitch: connections to other hosts stay on TCP\/IP: .*fabric\.node.*\n$/,
    )
  },
)

test('counters that cannot be written at the end are complained about, and the exit code stays', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gone-'))
  const script = `require('node:fs').rmSync(${JSON.stringify(folder)}, { recursive: true }); process.exit(7)`
  const { status, stderr } = spawnSync(process.execPath, ['--require', REGISTER, '-e', script], {
    env: { ...cleanEnvironment(), SOCKSWITCH_STATS_FILE: join(folder, 'counters') },
    encoding: 'utf8',
  })
  assert.match(stderr, /^Cannot write counters: SOCKSWITCH_STATS_FILE: ENOENT.*\n$/)
  assert.equal(status, 7)
})

test(
  'rules: a connect, a listener and a peer stay on TCP/IP, each with its reason',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const everybody = await actor(t)
    const shy = await actor(t, { env: { SOCKSWITCH_RULE: 'stay role=connect address=127.0.0.0/8' } })
    assert.deepEqual(await meet(shy, everybody), ['rule', 'tcpip'])
    assert.deepEqual(reasons(await shy.ask('state')), { rule: 1 })
    const deaf = await actor(t, { env: { SOCKSWITCH_RULE: 'stay role=listen' } })
    assert.deepEqual(await meet(everybody, deaf), ['peer-not-switched', 'tcpip'])
    assert.deepEqual(reasons(await deaf.ask('state')), { rule: 1 })
    const picky = await actor(t, { env: { SOCKSWITCH_RULE: 'stay role=accept' } })
    assert.deepEqual(await meet(everybody, picky), ['peer-rule', 'tcpip'])
    assert.deepEqual(
      await meet(picky, everybody),
      ['san', 'san'],
      'a rule about accepting says nothing of connecting',
    )
  },
)

test('rules of a file go by program', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'rules-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'rules')
  writeFileSync(path, '# of others\nstay program=elsewhere.js\nstay program=act?r.* role=connect\n')
  const env = { SOCKSWITCH_RULES: path }
  assert.deepEqual(await meet(await actor(t, { env }), await actor(t, { env })), ['rule', 'tcpip'])
})

test(
  'SOCKSWITCH=observe: nothing is switched, and what would be is counted',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const env = { SOCKSWITCH: 'observe' }
    const [client, server, others] = [await actor(t, { env }), await actor(t, { env }), await actor(t)]
    assert.deepEqual(await meet(client, server), ['observed', 'tcpip'])
    assert.deepEqual(reasons(await client.ask('state')), { observed: 1 })
    assert.deepEqual(await meet(others, server), ['peer-rule', 'tcpip'])
    const stock = await actor(t, { execArgv: [] })
    assert.deepEqual(await meet(client, stock), ['peer-not-switched', 'tcpip'])
    assert.deepEqual((await client.ask('state'))['observed'], { connects: 1, accepts: 0 })
    assert.deepEqual((await server.ask('state'))['observed'], { connects: 0, accepts: 1 })
    const { links } = (await client.ask('state'))['shm'] as { links: number }
    assert.equal(links, 0, 'memory was shared')
  },
)

const NAMESPACE = ['unshare', '--map-root-user', '--net'] as const
const noNamespace =
  spawnSync(NAMESPACE[0], [...NAMESPACE.slice(1), 'ip', 'link', 'add', 'type', 'veth']).status === 0
    ? false
    : 'no network namespaces, or no ip, here'

test(
  'WSD-ADDR-7 an address that the host gets while the program runs is switched as the others are',
  { timeout: TIMEOUT_MS, skip: noNamespace },
  () => {
    const program = [process.execPath, '--require', REGISTER, beside(import.meta.url, 'new-address')]
    const { stdout, stderr } = spawnSync(NAMESPACE[0], [...NAMESPACE.slice(1), ...program], {
      encoding: 'utf8',
      env: cleanEnvironment(),
    })
    assert.deepEqual([stdout, stderr], ['["shm","shm"]\n', ''])
  },
)
