/** The command line, as a user runs it: what it prints, how it exits, and that nothing is left behind by asking. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { ProcessReport } from '../../src/compose/report.ts'
import { CONTROL_PREFIX } from '../../src/compose/control.ts'
import { loadShm } from '../../src/native/load.ts'
import { beside } from '../support/app.ts'
import { censusOf, leftovers } from '../support/census.ts'
import { eventually, within } from '../support/waiting.ts'
import { cli, start } from './command-line.ts'
import { LIMIT_MS, Program, withoutLate } from './program.ts'
import type { ProgramOptions } from './program.ts'

const TIMEOUT_MS = 60_000
const ACTOR = beside(import.meta.url, 'actor')
async function actor(t: TestContext, options: ProgramOptions = {}): Promise<Program> {
  const program = new Program(ACTOR, { test: t, ...options })
  await program.event('ready')
  return program
}

async function listening(program: Program): Promise<string> {
  return `127.0.0.1:${String((await program.ask('listen'))['port'])}`
}

/** A port at which nobody listens, nor anybody else can begin to. */
function boundPort(t: TestContext): number {
  const loaded = loadShm()
  assert.ok('native' in loaded)
  const reserved = loaded.native.reserveTcpPort('127.0.0.1', 1)
  assert.ok(typeof reserved === 'object')
  t.after(() => loaded.native.close(reserved.fd))
  return reserved.port
}

interface Explained {
  readonly answers: readonly {
    readonly provider?: string
    readonly reason?: string
    readonly remedy?: string
    readonly steps: readonly { readonly what: string; readonly detail: string; readonly reason?: string }[]
    readonly listeners: readonly { readonly pid: number; readonly reason?: string }[]
  }[]
}

async function explained(target: string, env?: Record<string, string>) {
  const { code, stdout, stderr } = await cli(['explain', '--json', target], env)
  assert.equal(stderr, '')
  const [answer] = (JSON.parse(stdout) as Explained).answers
  assert.ok(answer !== undefined)
  return { code, answer }
}

test(
  'explain: a connect that would be switched, with everything that was looked at',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const target = await listening(await actor(t))
    const { code, stdout } = await cli(['explain', target])
    assert.equal(code, 0)
    assert.match(stdout, new RegExp(`^connect to ${target}: switched, over shm\n`))
    const steps = [...stdout.matchAll(/^ {2}(ok|NO) {2}(\S+(?: \S+)*) {2,}/gm)].map(
      ([, verdict, what]) => `${verdict} ${what}`,
    )
    assert.deepEqual(steps, [
      'ok rules',
      'ok route',
      'ok TCP listener',
      'ok rendezvous',
      'ok peer',
      'ok owner',
      'ok limits',
    ])
  },
)

test(
  'explain: the first thing that says no is marked, and has a remedy',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const stock = await listening(await actor(t, { execArgv: [] }))
    const { code, stdout } = await cli(['explain', stock])
    assert.equal(code, 1)
    assert.match(stdout, /TCP\/IP, reason peer-not-switched\n/)
    assert.match(
      stdout,
      /\n {2}NO {2}rendezvous .*\n {6}remedy: start the peer with --require sockswitch\/register/,
    )
    const actual = [
      (await explained(stock)).answer,
      (await explained(`127.0.0.1:${String(boundPort(t))}`)).answer,
      (await explained('192.0.2.1:80')).answer,
    ]
    assert.deepEqual(
      actual.map(({ reason, steps }) => [
        reason,
        steps.at(-1)?.what,
        steps.filter((step) => step.reason !== undefined).length,
      ]),
      [
        ['peer-not-switched', 'rendezvous', 1],
        ['no-listener', 'TCP listener', 1],
        ['no-route', 'route', 1],
      ],
    )
  },
)

test('explain: rules and switching off decide first', { timeout: TIMEOUT_MS }, async (t) => {
  const target = await listening(await actor(t))
  const at = async (env: Record<string, string>) => {
    const { code, answer } = await explained(target, env)
    return [code, answer.reason, answer.steps.at(-1)?.what, answer.steps.at(-1)?.detail]
  }
  assert.deepEqual(await at({ SOCKSWITCH_RULE: 'stay address=127.0.0.1' }), [
    1,
    'rule',
    'rules',
    'rule 1: stay address=127.0.0.1',
  ])
  assert.deepEqual(await at({ SOCKSWITCH: 'observe' }), [1, 'observed', 'observing', 'SOCKSWITCH=observe'])
  assert.deepEqual(await at({ SOCKSWITCH: 'off' }), [1, 'off', 'switch', 'SOCKSWITCH=off'])
  assert.equal((await cli(['explain', target], { SOCKSWITCH: 'maybe' })).code, 2)
  const ours = { SOCKSWITCH_RULE: 'stay program=ours.js' }
  assert.equal((await cli(['explain', target], ours)).code, 0)
  assert.equal((await cli(['explain', '--program', '/srv/ours.js', target], ours)).code, 1)
  const listen = async (role: string) => {
    const { code, stdout } = await cli(['explain', '--listen', '80'], {
      SOCKSWITCH_RULE: `stay role=${role}`,
    })
    return [code, stdout.split('\n')[0]]
  }
  assert.deepEqual(await listen('listen'), [1, 'listen at [::]:80: TCP/IP, reason rule'])
  assert.deepEqual(await listen('connect'), [0, 'listen at [::]:80: switched, over shm'])
})

test(
  'explain: a switched process that listens there without the SAN says why',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const deaf = await actor(t, { env: { SOCKSWITCH_RULE: 'stay role=listen' } })
    const { answer } = await explained(await listening(deaf))
    assert.deepEqual(
      answer.listeners.map(({ pid, reason }) => [pid, reason]),
      [[deaf.pid, 'rule']],
    )
    assert.match(answer.remedy ?? '', new RegExp(`^process ${deaf.pid} .*: rule$`))
  },
)

test('explain and ls leave nothing behind', { timeout: TIMEOUT_MS }, async (t) => {
  const server = await actor(t)
  const target = await listening(server)
  // What is made once, at the first visit, stays with the process.
  await cli(['explain', target])
  const before = censusOf(server.pid)
  for (let i = 0; i < 3; i++) {
    await cli(['explain', target])
    await cli(['ls'])
  }
  const left = (): string[] => leftovers(before, censusOf(server.pid))
  await eventually(
    () => left().length === 0,
    LIMIT_MS,
    () => left().join('; '),
  )
  const { stats, reasons } = await server.ask('state')
  assert.deepEqual([(stats as { accepts: number }).accepts, reasons], [0, {}])
})

test(
  'ls --json: every switched process, its listeners, connections, reasons and counters',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const [server, client, stock] = [await actor(t), await actor(t), await actor(t, { execArgv: [] })]
    const [to, toStock] = [await server.ask('listen'), await stock.ask('listen')]
    await client.connect('a', to['port'])
    await client.ask('echo', { key: 'a', bytes: 1000 })
    await client.connect('b', toStock['port'])
    const { code, stdout } = await cli(['ls', '--json'])
    assert.equal(code, 0)
    const { processes } = JSON.parse(stdout) as { processes: ProcessReport[] }
    const ours = processes.find(({ pid }) => pid === client.pid)
    const theirs = processes.find(({ pid }) => pid === server.pid)
    assert.ok(ours !== undefined && theirs !== undefined)
    assert.equal(
      processes.some(({ pid }) => pid === stock.pid),
      false,
    )
    assert.deepEqual(
      theirs.listeners.map(({ local, providers, reason }) => [local.port, providers, reason]),
      [[to['port'], ['tcpip', 'shm'], undefined]],
    )
    const rows = ours.connections.map(
      ({ direction, remote, state, provider, reason, bytesRead, bytesWritten }) => ({
        direction,
        port: remote?.port,
        state,
        provider,
        reason,
        bytesRead,
        bytesWritten,
      }),
    )
    assert.deepEqual(rows, [
      {
        direction: 'out',
        port: to['port'],
        state: 'open',
        provider: 'shm',
        reason: undefined,
        bytesRead: 1000,
        bytesWritten: 1000,
      },
      {
        direction: 'out',
        port: toStock['port'],
        state: 'open',
        provider: 'tcpip',
        reason: 'peer-not-switched',
        bytesRead: 0,
        bytesWritten: 0,
      },
    ])
    const { connects, stayed, links } = ours.counters
    assert.deepEqual([connects, withoutLate(stayed), links], [1, { 'peer-not-switched': 1 }, 1])
    assert.ok(ours.counters.sharedBytes > 0)
    assert.deepEqual([ours.thread, ours.mode, ours.profile, ours.rules], [0, 'on', 'balanced', []])
  },
)

test('ls into a pipe: bare columns, no line drawn', { timeout: TIMEOUT_MS }, async (t) => {
  const server = await actor(t)
  const target = await listening(server)
  const { stdout } = await cli(['ls'])
  assert.match(stdout, new RegExp(`^listen {2}${target} .* tcpip \\+ shm$`, 'm'))
  assert.doesNotMatch(stdout, /[\u2500-\u257f]/)
})

test('askers who never read are cut off, and harm nobody', { timeout: TIMEOUT_MS }, async (t) => {
  const loaded = loadShm()
  assert.ok('native' in loaded)
  const { native } = loaded
  // A report that is more than a socket holds: the command line is part of it.
  const server = await actor(t, { args: Array.from({ length: 5 }, () => 'x'.repeat(120_000)) })
  const listed = async (): Promise<Partial<ProcessReport> | undefined> => {
    const { stdout } = await cli(['ls', '--json'])
    const { processes } = JSON.parse(stdout) as { processes: Partial<ProcessReport>[] }
    return processes.find(({ pid }) => pid === server.pid)
  }
  // What is made once, at the first visit, stays with the process.
  await listed()
  const before = censusOf(server.pid)
  const askers = Array.from({ length: 20 }, () => native.connect(`${CONTROL_PREFIX}${server.pid}.0`))
  t.after(() => {
    for (const fd of askers) native.close(fd)
  })
  assert.ok(askers.every((fd) => fd >= 0))
  // It goes on with its work meanwhile, and answers again once it has given them up.
  let report = await listed()
  for (; report === undefined; report = await listed()) await server.ask('state')
  assert.ok((report.command?.length ?? 0) > 600_000)
  // That was when the first of them had been given up.
  const left = (): string[] => leftovers(before, censusOf(server.pid))
  await eventually(
    () => left().length === 0,
    LIMIT_MS,
    () => left().join('; '),
  )
  let answered = 0
  for (const fd of askers) {
    let bytes = 0
    let received = native.receive(fd)
    for (; typeof received !== 'number'; received = native.receive(fd)) bytes += received.bytes.length
    assert.equal(received, 0, 'the channel is closed')
    assert.ok(bytes < 600_000, 'a whole report went into a socket that nobody read')
    if (bytes > 0) answered += 1
  }
  assert.ok(answered < askers.length, 'all were answered at once')
})

test('metrics: in the text format of Prometheus, printed or served', { timeout: TIMEOUT_MS }, async (t) => {
  const [server, client] = [await actor(t), await actor(t)]
  const { port } = await server.ask('listen')
  await client.connect('a', port)
  const check = (body: string): void => {
    for (const line of body.trimEnd().split('\n')) {
      assert.match(
        line,
        /^(# (HELP|TYPE) sockswitch_\w+ .+|sockswitch_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [\d.e+]+)$/,
      )
    }
    assert.match(
      body,
      new RegExp(
        `^sockswitch_connects_total\\{pid="${client.pid}",thread="0",program="[^"]*actor.js"\\} 1$`,
        'm',
      ),
    )
    assert.match(
      body,
      new RegExp(`^sockswitch_connections\\{pid="${server.pid}",.*,provider="shm"\\} 1$`, 'm'),
    )
  }
  check((await cli(['metrics'])).stdout)
  const served = start(['metrics', '--listen', '127.0.0.1:0'])
  t.after(() => served.kill())
  const [line] = (await within(once(served.stdout.setEncoding('utf8'), 'data'), LIMIT_MS, 'the address')) as [
    string,
  ]
  const [response] = (await once(http.get(line.trim()), 'response')) as [http.IncomingMessage]
  assert.equal(response.statusCode, 200)
  check(await text(response))
})

test('top: into a pipe, one table a look, and then it ends', { timeout: TIMEOUT_MS }, async (t) => {
  const server = await actor(t)
  const { code, stdout } = await cli(['top', '--count', '2', '--interval', '0.05'])
  assert.equal(code, 0)
  assert.equal(stdout.match(/^process +program +switched/gm)?.length, 2)
  assert.match(stdout, new RegExp(`^ *${server.pid} `, 'm'))
})

test('run: the program is switched, and ends as it ends', { timeout: TIMEOUT_MS }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'run-'))
  t.after(() => {
    rmSync(folder, { recursive: true })
  })
  const app = join(folder, 'app.cjs')
  writeFileSync(
    app,
    `const switched = Symbol.for('sockswitch.process.1') in globalThis
     console.log(JSON.stringify({ switched, args: process.argv.slice(2) }))
     if (process.argv[2] === 'die') process.kill(process.pid, 'SIGTERM')
     else process.exit(7)`,
  )
  const { code, stdout } = await cli(['run', app, '--json', 'x'])
  assert.equal(code, 7)
  assert.deepEqual(JSON.parse(stdout), { switched: true, args: ['--json', 'x'] })
  assert.equal((await cli(['run', app, 'die'])).code, 128 + 15)
})

test(
  'doctor: what can work here is found to work; switching off is found',
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stdout } = await cli(['doctor', '--json'])
    const { checks } = JSON.parse(stdout) as { checks: { name: string; verdict: string; detail: string }[] }
    assert.equal(code, 0, stdout)
    assert.ok(checks.every(({ verdict }) => verdict !== 'broken'))
    assert.equal(checks.at(-1)?.detail, 'was carried over shared memory')
    const off = await cli(['doctor'], { SOCKSWITCH: 'off' })
    assert.equal(off.code, 1)
    assert.match(off.stdout, /^broken {3}environment: SOCKSWITCH=off .*\n +remedy: unset SOCKSWITCH/m)
  },
)
