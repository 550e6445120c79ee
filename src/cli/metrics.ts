import { createServer } from 'node:http'
import type { ProcessReport } from '../compose/report.ts'
import type { FabricStats } from '../providers/fabric/index.ts'
import { askAll } from './ask.ts'
import type { Silent } from './ask.ts'
import { endOf, plainly } from './end-of.ts'

type Labels = Readonly<Record<string, string>>

interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly of: (report: ProcessReport) => readonly (readonly [value: number, labels?: Labels])[]
}

const METRICS: readonly Metric[] = [
  counter('connects', 'Connects that a SAN provider carries.', ({ counters }) => counters.connects),
  counter('accepts', 'Accepted connections that a SAN provider carries.', ({ counters }) => counters.accepts),
  counter('refusals', 'Connects that failed for good over a SAN.', ({ counters }) => counters.refusals),
  {
    name: 'stayed_total',
    type: 'counter',
    help: 'Connections and listeners that stayed on TCP/IP, by reason.',
    of: ({ counters }) =>
      Object.entries(counters.stayed).map(([reason, count]) => [count, { reason }] as const),
  },
  {
    name: 'observed_total',
    type: 'counter',
    help: 'Connections that would have been switched, had it not only been observed.',
    of: ({ counters: { observed } }) => [
      [observed.connects, { role: 'connect' }],
      [observed.accepts, { role: 'accept' }],
    ],
  },
  {
    name: 'connections',
    type: 'gauge',
    help: 'Open connections, by what carries them.',
    of: ({ connections }) => {
      const counts = new Map<string, number>()
      for (const { provider } of connections) counts.set(provider, (counts.get(provider) ?? 0) + 1)
      return [...counts].map(([provider, count]) => [count, { provider }] as const)
    },
  },
  gauge('links', 'Links to other event loops.', ({ counters }) => counters.links),
  gauge(
    'shared_memory_bytes',
    'Shared memory that the process has allocated.',
    ({ counters }) => counters.sharedBytes,
  ),
  counter('wakes', 'Times that a peer rang the doorbell.', ({ counters }) => counters.wakes),
  counter('sleeps', 'Times that the loop went to sleep.', ({ counters }) => counters.sleeps),
  counter('spins', 'Times that the loop spun before sleeping.', ({ counters }) => counters.spins),
  counter('useful_spins', 'Spins that found work.', ({ counters }) => counters.spinHits),
  fabric('links', 'Links to event loops of other hosts.', ({ links }) => links, 'gauge'),
  fabric('connections', 'Connections on those links.', ({ connections }) => connections, 'gauge'),
  fabric('messages_sent', 'Messages sent to other hosts.', ({ messagesSent }) => messagesSent),
  fabric('messages_received', 'Messages that came from there.', ({ messagesReceived }) => messagesReceived),
  fabric('writes', 'RDMA writes into the memory of other hosts.', ({ writes }) => writes),
  fabric('written_bytes', 'Bytes that they wrote.', ({ writtenBytes }) => writtenBytes),
  fabric('reads', 'RDMA reads of large sends of other hosts.', ({ reads }) => reads),
  fabric('read_bytes', 'Bytes that they read.', ({ readBytes }) => readBytes),
  fabric('completions', 'Reports of libfabric that something was done.', ({ completions }) => completions),
  fabric('retries', 'Posts that had to wait for room.', ({ retries }) => retries),
  fabric('errors', 'Operations that failed.', ({ errors }) => errors),
  fabric('silenced', 'Peers that counted as dead because they did not answer.', ({ silenced }) => silenced),
]

function counter(name: string, help: string, of: (report: ProcessReport) => number): Metric {
  return { name: `${name}_total`, type: 'counter', help, of: (report) => [[of(report)]] }
}

function gauge(name: string, help: string, of: (report: ProcessReport) => number): Metric {
  return { name, type: 'gauge', help, of: (report) => [[of(report)]] }
}

function fabric(
  name: string,
  help: string,
  of: (stats: FabricStats) => number,
  type: Metric['type'] = 'counter',
): Metric {
  return {
    name: `fabric_${name}${type === 'counter' ? '_total' : ''}`,
    type,
    help,
    of: ({ counters }) =>
      counters.fabric === undefined ? [] : [[of(counters.fabric), { fabric: counters.fabric.provider }]],
  }
}

/** The counters of all processes in the text format of Prometheus. */
function prometheus(answers: readonly (ProcessReport | Silent)[]): string {
  const reports = answers.filter((answer) => 'counters' in answer)
  const silent = answers.length - reports.length
  const lines = METRICS.flatMap(({ name, type, help, of }) => [
    `# HELP sockswitch_${name} ${help}`,
    `# TYPE sockswitch_${name} ${type}`,
    ...reports.flatMap((report) =>
      of(report).map(
        ([value, labels]) =>
          `sockswitch_${name}${labelText({ ...identity(report), ...labels })} ${String(value)}`,
      ),
    ),
  ])
  const unanswered = [
    '# HELP sockswitch_silent_processes Switched event loops that did not answer.',
    '# TYPE sockswitch_silent_processes gauge',
    `sockswitch_silent_processes ${String(silent)}`,
  ]
  return [...lines, ...unanswered, ''].join('\n')
}

function identity({ pid, thread, command }: ProcessReport): Labels {
  return { pid: String(pid), thread: String(thread), program: command.split(' ')[0] ?? '' }
}

function labelText(labels: Labels): string {
  const escape = (text: string): string =>
    text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escape(value)}"`)
  return `{${pairs.join(',')}}`
}

const PURPOSE = 'tell metrics'

/** Prints the metrics once, or serves them at `/metrics` where `listen` says, as `PORT` or `HOST:PORT`. */
export async function metrics(options: { listen: string | undefined }): Promise<number> {
  // Also before it listens: where nobody can be asked there is nothing to serve.
  const now = prometheus(await askAll(PURPOSE))
  if (options.listen === undefined) {
    process.stdout.write(now)
    return 0
  }
  const { host = '127.0.0.1', port } = whereTo(options.listen)
  const server = createServer((request, response) => {
    if (request.url !== '/metrics') {
      response.writeHead(404).end('/metrics is what there is\n')
      return
    }
    askAll(PURPOSE).then(
      (answers) =>
        response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' }).end(prometheus(answers)),
      (error: unknown) => response.writeHead(500).end(`${(error as Error).message}\n`),
    )
  })
  return new Promise((_, reject) => {
    server.on('error', (error) => {
      reject(cannotListen(String(options.listen), error))
    })
    server.listen(port, host, () => {
      const address = server.address()
      const bound = typeof address === 'object' && address !== null ? address.port : port
      console.log(`http://${host.includes(':') ? `[${host}]` : host}:${String(bound)}/metrics`)
    })
  })
}

function whereTo(listen: string): ReturnType<typeof endOf> {
  try {
    return endOf(listen, 0)
  } catch (error) {
    throw cannotListen(listen, error)
  }
}

function cannotListen(listen: string, cause: unknown): Error {
  return new Error(`Cannot listen at "${listen}": ${plainly(cause)}`, { cause })
}
