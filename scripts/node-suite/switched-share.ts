import { existsSync, readFileSync } from 'node:fs'

/** What one process says at its exit about its connections. */
export interface Report {
  readonly san: { readonly connect: number; readonly accept: number }
  /** Connections that stayed on TCP/IP, by reason. */
  readonly tcpip: Readonly<Record<string, number>>
}

/** Reasons for TCP/IP that a switch between two switched processes of one host should not have. */
export const MISSES = ['peer-not-switched', 'handshake-timeout', 'resource', 'version'] as const

export interface Share {
  readonly processes: number
  readonly connects: number
  readonly accepts: number
  /** Connections of a kind the switch carries: its connects, and those that {@link MISSES} kept from it. */
  readonly eligible: number
  readonly tcpip: ReadonlyMap<string, number>
  /** Lines that could not be read, such as one cut short by a kill. */
  readonly unreadable: number
}

export function shareOf(reports: readonly Report[], unreadable = 0): Share {
  const tcpip = new Map<string, number>()
  for (const report of reports) {
    for (const [reason, count] of Object.entries(report.tcpip)) {
      tcpip.set(reason, (tcpip.get(reason) ?? 0) + count)
    }
  }
  const sum = (pick: (report: Report) => number): number =>
    reports.reduce((all, report) => all + pick(report), 0)
  const connects = sum((report) => report.san.connect)
  const missed = MISSES.reduce((all, reason) => all + (tcpip.get(reason) ?? 0), 0)
  return {
    processes: reports.length,
    connects,
    accepts: sum((report) => report.san.accept),
    eligible: connects + missed,
    tcpip,
    unreadable,
  }
}

/** Reads what the processes of the tests wrote; a test that started no process with the switch has no file. */
export function readShare(paths: readonly string[]): Share {
  const reports: Report[] = []
  let unreadable = 0
  for (const path of paths.filter((name) => existsSync(name))) {
    for (const line of readFileSync(path, 'utf8').split('\n')) {
      if (line === '') continue
      const report = parseReport(line)
      if (report === undefined) unreadable += 1
      else reports.push(report)
    }
  }
  return shareOf(reports, unreadable)
}

export function parseReport(line: string): Report | undefined {
  try {
    const value = JSON.parse(line) as Partial<Report>
    if (value.san === undefined || value.tcpip === undefined) return undefined
    return { san: value.san, tcpip: value.tcpip }
  } catch {
    return undefined
  }
}

/** Why `share` does not show that connections were switched, or undefined when it does. */
export function shareProblem(share: Share, minShare: number): string | undefined {
  if (share.processes === 0) return 'no test process reported its connections; is the switch loaded?'
  if (minShare === 0) return undefined
  if (share.eligible === 0)
    return 'no eligible connection was made (use --min-share 0 for groups without any)'
  if (share.connects / share.eligible >= minShare) return undefined
  return `${percent(share)} of the eligible connections were switched, at least ${100 * minShare} % are wanted`
}

export function percent(share: Share): string {
  return share.eligible === 0 ? '-' : `${((100 * share.connects) / share.eligible).toFixed(1)} %`
}
