/** What an operator is told of the fabric: whether it runs here, the remedy where it does not, and its counters. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'

import type { ProcessReport } from '../../src/compose/report.ts'
import { cli } from '../integration/command-line.ts'
import { LIMIT_MS, Program } from '../integration/program.ts'
import { beside } from '../support/app.ts'
import { noFabric } from '../support/fabric-provider.ts'
import { eventually } from '../support/waiting.ts'

const ACTOR = beside(import.meta.url, '../integration/actor')
const TIMEOUT_MS = 60_000
const skip = noFabric()
const options = { skip, timeout: TIMEOUT_MS }

/** Wants one provider of libfabric where libfabric may run another one only, whatever devices there are. */
const NOTHING = { SOCKSWITCH_FABRIC: 'verbs', FI_PROVIDER: 'tcp' }
const WHY = String.raw`libfabric [\d.]+, provider verbs, between hosts: nothing here that verbs runs on \(ENODATA\); it needs an RDMA device .*`

async function actor(t: TestContext, env: Readonly<Record<string, string>>): Promise<Program> {
  const program = new Program(ACTOR, { env, test: t })
  await program.event('ready')
  return program
}

async function reportOf(program: Program): Promise<ProcessReport> {
  const { stdout } = await cli(['ls', '--json'])
  const { processes } = JSON.parse(stdout) as { processes: readonly ProcessReport[] }
  const report = processes.find(({ pid }) => pid === program.pid)
  assert.ok(report !== undefined)
  return report
}

test(
  'where libfabric has nothing to run on, that is said once with the remedy, and shown',
  options,
  async (t) => {
    const program = await actor(t, NOTHING)
    await eventually(
      () => program.stderr.endsWith('\n'),
      LIMIT_MS,
      () => 'the complaint',
    )
    assert.match(
      program.stderr,
      new RegExp(`^sockswitch: connections to other hosts stay on TCP/IP: ${WHY}\n$`),
    )
    const { port } = await program.ask('listen')
    assert.equal((await program.connect('a', port))['way'], 'san')
    const { providers, listeners, counters } = await reportOf(program)
    assert.deepEqual(
      providers.map(({ name, unavailable }) => [name, unavailable !== undefined]),
      [
        ['shm', false],
        ['fabric', true],
      ],
    )
    assert.match(providers[1]?.unavailable ?? '', new RegExp(`^${WHY}$`))
    assert.deepEqual(listeners[0]?.providers, ['tcpip', 'shm'])
    assert.equal(counters.fabric, undefined)
    assert.match((await cli(['ls'])).stdout, new RegExp(`; no fabric: ${WHY}$`, 'm'))
  },
)

test('explain: where no fabric serves the address, why there is none', options, async () => {
  const env = { ...NOTHING, SOCKSWITCH_FABRIC_NETWORKS: '198.51.100.0/24' }
  const { code, stdout, stderr } = await cli(['explain', '198.51.100.1:80'], env)
  assert.deepEqual([code, stderr], [1, ''])
  assert.match(stdout, /^connect to 198\.51\.100\.1:80: TCP\/IP, reason no-route$/m)
  assert.match(
    stdout,
    new RegExp(`^ {2}NO {2}route +no provider serves the address; no fabric: ${WHY}$`, 'm'),
  )
})

test('metrics: the counters of the fabric, by the provider of libfabric', options, async (t) => {
  const program = await actor(t, { SOCKSWITCH_FABRIC: 'tcp' })
  const none = await actor(t, {})
  const { stdout } = await cli(['metrics'])
  const samples = stdout.split('\n').filter((line) => line.startsWith('sockswitch_fabric_'))
  const ours = samples.filter((line) => line.includes(`pid="${program.pid}"`))
  assert.deepEqual(
    ours.map((line) => /^sockswitch_fabric_(\w+)\{.*,fabric="tcp"\} 0$/.exec(line)?.[1]),
    [
      'links',
      'connections',
      'messages_sent_total',
      'messages_received_total',
      'writes_total',
      'written_bytes_total',
      'reads_total',
      'read_bytes_total',
      'completions_total',
      'retries_total',
      'errors_total',
      'silenced_total',
    ],
  )
  assert.ok(!samples.some((line) => line.includes(`pid="${none.pid}"`)))
})

const DOCTOR: readonly (readonly [env: Readonly<Record<string, string>>, says: RegExp])[] = [
  [
    {},
    /^ok {7}fabric: libfabric [\d.]+: .*\btcp on .*; SOCKSWITCH_FABRIC=off\n +remedy: SOCKSWITCH_FABRIC=verbs on both /m,
  ],
  [
    { SOCKSWITCH_FABRIC: 'tcp' },
    /^ok {7}fabric: libfabric [\d.]+: .*\btcp on \S.*; SOCKSWITCH_FABRIC=tcp\nok/m,
  ],
  [
    NOTHING,
    /^slower {3}fabric: connections to other hosts stay on TCP\/IP: .*; SOCKSWITCH_FABRIC=verbs\n +remedy: it needs an RDMA device /m,
  ],
]
for (const [env, says] of DOCTOR) {
  test(`doctor: what there is of fabrics with ${JSON.stringify(env)}`, options, async () => {
    const { code, stdout, stderr } = await cli(['doctor'], env)
    assert.deepEqual([code, stderr], [0, ''], stdout)
    assert.match(stdout, says)
  })
}
