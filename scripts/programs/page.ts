import type { Machine } from '../../bench/harness/machine.ts'
import { describeLine } from '../../bench/harness/machine.ts'
import type { Outcome } from './judgement.ts'

/** `docs/programs.md`: what was run, on what, and what came of it. */
export function page(outcomes: readonly Outcome[], machine: Machine, rounds: number, date: string): string {
  const head = [
    'Program',
    'Exercised',
    'Carried by',
    'Same as stock',
    'Stock, per second',
    'Switched',
    'Ratio',
    'CPU',
  ]
  const rows = outcomes.map((row) => [
    row.name,
    row.exercised,
    row.carriedBy,
    row.same,
    row.stock,
    row.switched,
    row.ratio,
    row.cost,
  ])
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return `# Programs

Servers and clients as people write them, over npm packages as they are published, in two processes; each pair stock and switched in
turn. The programs are in [test/programs](../test/programs); \`npm run test:programs\` installs the packages into a cache folder, runs
them, and writes this page with \`--page\`.

"Same" means that everything the client noted (statuses, headers, bodies, order, errors, codes) reads the same on stock Node.js and
switched. What is counted is requests of one kind, by up to eight at a time, server and client on one machine: it shows harm, not what
the switch is good for ([README](../README.md) has measurements). Redis and PostgreSQL are Debian's packages and not switched:
connections to them stay on TCP/IP, and must not be more than 3 % slower; there a stock and a switched client take turns of a tenth
of a second, in ten times the rounds. Each client warms up for two seconds, until V8 has compiled it. Ratios of rates are medians of
the rounds, in brackets the least and the greatest; "CPU" is the client's CPU time for one operation, switched against stock.

${date}, ${describeLine(machine)}, ${rounds === 1 ? 'one round' : `${rounds} rounds`}.${caution(machine)}

${[line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')}
`
}

/** Above this many runnable processes for each core, the machine is measuring something else too. */
const BUSY_LOAD = 0.5

function caution({ loadBefore, cores }: Machine): string {
  if (loadBefore <= BUSY_LOAD * cores) return ''
  return (
    ` Other work was running (load ${loadBefore.toFixed(1)}): what was seen and what carried it holds,\n` +
    'the rates say little.'
  )
}
