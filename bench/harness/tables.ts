import Table from 'cli-table3'
import { gainOf, valueOf, type Comparison } from './compare.ts'
import { formatGain, formatValue } from './format.ts'
import type { Metric } from './measure.ts'
import { MODES, type Mode } from './modes.ts'
import type { Spread } from './statistics.ts'
import type { Verdict } from './targets.ts'

/** No colours: the tables are pasted into issues and documents. */
const PLAIN = { style: { head: [], border: [], compact: true } }

/** Which modes get a column, and which are compared with which. */
export interface Columns {
  readonly modes: readonly Mode[]
  readonly gains: readonly (readonly [mode: Mode, base: Mode])[]
}

const LABEL_COLUMNS = 2

export function comparisonRows(comparisons: readonly Comparison[], { modes, gains }: Columns): string[][] {
  const head = [
    'measure',
    '',
    ...modes.map((mode) => MODES[mode].title),
    ...gains.map(([mode, base]) => `${MODES[mode].title} vs ${MODES[base].title}`),
  ]
  const rows = comparisons.flatMap((comparison) =>
    comparison.measure.metrics.map((metric, index) => [
      index === 0 ? comparison.measure.title : '',
      metric.title,
      ...modes.map((mode) => valueText(valueOf(comparison, metric, mode), metric)),
      ...gains.map(([mode, base]) => gainText(gainOf(comparison, metric, mode, base), comparison)),
    ]),
  )
  return [head, ...rows]
}

/** @returns a table for a terminal; numbers are medians over the rounds. */
export function comparisonTable(comparisons: readonly Comparison[], columns: Columns): string {
  const [head, ...rows] = comparisonRows(comparisons, columns)
  const table = new Table({
    head: head!,
    colAligns: head!.map((_, index) => (index < LABEL_COLUMNS ? 'left' : 'right')),
    ...PLAIN,
  })
  for (const row of rows) table.push(row)
  return table.toString()
}

export function verdictTable(verdicts: readonly Verdict[]): string {
  const table = new Table({
    head: ['target', 'measured', ''],
    colAligns: ['left', 'right', 'left'],
    ...PLAIN,
  })
  for (const { text, measured, outcome } of verdicts) {
    table.push([text, measured, outcome === 'not met' ? 'NOT MET' : outcome])
  }
  return table.toString()
}

function valueText(value: Spread | undefined, { unit }: Metric): string {
  return value === undefined ? '-' : formatValue(value.median, unit)
}

/** With more than two rounds, the worst and the best round are shown too. */
function gainText(gain: Spread | undefined, { rounds }: Comparison): string {
  if (gain === undefined) return '-'
  const range = rounds.length > 2 ? ` (${formatGain(gain.min)} - ${formatGain(gain.max)})` : ''
  return formatGain(gain.median) + range
}
