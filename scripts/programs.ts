/**
 * `npm run test:programs`: programs as people write them, over the packages that people use, stock and switched in turn.
 * Installs the packages into a cache folder; real servers are started where Debian's packages are installed.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import Table from 'cli-table3'
import { program } from 'commander'
import { complainAs } from './support/cannot.ts'
import { describeLine, describeMachine } from '../bench/harness/machine.ts'
import { Progress } from '../bench/harness/progress.ts'
import { packagesFolder, versionOf } from './programs/cache.ts'
import { PROGRAMS } from './programs/catalogue.ts'
import { judge } from './programs/judgement.ts'
import type { Outcome } from './programs/judgement.ts'
import { page } from './programs/page.ts'
import { MissingServerError, startReal } from './programs/real-servers.ts'
import { runBeside, runPair } from './programs/run.ts'
import type { ProgramRun } from './programs/run.ts'
import type { ProgramEntry, RealServer } from './programs/catalogue.ts'

/** The repository, seen from `dist/scripts`. */
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const APPS = join(ROOT, 'test', 'programs')
/** So many times the rounds where the peer is not switched: a few percent are at stake, and single rounds differ by 20. */
const REAL_ROUNDS = 10

complainAs(program, 'run the programs')
  .name('test:programs')
  .description('Runs programs over npm packages, stock and switched in turn, and compares what they do.')
  .option('--rounds <n>', 'pairs of runs of each', Number, 3)
  .option('--only <text>', 'programs whose names hold this text')
  .option('--page <file>', 'where to write the result for readers')
  .option('--json <file>', 'where to write the result', join(ROOT, '.bench', 'programs.json'))
  .parse()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1))
const options = program.opts<{ rounds: number; only?: string; page?: string; json: string }>()
if (!Number.isInteger(options.rounds) || options.rounds < 1)
  program.error('--rounds is a whole number above 0')
const entries = PROGRAMS.filter(({ name }) => name.toLowerCase().includes(options.only?.toLowerCase() ?? ''))
if (entries.length === 0) program.error(`no program is named '${options.only ?? ''}'`)

const machine = describeMachine()
const places = { apps: APPS, packages: packagesFolder(entries.flatMap((entry) => entry.packages)) }
const progress = new Progress(
  entries.reduce(
    (all, { server }) => all + options.rounds * (typeof server === 'string' ? 2 : REAL_ROUNDS),
    0,
  ),
)
const outcomes: Outcome[] = []
for (const entry of entries) outcomes.push(await tryProgram(entry))
progress.end()

const table = new Table({
  head: ['program', 'exercised', 'carried by', 'same', 'stock /s', 'switched /s', 'ratio', 'CPU'],
  colAligns: ['left', 'left', 'left', 'left', 'right', 'right', 'right', 'right'],
  style: { head: [], border: [], compact: true },
})
for (const { name, exercised, carriedBy, same, stock, switched, ratio, cost } of outcomes) {
  table.push([name, exercised, carriedBy, same, stock, switched, ratio, cost])
}
const today = new Date().toISOString().slice(0, 10)
console.log(`${describeLine(machine)}, ${today}, ${options.rounds} rounds`)
console.log(table.toString())
const faults = outcomes.flatMap(({ name, faults: found }) => found.map((fault) => `${name}: ${fault}`))
for (const fault of faults) console.error(`FAILED: ${fault}`)
mkdirSync(dirname(options.json), { recursive: true })
writeFileSync(options.json, JSON.stringify(outcomes, undefined, 1))
if (options.page !== undefined) writeFileSync(options.page, page(outcomes, machine, options.rounds, today))
process.exitCode = faults.length > 0 ? 1 : 0

async function tryProgram(entry: ProgramEntry): Promise<Outcome> {
  const name = `${entry.name} (${entry.packages[0] ?? ''} ${versionOf(entry.packages[0] ?? '') ?? ''})`
  try {
    const { server } = entry
    const [stock, switched] =
      typeof server === 'string' ? await inTurn(entry, server) : await beside(entry, server.real)
    return judge(name, entry, stock, switched)
  } catch (error) {
    if (error instanceof MissingServerError) return judge(name, entry, [], [], error.message)
    const outcome = judge(name, entry, [], [])
    return {
      ...outcome,
      faults: [error instanceof Error ? error.message : String(error)],
    }
  }
}

type Runs = readonly [stock: readonly ProgramRun[], switched: readonly ProgramRun[]]

/** In turn, and the other way round every other time: what drifts strikes both. */
async function inTurn({ name, client }: ProgramEntry, server: string): Promise<Runs> {
  const stock: ProgramRun[] = []
  const switched: ProgramRun[] = []
  for (let round = 0; round < options.rounds; round += 1) {
    for (const on of round % 2 === 0 ? [false, true] : [true, false]) {
      progress.next(name, `${on ? 'switched' : 'stock'}, round ${round + 1}`)
      ;(on ? switched : stock).push(await runPair(places, { server, client }, on))
    }
  }
  return [stock, switched]
}

async function beside({ name, client }: ProgramEntry, server: RealServer): Promise<Runs> {
  const running = await startReal(server)
  const stock: ProgramRun[] = []
  const switched: ProgramRun[] = []
  try {
    for (let round = 0; round < REAL_ROUNDS * options.rounds; round += 1) {
      progress.next(name, `round ${round + 1}`)
      const [without, including] = await runBeside(places, client, running.port)
      stock.push(without)
      switched.push(including)
    }
  } finally {
    await running.stop()
  }
  return [stock, switched]
}
