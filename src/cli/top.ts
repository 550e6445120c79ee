import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionRow, ProcessReport } from '../compose/report.ts'
import { askAll } from './ask.ts'
import { addressText, drawTable, formatBytes } from './format.ts'

export interface TopOptions {
  /** Seconds between two looks. */
  readonly interval: number
  /** How many times it is shown; undefined: until it is ended. */
  readonly count: number | undefined
}

/** What one event loop did since the last look, per second; bytes of connections that are open. */
interface Rates {
  readonly report: ProcessReport
  readonly switched: number
  readonly onTcpip: number
  readonly connects: number
  readonly accepts: number
  readonly stayed: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly wakes: number
}

const COLUMNS = [
  { head: 'process' },
  { head: 'program' },
  { head: 'switched', align: 'right' },
  { head: 'TCP/IP', align: 'right' },
  { head: 'connects/s', align: 'right' },
  { head: 'accepts/s', align: 'right' },
  { head: 'stayed/s', align: 'right' },
  { head: 'in/s', align: 'right' },
  { head: 'out/s', align: 'right' },
  { head: 'wake-ups/s', align: 'right' },
  { head: 'shared', align: 'right' },
] as const

/** Clears the screen and goes to its top. */
const CLEAR = '\u001B[2J\u001B[H'
const MAX_PROGRAM = 40

/** Shows again and again what the switched processes do. */
export async function top({ interval, count }: TopOptions): Promise<number> {
  let before: readonly ProcessReport[] = []
  let lookedAt = performance.now()
  for (let shown = 0; shown <= (count ?? Infinity); shown += 1) {
    const answers = await askAll('watch switched processes')
    const reports = answers.filter((answer) => 'counters' in answer)
    const now = performance.now()
    // The first look only tells where counting starts.
    if (shown > 0) {
      const rates = ratesOf(before, reports, (now - lookedAt) / 1000)
      process.stdout.write(
        `${process.stdout.isTTY ? CLEAR : ''}${draw(rates, answers.length - reports.length)}\n`,
      )
    }
    before = reports
    lookedAt = now
    if (shown < (count ?? Infinity)) await sleep(interval * 1000)
  }
  return 0
}

function ratesOf(before: readonly ProcessReport[], now: readonly ProcessReport[], seconds: number): Rates[] {
  const earlier = new Map(before.map((report) => [keyOf(report), report]))
  return now.map((report) => {
    const last = earlier.get(keyOf(report))
    const rate = (count: (report: ProcessReport) => number): number =>
      Math.max(0, count(report) - (last === undefined ? 0 : count(last))) / seconds
    const bytes = bytesSince(last, report)
    const switched = report.connections.filter(({ provider }) => provider !== 'tcpip').length
    return {
      report,
      switched,
      onTcpip: report.connections.length - switched,
      connects: rate(({ counters }) => counters.connects),
      accepts: rate(({ counters }) => counters.accepts),
      stayed: rate(({ counters }) => Object.values(counters.stayed).reduce((sum, n) => sum + n, 0)),
      bytesIn: bytes.in / seconds,
      bytesOut: bytes.out / seconds,
      wakes: rate(({ counters }) => counters.wakes),
    }
  })
}

function keyOf({ pid, thread }: ProcessReport): string {
  return `${String(pid)}.${String(thread)}`
}

// A connection that was not there before has carried all its bytes since.
function bytesSince(last: ProcessReport | undefined, report: ProcessReport): { in: number; out: number } {
  const key = ({ direction, local, remote }: ConnectionRow): string =>
    `${direction} ${addressText(local)} ${addressText(remote)}`
  const earlier = new Map(last?.connections.map((row) => [key(row), row]))
  const sum = { in: 0, out: 0 }
  for (const row of report.connections) {
    const then = earlier.get(key(row))
    sum.in += Math.max(0, row.bytesRead - (then?.bytesRead ?? 0))
    sum.out += Math.max(0, row.bytesWritten - (then?.bytesWritten ?? 0))
  }
  return sum
}

function draw(rates: readonly Rates[], silent: number): string {
  const rows = [...rates]
    .sort(
      (a, b) =>
        b.bytesIn + b.bytesOut + b.connects + b.accepts - (a.bytesIn + a.bytesOut + a.connects + a.accepts),
    )
    .map(({ report, ...of }) => [
      keyOf(report).replace(/\.0$/, ''),
      report.command.slice(0, MAX_PROGRAM),
      String(of.switched),
      String(of.onTcpip),
      perSecond(of.connects),
      perSecond(of.accepts),
      perSecond(of.stayed),
      formatBytes(of.bytesIn),
      formatBytes(of.bytesOut),
      perSecond(of.wakes),
      formatBytes(report.counters.sharedBytes),
    ])
  const table = rows.length === 0 ? 'No switched process of this user runs here.' : drawTable(COLUMNS, rows)
  return silent === 0 ? table : `${table}\n${String(silent)} did not answer`
}

function perSecond(rate: number): string {
  return rate < 10 && rate % 1 !== 0 ? rate.toFixed(1) : String(Math.round(rate))
}
