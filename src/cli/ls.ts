import type { ConnectionRow, ProcessReport } from '../compose/report.ts'
import { askAll } from './ask.ts'
import { addressText, deviceText, drawTable, formatBytes } from './format.ts'

/** Rows printed one by one per process; a summary stands for the rest. `--json` has them all. */
const MAX_ROWS = 40

const COLUMNS = [
  { head: '' },
  { head: 'local' },
  { head: 'remote' },
  { head: 'state' },
  { head: 'carried by' },
  { head: 'in', align: 'right' },
  { head: 'out', align: 'right' },
] as const

/** Lists the switched processes; 0, also when there are none. */
export async function ls(options: { json: boolean }): Promise<number> {
  const answers = await askAll('list switched processes')
  if (options.json) {
    console.log(JSON.stringify({ processes: answers }, null, 2))
    return 0
  }
  if (answers.length === 0) {
    console.log('No switched process of this user runs here. Start one with: sockswitch run APP')
  }
  for (const answer of answers) {
    if ('problem' in answer) console.log(`${answer.name}: ${answer.problem}`)
    else show(answer)
  }
  return 0
}

function show(report: ProcessReport): void {
  const { counters: c } = report
  console.log(`${nameOf(report)}  ${report.command}  (${settings(report)})`)
  const rows = [
    ...report.listeners.map(({ local, providers, reason }) => [
      'listen',
      addressText(local),
      '',
      '',
      withReason(providers.join(' + '), reason),
      '',
      '',
    ]),
    ...report.connections.slice(0, MAX_ROWS).map(cells),
  ]
  if (rows.length > 0) console.log(drawTable(COLUMNS, rows))
  const hidden = report.connections.length - MAX_ROWS
  if (hidden > 0) console.log(`… and ${String(hidden)} more connections (--json lists them all)`)
  const stayed = Object.entries(c.stayed).map(([reason, n]) => `${reason} ${String(n)}`)
  console.log(
    [
      `SAN connects ${String(c.connects)}, accepts ${String(c.accepts)}`,
      `stayed on TCP/IP: ${stayed.join(', ') || 'none'}`,
      ...(c.observed.connects + c.observed.accepts === 0
        ? []
        : [
            `would have been switched: connects ${String(c.observed.connects)}, accepts ${String(c.observed.accepts)}`,
          ]),
      `links ${String(c.links)}, shared memory ${formatBytes(c.sharedBytes)}`,
      `wake-ups ${String(c.wakes)}, sleeps ${String(c.sleeps)}, spins ${String(c.spinHits)}/${String(c.spins)} useful`,
      ...fabricCells(report),
    ].join('; ') + '\n',
  )
}

function fabricCells({ providers, counters: { fabric } }: ProcessReport): string[] {
  const unavailable = providers.find(({ name }) => name === 'fabric')?.unavailable
  if (unavailable !== undefined) return [`no fabric: ${unavailable}`]
  if (fabric === undefined) return []
  const { provider, devices, links, connections, messagesSent, messagesReceived, writes, writtenBytes } =
    fabric
  const { reads, readBytes, completions, retries, errors, silenced } = fabric
  return [
    `fabric ${provider} on ${deviceText(devices)}: links ${String(links)}, connections ${String(connections)}`,
    `messages out ${String(messagesSent)} in ${String(messagesReceived)}, RDMA writes ${String(writes)} (${formatBytes(writtenBytes)}), reads ${String(reads)} (${formatBytes(readBytes)})`,
    `completions ${String(completions)}, retries ${String(retries)}, errors ${String(errors)}, silent peers ${String(silenced)}`,
  ]
}

function nameOf({ pid, thread }: ProcessReport): string {
  return thread === 0 ? String(pid) : `${String(pid)}, thread ${String(thread)}`
}

function settings({ node, profile, mode, rules }: ProcessReport): string {
  const count = rules.length
  return [
    `node ${node}`,
    `profile ${profile}`,
    ...(mode === 'observe' ? ['only observing'] : []),
    ...(count === 0 ? [] : [`${String(count)} ${count === 1 ? 'rule' : 'rules'}`]),
  ].join(', ')
}

function cells(row: ConnectionRow): string[] {
  return [
    row.direction,
    addressText(row.local),
    addressText(row.remote),
    row.state,
    withReason(row.provider, row.reason),
    formatBytes(row.bytesRead),
    formatBytes(row.bytesWritten),
  ]
}

function withReason(provider: string, reason: string | undefined): string {
  return reason === undefined ? provider : `${provider} (${reason})`
}
