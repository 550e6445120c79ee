// `npm run demo`: the same programs without and with the switch, in turn, in less than a minute.
import { program } from 'commander'
import { complainAs } from '../scripts/support/cannot.ts'
import { carriageFaults, compare, roundsOf, type Comparison } from './harness/compare.ts'
import { describeLine, describeMachine } from './harness/machine.ts'
import type { Measure } from './harness/measure.ts'
import { connects, http, oneWay, roundTrip } from './harness/measures.ts'
import { CPU_PER_UNIT, RATE } from './harness/metrics.ts'
import { switchFault } from './harness/paths.ts'
import { Progress } from './harness/progress.ts'
import { showWhatCarries } from './harness/show.ts'
import { comparisonTable } from './harness/tables.ts'

complainAs(program, 'run the demonstration')
  .name('demo')
  .description('Runs unmodified programs with stock Node.js and with the switch, in turn, and compares them.')
  .option('--quick', 'one short round of each', false)
  .option('--pin', 'servers on processor 0, clients on processor 1, by taskset', false)
  .parse()

const PROOF =
  "Proved: the kernel's table of TCP connections held every connection of the stock runs, and none of the switched ones."

const options = program.opts<{ quick: boolean; pin: boolean }>()
const setting = { modes: ['stock', 'switched'] as const, durationMs: options.quick ? 300 : 400 }
const pairs = options.quick ? 1 : 3
const measures = [
  roundTrip(64, setting),
  oneWay(64 * 1024, setting),
  ...[connects(1, setting), http(1, setting), http(50, setting)].map(rateOnly),
]

const fault = switchFault()
if (fault !== undefined) program.error(fault)

const machine = describeMachine()
const progress = new Progress(measures.reduce((sum, measure) => sum + 2 * roundsOf(measure, pairs), 0))
progress.note(
  `${describeLine(machine)}\nEvery measure: two processes, ${pairs} x stock and switched in turn.`,
)
const comparisons: Comparison[] = []
for (const measure of measures) comparisons.push(await compare(measure, pairs, options, progress))
progress.end()

console.log(comparisonTable(comparisons, { modes: ['stock', 'switched'], gains: [['switched', 'stock']] }))
console.log('Medians; a gain above 1x is better. Every byte (of HTTP, every body) was checked on arrival.\n')

const shown = await showWhatCarries().catch((error: unknown) => ({
  text: '',
  faults: [error instanceof Error ? error.message : String(error)],
}))
console.log(shown.text)

const faults = [
  ...comparisons.flatMap(({ measure, failure }) =>
    failure === undefined ? [] : [`${measure.title}: ${failure}`],
  ),
  ...carriageFaults(comparisons),
  ...shown.faults,
]
if (faults.length === 0) {
  console.log(PROOF)
} else {
  console.error('*** THE NUMBERS ABOVE DO NOT COUNT ***')
  for (const fault of faults) console.error(`*** ${fault}`)
  process.exitCode = 1
}

function rateOnly(measure: Measure): Measure {
  return { ...measure, metrics: [RATE, CPU_PER_UNIT] }
}
