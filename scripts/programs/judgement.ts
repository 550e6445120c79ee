import type { ProgramEntry } from './catalogue.ts'
import type { ProgramRun } from './run.ts'

/** One row of the table, and what is wrong with it. */
export interface Outcome {
  readonly name: string
  readonly exercised: string
  readonly carriedBy: string
  readonly same: string
  readonly stock: string
  readonly switched: string
  readonly ratio: string
  readonly cost: string
  readonly faults: readonly string[]
}

/** What the switch may cost of the rate where the peer is not switched. */
const HARM = 0.03
/** Of the connections that both ends can switch, at least this share is. */
const LEAST_SWITCHED = 0.9

/** @param missing Why it was not run. */
export function judge(
  name: string,
  entry: ProgramEntry,
  stock: readonly ProgramRun[],
  switched: readonly ProgramRun[],
  missing?: string,
): Outcome {
  const row = { name, exercised: entry.exercised }
  const blank = {
    carriedBy: '-',
    same: '-',
    stock: '-',
    switched: '-',
    ratio: '-',
    cost: '-',
  }
  if (missing !== undefined) return { ...row, ...blank, same: `not run: ${missing}`, faults: [] }
  if (stock.length === 0) return { ...row, ...blank, faults: [] }
  const before = median(stock.map(({ perSecond }) => perSecond))
  const after = median(switched.map(({ perSecond }) => perSecond))
  const ratios = stock.map(({ perSecond }, at) => (switched[at]?.perSecond ?? 0) / perSecond)
  const cost =
    median(switched.map((run) => run.cpuMicroseconds)) / median(stock.map((run) => run.cpuMicroseconds))
  const real = typeof entry.server !== 'string'
  const carried = carriage(switched)
  const differing = differences(stock, switched)
  const faults = [...differing]
  if (real && carried.san > 0) faults.push('connections to a peer that is not switched claim to be')
  if (real && median(ratios) < 1 - HARM) faults.push(`${percent(median(ratios))} of the rate on stock`)
  if (!real && carried.share < LEAST_SWITCHED)
    faults.push(`only ${percent(carried.share)} of the connections were switched: ${carried.text}`)
  return {
    ...row,
    carriedBy: carried.text,
    same: differing.length === 0 ? `yes (${stock[0]?.notes.length ?? 0} checks)` : 'NO',
    stock: Math.round(before).toLocaleString('en'),
    switched: Math.round(after).toLocaleString('en'),
    ratio: `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`,
    cost: cost.toFixed(2),
    faults,
  }
}

/** What the clients saw otherwise with the switch; and what differs between stock runs says nothing. */
function differences(stock: readonly ProgramRun[], switched: readonly ProgramRun[]): string[] {
  const usual = stock[0]?.notes ?? []
  const unsteady = new Set(stock.flatMap(({ notes }) => notes.filter((note, at) => note !== usual[at])))
  return switched.flatMap(({ notes }) =>
    notes.flatMap((note, at) =>
      note === usual[at] || unsteady.has(note)
        ? []
        : [`saw "${clip(note)}" instead of "${clip(usual[at] ?? '')}"`],
    ),
  )
}

function clip(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}…` : text
}

function carriage(runs: readonly ProgramRun[]): {
  san: number
  share: number
  text: string
} {
  const reasons = new Map<string, number>()
  let san = 0
  for (const report of runs.flatMap(({ client }) => client)) {
    san += report.san.connect
    for (const [reason, count] of Object.entries(report.tcpip))
      reasons.set(reason, (reasons.get(reason) ?? 0) + count)
  }
  const tcpip = [...reasons.values()].reduce((all, count) => all + count, 0)
  const parts = [
    ...(san > 0 ? [`SAN ${san}`] : []),
    ...[...reasons].map(([reason, count]) => `TCP/IP ${count} (${reason})`),
  ]
  return {
    san,
    share: san + tcpip === 0 ? 0 : san / (san + tcpip),
    text: parts.join(', ') || 'nothing',
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? 0)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`
}
