import { mkdir, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { chartOfGains, chartsBySize } from './charts.ts'
import { gainOf, valueOf, type Comparison } from './compare.ts'
import { describeLine, type Machine } from './machine.ts'
import { comparisonRows, type Columns } from './tables.ts'
import type { Verdict } from './targets.ts'

/** Everything that was measured, and what is needed to measure it again. */
export interface Report {
  readonly command: string
  readonly date: string
  readonly machine: Machine
  readonly pairs: number
  readonly profile: string
  readonly pinned: boolean
  /** Programs that kept processors busy meanwhile. */
  readonly busy: number
  readonly comparisons: readonly Comparison[]
  /** Runs that were not carried the way their mode says. */
  readonly carriageFaults: readonly string[]
  readonly verdicts: readonly Verdict[]
}

export async function writeJson(file: string, { comparisons, ...report }: Report): Promise<void> {
  const measures = comparisons.map((comparison) => {
    const { measure, rounds, failure } = comparison
    const [base, ...others] = measure.modes
    return {
      name: measure.name,
      title: measure.title,
      durationMs: measure.durationMs,
      ...(failure === undefined ? {} : { failure }),
      metrics: measure.metrics.map((metric) => ({
        name: metric.name,
        unit: metric.unit,
        better: metric.better,
        values: Object.fromEntries(measure.modes.map((mode) => [mode, valueOf(comparison, metric, mode)])),
        timesBetterThanStock: Object.fromEntries(
          others.map((mode) => [mode, gainOf(comparison, metric, mode, base!)]),
        ),
      })),
      rounds,
    }
  })
  await write(file, JSON.stringify({ ...report, measures }, null, 2) + '\n')
}

/** One page that needs nothing else: charts are inline SVG. */
export async function writeHtml(file: string, report: Report, tables: readonly Table[]): Promise<void> {
  const { machine, comparisons, verdicts, carriageFaults } = report
  const about = [
    `<p><code>${escaped(report.command)}</code>, ${escaped(report.date)}, medians of ${report.pairs} rounds`,
    report.profile === '' ? '' : `, profile ${escaped(report.profile)}`,
    `</p><p>${escaped(describeLine(machine))}, load before: ${machine.loadBefore.toFixed(2)}</p>`,
  ]
  const faults = [
    ...carriageFaults,
    ...comparisons.flatMap(({ measure, failure }) =>
      failure === undefined ? [] : [`${measure.title}, ${failure}`],
    ),
  ]
  const gains = chartOfGains(comparisons)
  const charts = [...(gains === undefined ? [] : [gains]), ...chartsBySize(comparisons)]
  const body = [
    '<h1>sockswitch against stock Node.js</h1>',
    ...about,
    ...faults.map((fault) => `<p class="bad">${escaped(fault)}</p>`),
    ...charts.map((svg) => `<figure>${svg}</figure>`),
    '<h2>Targets</h2>',
    htmlTable([['target', 'measured', ''], ...verdicts.map((verdict) => Object.values(verdict) as string[])]),
    ...tables.flatMap(({ title, comparisons: rows, columns }) => [
      `<h2>${escaped(title)}</h2>`,
      htmlTable(comparisonRows(rows, columns), 'labels'),
    ]),
  ]
  await write(file, PAGE_HEAD + body.join('\n') + '\n</html>\n')
}

/** The picture of the gains alone, for a page that shows it. */
export async function writeSvg(file: string, { comparisons }: Report): Promise<void> {
  const svg = chartOfGains(comparisons)
  if (svg === undefined) throw new Error(`Cannot write ${file}: nothing was measured switched against stock`)
  await write(file, svg + '\n')
}

export interface Table {
  readonly title: string
  readonly comparisons: readonly Comparison[]
  readonly columns: Columns
}

const PAGE_HEAD = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>sockswitch against stock Node.js</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
  body { color: #1f2937; background: #fff; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { padding: .2rem .8rem; border-bottom: 1px solid #e5e7eb; text-align: right; }
  th:first-child, td:first-child, .labels td:nth-child(2) { text-align: left; }
  figure { margin: 1.5rem 0; overflow-x: auto; }
  .bad { color: #b91c1c; font-weight: 600; }
</style>
`

function htmlTable([head, ...rows]: readonly (readonly string[])[], name = ''): string {
  const row = (cells: readonly string[], tag: 'th' | 'td') =>
    `<tr>${cells.map((cell) => htmlCell(cell, tag)).join('')}</tr>`
  return `<table class="${name}">${row(head ?? [], 'th')}${rows.map((cells) => row(cells, 'td')).join('\n')}</table>`
}

function htmlCell(text: string, tag: 'th' | 'td'): string {
  return `<${tag}${text === 'not met' ? ' class="bad"' : ''}>${escaped(text)}</${tag}>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

async function write(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text)
}
