import type { Difference, Judgement } from './differences.ts'
import type { Verdicts } from './run-all.ts'
import { percent } from './switched-share.ts'
import type { Share } from './switched-share.ts'

const WIDTHS = [20, 6, 22, 22, 6, 24] as const

function row(...cells: readonly string[]): string {
  return cells
    .map((cell, at) => cell.padEnd(WIDTHS[at] ?? 0))
    .join(' ')
    .trimEnd()
}

export function header(): string {
  return row('group', 'tests', 'stock pass/fail/skip', 'switched', 'diff', 'switched connections')
}

export function groupLine(
  group: string,
  stock: Verdicts,
  switched: Verdicts | undefined,
  differences: readonly Difference[],
  share: Share | undefined,
): string {
  const total = String(stock.size)
  if (switched === undefined || share === undefined) return row(group, total, counts(stock))
  const connections = `${share.connects} of ${share.eligible} (${percent(share)})`
  return row(group, total, counts(stock), counts(switched), String(differences.length), connections)
}

function counts(verdicts: Verdicts): string {
  const all = [...verdicts.values()]
  const [pass, fail, skip] = (['pass', 'fail', 'skip'] as const).map(
    (outcome) => all.filter((verdict) => verdict.outcome === outcome).length,
  )
  const alone = all.filter((verdict) => verdict.onlyAlone).length
  return `${pass ?? 0}/${fail ?? 0}/${skip ?? 0}${alone > 0 ? ` (${alone} alone)` : ''}`
}

/** The tests that fail on stock Node here, and so say nothing about the switch. */
export function stockFailures(stock: Verdicts): string[] {
  const failed = [...stock].filter(([, verdict]) => verdict.outcome === 'fail')
  return failed.map(([file, { exit, firstError }]) => `  stock fail  ${file} (${exit}) ${firstError}`)
}

export function differenceLines(judgement: Judgement): string[] {
  return [
    ...judgement.unexpected.map((difference) => `  DIFFERS   ${describe(difference)}`),
    ...judgement.expected.map(
      (difference) => `  expected  ${describe(difference)}\n            ${difference.reason}`,
    ),
    ...judgement.stale.map(
      (file) => `  STALE     ${file} is expected to differ and does not; remove its entry`,
    ),
  ]
}

function describe({ file, stock, switched, exit, firstError }: Difference): string {
  return `${file}: ${stock} -> ${switched} (${exit}) ${firstError}`.trimEnd()
}

/** What passes with the switch and fails without: told, but nobody's fault. */
export function betterLines(stock: Verdicts, switched: Verdicts): string[] {
  const better = [...switched].filter(
    ([file, verdict]) => verdict.outcome === 'pass' && stock.get(file)?.outcome === 'fail',
  )
  return better.map(([file]) => `  better    ${file}: fail -> pass`)
}

export function shareLines(share: Share): string[] {
  const reasons = [...share.tcpip].sort((a, b) => b[1] - a[1]).map(([reason, count]) => `${reason} ${count}`)
  return [
    `connections: ${share.connects} switched of ${share.eligible} eligible (${percent(share)}),` +
      ` ${share.accepts} accepted, in ${share.processes} processes` +
      (share.unreadable > 0 ? `; ${share.unreadable} unreadable reports` : ''),
    `on TCP/IP: ${reasons.length > 0 ? reasons.join(', ') : 'none'}`,
  ]
}
