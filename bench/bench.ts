// `npm run bench`: the whole comparison, with targets. How to read it: bench/README.md.
import { join, relative } from 'node:path'
import { InvalidArgumentError, Option, program } from 'commander'
import { complainAs } from '../scripts/support/cannot.ts'
import { carriageFaults, compare, roundsOf, type Comparison } from './harness/compare.ts'
import { crowd } from './harness/crowd.ts'
import { describeLine, describeMachine } from './harness/machine.ts'
import type { Measure } from './harness/measure.ts'
import { allMeasures } from './harness/measures.ts'
import { ROOT, switchFault } from './harness/paths.ts'
import { Progress } from './harness/progress.ts'
import { writeHtml, writeJson, writeSvg, type Report, type Table } from './harness/report.ts'
import { comparisonTable, verdictTable } from './harness/tables.ts'
import { judge } from './harness/targets.ts'

const DURATION_MS = 1000
const QUICK_DURATION_MS = 300
/** Above this many runnable processes, the machine is measuring something else too. */
const BUSY_LOAD = 0.7

interface Options {
  readonly pairs: number
  readonly only?: string
  readonly profile?: string
  readonly json: string
  readonly html: string
  readonly svg?: string
  readonly quick: boolean
  readonly pin: boolean
  readonly busy: number
}

complainAs(program, 'run the benchmarks')
  .name('bench')
  .description(
    'Compares switched processes with stock Node.js, over TCP loopback and over a Unix domain socket.',
  )
  .option('--pairs <n>', 'rounds of every measure, each with one run per mode', readCount, 5)
  .option('--only <names>', 'measures or groups of measures, separated by commas')
  .addOption(new Option('--profile <name>', 'SOCKSWITCH_PROFILE').choices(['latency', 'balanced', 'cpu']))
  .addOption(output('--json <file>', 'where to write the result', '.bench/result.json'))
  .addOption(output('--html <file>', 'where to write the page with charts', '.bench/result.html'))
  .option('--svg <file>', 'where to write the picture of the gains alone')
  .option('--quick', 'short runs, for a look rather than for a number', false)
  .option('--pin', 'servers on processor 0, clients on processor 1, by taskset', false)
  .option('--busy <n>', 'programs that keep processors busy meanwhile', readCount, 0)
  .addHelpText(
    'after',
    `\nMeasures: ${allMeasures(0)
      .map(({ name }) => name)
      .join(', ')}`,
  )
  .parse()

const options = program.opts<Options>()
const fault = switchFault()
if (fault !== undefined) program.error(fault)

const machine = describeMachine()
const measures = select(allMeasures(options.quick ? QUICK_DURATION_MS : DURATION_MS), options.only)
const runs = measures.reduce(
  (sum, measure) => sum + roundsOf(measure, options.pairs) * measure.modes.length,
  0,
)

const progress = new Progress(runs)
progress.note(describeLine(machine))
if (machine.loadBefore > BUSY_LOAD) {
  progress.note(
    `Other work is running (load ${machine.loadBefore.toFixed(2)}): trust ratios little, absolutes not at all.`,
  )
}
if (options.busy > 0) progress.note(`Beside ${options.busy} programs that take all the processor they get.`)
const endCrowd = crowd(options.busy)
const comparisons: Comparison[] = []
for (const measure of measures) comparisons.push(await compare(measure, options.pairs, options, progress))
progress.end()
endCrowd()

const faults = carriageFaults(comparisons)
const verdicts = judge(comparisons)
const tables = tablesOf(comparisons)
const report: Report = {
  command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
  date: new Date().toISOString(),
  machine,
  pairs: options.pairs,
  profile: options.profile ?? '',
  pinned: options.pin,
  busy: options.busy,
  comparisons,
  carriageFaults: faults,
  verdicts,
}
await writeJson(options.json, report)
await writeHtml(options.html, report, tables)
if (options.svg !== undefined) await writeSvg(options.svg, report)

for (const { title, comparisons: rows, columns } of tables) {
  console.log(`\n${title}\n${comparisonTable(rows, columns)}`)
}
console.log(`\nTargets\n${verdictTable(verdicts.filter(({ outcome }) => outcome !== 'not measured'))}`)
console.log(`\nMedians of the rounds; a gain above 1x is better, in brackets the worst and best round.`)
console.log(`Written: ${[options.json, options.html].map((file) => relative('', file)).join(', ')}`)
for (const fault of faults) console.error(`NOT CARRIED AS CLAIMED: ${fault}`)
const failures = comparisons.filter(({ failure }) => failure !== undefined)
for (const { measure, failure } of failures) console.error(`FAILED: ${measure.title}: ${failure ?? ''}`)
process.exitCode = faults.length + failures.length > 0 ? 1 : 0

function tablesOf(all: readonly Comparison[]): Table[] {
  const tables: Table[] = [
    {
      title: 'Switched, both ends',
      comparisons: all.filter(
        ({ measure }) => measure.modes.includes('switched') && !measure.modes.includes('wsk'),
      ),
      columns: {
        modes: ['stock', 'uds', 'switched'],
        gains: [
          ['switched', 'stock'],
          ['switched', 'uds'],
        ],
      },
    },
    {
      title: 'Winsock Kernel beside the net face, both switched',
      comparisons: all.filter(({ measure }) => measure.modes.includes('wsk')),
      columns: {
        modes: ['stock', 'switched', 'wsk'],
        gains: [
          ['wsk', 'switched'],
          ['wsk', 'stock'],
        ],
      },
    },
    {
      title: 'One end switched: the connection stays on TCP/IP',
      comparisons: all.filter(({ measure }) => measure.modes.includes('half')),
      columns: {
        modes: ['stock', 'half', 'half-server'],
        gains: [
          ['half', 'stock'],
          ['half-server', 'stock'],
        ],
      },
    },
  ]
  return tables.filter(({ comparisons: rows }) => rows.length > 0)
}

function select(all: readonly Measure[], only: string | undefined): Measure[] {
  if (only === undefined) return [...all]
  const names = only.split(',')
  const unknown = names.filter((name) => !all.some((measure) => matches(measure, name)))
  if (unknown.length > 0) program.error(`Cannot measure ${unknown.join(', ')}: no such measure or group`)
  return all.filter((measure) => names.some((name) => matches(measure, name)))
}

/** `half` names every group that begins so. */
function matches({ name, group }: Measure, wanted: string): boolean {
  return name === wanted || group === wanted || group.startsWith(`${wanted}-`)
}

function output(flags: string, description: string, file: string): Option {
  return new Option(flags, description).default(join(ROOT, file), file)
}

function readCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1)
    throw new InvalidArgumentError('it must be a whole number above 0')
  return count
}
