/** What the command line says of what cannot be done: one line that begins with `Cannot`, exit code 2, no trace of ours. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CONTROL_PREFIX, openControl } from '../../src/compose/control.ts'
import type { ProcessReport } from '../../src/compose/report.ts'
import { loadShm } from '../../src/native/load.ts'
import type { ShmNative } from '../../src/native/shm.ts'
import { beside } from '../support/app.ts'
import { cli } from './command-line.ts'
import type { Outcome } from './command-line.ts'
import { Program, cleanEnvironment } from './program.ts'

const TIMEOUT_MS = 60_000
const DIST = fileURLToPath(new URL('../../', import.meta.url))

function native(): ShmNative {
  const loaded = loadShm()
  assert.ok('native' in loaded)
  return loaded.native
}

const COUNTERS = {
  connects: 0,
  accepts: 0,
  refusals: 0,
  stayed: {},
  observed: { connects: 0, accepts: 0 },
  links: 0,
  sharedBytes: 0,
  wakes: 0,
  sleeps: 0,
  spins: 0,
  spinHits: 0,
}
/** What a process of this version says. */
const REPORT: ProcessReport = {
  pid: process.pid,
  thread: 0,
  command: 'one',
  node: 'v',
  profile: 'balanced',
  mode: 'on',
  rules: [],
  providers: [],
  listeners: [],
  connections: [],
  counters: COUNTERS,
}

function assertFails({ code, stdout, stderr }: Outcome, says: RegExp): void {
  assert.match(stderr, says)
  assert.deepEqual([code, stdout], [2, ''])
  assert.doesNotMatch(stderr, /^ {4}at /m)
}

const WRONG: readonly (readonly [args: string, says: RegExp, env?: Record<string, string>])[] = [
  ['', /^Usage: sockswitch [^]*doctor[^]*explain[^]*top[^]*metrics/],
  ['list', /^Cannot run sockswitch: unknown command 'list'\n[^]*doctor[^]*explain[^]*top[^]*metrics/],
  ['ls --all', /^Cannot run sockswitch: unknown option '--all'\n[^]*--json/],
  ['run', /^Cannot run sockswitch: missing required argument 'app'\n/],
  ['run /nowhere/app.js', /^Cannot run "\/nowhere\/app.js": there is no such program\n$/],
  ['explain nothing', /^Cannot explain "nothing": valid are HOST:PORT, .*\n$/],
  ['explain 127.0.0.1:0', /^Cannot explain "127.0.0.1:0": valid are .*\n$/],
  ['explain 127.0.0.1:65536', /^Cannot explain "127.0.0.1:65536": valid are .*\n$/],
  [
    'explain nobody.invalid:80',
    /^Cannot explain "nobody.invalid:80": .*address .*"nobody.invalid" .*\((ENOTFOUND|EAI_AGAIN)\)\n$/,
  ],
  ['explain []:80', /^Cannot explain "\[\]:80": valid are HOST:PORT, .*\n$/],
  ['explain ::1:80', /^Cannot explain "::1:80": valid are .*\n$/],
  ['explain [fe80::1%lo]:80', /^Cannot explain "\[fe80::1%lo\]:80": addresses with a zone.*\n$/],
  ['explain 80', /^Cannot start sockswitch: SOCKSWITCH="maybe" is not one of .*\n$/, { SOCKSWITCH: 'maybe' }],
  [
    'top --interval often',
    /^Cannot run sockswitch: .*'often' is invalid. valid are numbers above 0, up to 86400\n/,
  ],
  ['top --interval 86401', /^Cannot run sockswitch: .*'86401' is invalid/],
  ['top --count 1.5', /^Cannot run sockswitch: .*'1.5' is invalid. valid are whole numbers above 0\n/],
  ['metrics --listen there', /^Cannot listen at "there": valid are HOST:PORT, .*, 0 to 65535\n$/],
  ['metrics --listen [::1', /^Cannot listen at "\[::1": valid are .*\n$/],
  ['metrics --listen nobody.invalid:0', /^Cannot listen at "nobody.invalid:0": .*"nobody.invalid" .*\n$/],
  ['metrics --listen 65536', /^Cannot listen at "65536": valid are .*\n$/],
  ['metrics --listen 192.0.2.1:0', /^Cannot listen at "192.0.2.1:0": listen EADDRNOTAVAIL.*\n$/],
]

for (const [args, says, env] of WRONG) {
  test(`sockswitch ${args}: says what is wrong`, { timeout: TIMEOUT_MS }, async () => {
    assertFails(await cli(args.split(' ').filter(Boolean), env), says)
  })
}

test('metrics at a port that is taken', { timeout: TIMEOUT_MS }, async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  assertFails(
    await cli(['metrics', '--listen', String(port)]),
    /^Cannot listen at "\d+": listen EADDRINUSE.*\n$/,
  )
})

for (const args of [['ls', '--reasons'], ['metrics'], ['doctor']]) {
  test(`sockswitch ${args.join(' ')} onto a full disk`, { timeout: TIMEOUT_MS }, () => {
    const { status, stderr } = spawnSync(process.execPath, [join(DIST, 'src/cli/main.js'), ...args], {
      env: cleanEnvironment(),
      stdio: ['ignore', openSync('/dev/full', 'w'), 'pipe'],
      encoding: 'utf8',
    })
    assertFails({ code: status, stdout: '', stderr }, /^Cannot write the answer: ENOSPC.*\n$/)
  })
}

test('without native code each command says so, with the remedy', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'no-native-code-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  cpSync(join(DIST, 'src'), join(folder, 'dist/src'), { recursive: true })
  symlinkSync(join(DIST, '../node_modules'), join(folder, 'node_modules'))
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "sockswitch", "version": "0.0.0", "type": "module" }',
  )
  const main = join(folder, 'dist/src/cli/main.js')
  const why = 'no native code could be loaded; tried .*shm\\.node.*; install a package .*'
  for (const [args, purpose] of [
    [['ls'], 'list switched processes'],
    [['top', '--count', '1'], 'watch switched processes'],
    [['metrics', '--listen', '0'], 'tell metrics'],
  ] as const) {
    assertFails(await cli(args, {}, main), new RegExp(`^Cannot ${purpose}: ${why}\n$`))
  }
  const doctor = await cli(['doctor'], {}, main)
  assert.deepEqual([doctor.code, doctor.stderr], [1, ''])
  assert.match(doctor.stdout, new RegExp(`^broken {3}native code: ${why}\n +remedy: `))
  const explained = await cli(['explain', '127.0.0.1:80'], {}, main)
  assert.deepEqual([explained.code, explained.stderr], [1, ''])
  assert.match(explained.stdout, new RegExp(`TCP/IP, reason no-route\n {2}NO {2}switch +${why}\n`))
})

test('doctor: what the environment says wrong, or leaves out', { timeout: TIMEOUT_MS }, async () => {
  for (const [env, line] of [
    [
      { SOCKSWITCH: 'maybe' },
      /^broken {3}environment: Cannot start sockswitch: SOCKSWITCH="maybe" .*\n +remedy/m,
    ],
    [
      { SOCKSWITCH_RULES: '/nowhere' },
      /^broken {3}environment: Cannot read rules: .*\n +remedy: set it right/m,
    ],
    [
      { SOCKSWITCH: 'observe' },
      /^broken {3}environment: SOCKSWITCH=observe .*\n +remedy: unset SOCKSWITCH$/m,
    ],
    [{ SOCKSWITCH_FABRIC: 'nothing' }, /^slower {3}fabric: connections to other hosts stay on TCP\/IP: /m],
  ] as const) {
    const { code, stdout, stderr } = await cli(['doctor'], env)
    assert.deepEqual([code, stderr], [1, ''])
    assert.match(stdout, line)
    assert.match(stdout, /^broken {3}a connection: stayed on TCP\/IP/m)
  }
})

test('a process that does not answer is named, and counted', { timeout: TIMEOUT_MS }, async (t) => {
  const stopped = new Program(beside(import.meta.url, 'actor'), { test: t })
  await stopped.event('ready')
  stopped.kill('SIGSTOP')
  const [ls, metrics, top] = await Promise.all(
    [['ls'], ['metrics'], ['top', '--count', '1', '--interval', '0.01']].map((args) => cli(args)),
  )
  assert.match(ls?.stdout ?? '', new RegExp(`^${CONTROL_PREFIX}${stopped.pid}\\.0: does not answer$`, 'm'))
  assert.match(metrics?.stdout ?? '', /^sockswitch_silent_processes [1-9]\d*$/m)
  assert.match(top?.stdout ?? '', /^[1-9]\d* did not answer$/m)
})

test('explain: a peer that is stopped would not answer a connect', { timeout: TIMEOUT_MS }, async (t) => {
  const server = new Program(beside(import.meta.url, 'actor'), { test: t })
  await server.event('ready')
  const { port } = await server.ask('listen')
  server.kill('SIGSTOP')
  const { code, stdout } = await cli(['explain', `127.0.0.1:${String(port)}`])
  assert.equal(code, 1)
  assert.match(stdout, /^connect to .*: TCP\/IP, reason handshake-timeout\n/)
  assert.match(
    stdout,
    new RegExp(`^ {2}NO {2}answer +process ${server.pid} does not answer\\n +remedy: .`, 'm'),
  )
})

test(
  'answers that are none, or another version’s, stand in nobody’s way',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = native()
    const lacking: readonly object[] = [
      { ...REPORT, counters: { ...COUNTERS, connects: undefined } },
      { ...REPORT, counters: { ...COUNTERS, stayed: null } },
      { ...REPORT, command: undefined },
      { ...REPORT, listeners: [{}] },
      { ...REPORT, connections: [null] },
    ]
    const answers = ['', '{', 'null', '{"pid":1}', '[]', ...lacking.map((each) => JSON.stringify(each))]
    for (const [at, answer] of answers.entries()) {
      const fd = host.listen(`${CONTROL_PREFIX}none.${String(process.pid)}.${String(at)}`)
      assert.ok(fd >= 0)
      const watcher = new host.Watcher(fd, () => {
        for (let asker = host.accept(fd); asker >= 0; asker = host.accept(fd)) {
          if (answer !== '') host.send(asker, Buffer.from(answer), [])
          host.close(asker)
        }
      })
      t.after(() => {
        watcher.close()
        host.close(fd)
      })
    }
    const { code, stdout } = await cli(['ls'])
    assert.equal(code, 0)
    const found = [
      ...stdout.matchAll(new RegExp(`^${CONTROL_PREFIX}none\\.${process.pid}\\.\\d: (.*)$`, 'gm')),
    ]
    assert.deepEqual(
      found.map(([, problem]) => problem),
      [
        'refuses to answer',
        'answered only in part',
        ...Array<string>(3 + lacking.length).fill('answers as another version would'),
      ],
    )
    for (const command of ['metrics', 'top --count 1 --interval 0.01']) {
      const { code: done, stdout: told } = await cli(command.split(' '))
      assert.equal(done, 0)
      assert.doesNotMatch(told, /undefined|NaN/)
    }
  },
)

test(
  'two processes with one id, as in containers that share a network, both answer',
  { timeout: TIMEOUT_MS },
  async () => {
    // One has what JSON, a terminal and Prometheus each take for something else.
    for (const command of ['one', 'o"ther\\name \u001b[2J\u009b \\n'])
      openControl(native(), () => ({ ...REPORT, command }))
    const { processes } = JSON.parse((await cli(['ls', '--json'])).stdout) as { processes: ProcessReport[] }
    const ours = processes.filter(({ pid }) => pid === process.pid).map(({ command }) => command)
    assert.deepEqual(ours.sort(), ['o"ther\\name  [2J  \\n', 'one'])
    const { stdout } = await cli(['metrics'])
    assert.ok(
      stdout.includes(
        `sockswitch_connects_total{pid="${process.pid}",thread="0",program="o\\"ther\\\\name"} 0\n`,
      ),
    )
  },
)
