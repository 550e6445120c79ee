import { sharedMemoryBytes } from './machine.ts'
import type { AppCall, Measure } from './measure.ts'
import { endpointArguments, MODES, type Mode } from './modes.ts'
import { numberIn, Program, textIn, type ProgramEvent } from './program.ts'
import { countTcpConnections } from './tcp-table.ts'

/** What one pair of processes did, once. */
export interface Run {
  readonly mode: Mode
  readonly seconds: number
  /** Round trips, connections, requests, gigabytes, or connections held. */
  readonly units: number
  /** Both processes together, between the same two moments. */
  readonly cpuUs: number
  /** What connecting added to both processes' private memory and to the host's shared memory. */
  readonly memoryBytes: number
  /** Connections the client held, or opened at the same time. */
  readonly connections: number
  /** Connections that the kernel's TCP table showed; undefined where it cannot be read. */
  readonly tcpConnections: number | undefined
  /** Everything the client reported, such as percentiles. */
  readonly result: Readonly<Record<string, unknown>>
}

export interface RunOptions {
  /** A value for SOCKSWITCH_PROFILE. */
  readonly profile?: string | undefined
  /** One processor for servers and one for clients. */
  readonly pin?: boolean | undefined
}

const ANSWER_TIMEOUT_MS = 10_000
/** Connecting ten thousand times takes seconds; so does the end of a transfer on a busy machine. */
const PHASE_TIMEOUT_MS = 30_000

/** Starts a server and a client, lets them measure once, and ends both whatever happens. */
export async function runOnce(measure: Measure, mode: Mode, options: RunOptions): Promise<Run> {
  const programs: Program[] = []
  const start = (call: AppCall, switched: boolean, args: readonly string[]) => {
    const processor = options.pin === true ? programs.length : undefined
    const program = new Program({
      app: call.app,
      args: [...args, ...call.args],
      switched,
      face: MODES[mode].face,
      profile: options.profile,
      processor,
    })
    programs.push(program)
    return program
  }
  try {
    const { switchedServer, switchedClient } = MODES[mode]
    const server = start(measure.server, switchedServer, endpointArguments(mode))
    const listening = await server.take('listening', ANSWER_TIMEOUT_MS)
    const baseline = await Baseline.take(server, listening, usageCommand(measure))
    const client = start(measure.client, switchedClient, [
      ...addressArguments(listening),
      '--duration',
      String(measure.durationMs),
    ])
    return await follow(measure, mode, { server, client, baseline })
  } finally {
    for (const program of programs.reverse()) await program.stop()
  }
}

function usageCommand(measure: Measure): string {
  return measure.collectsGarbage === true ? 'collect' : 'usage'
}

interface Pair {
  readonly server: Program
  readonly client: Program
  readonly baseline: Baseline
}

async function follow(measure: Measure, mode: Mode, { server, client, baseline }: Pair): Promise<Run> {
  const ready = await client.take('ready', PHASE_TIMEOUT_MS)
  const clientAdded = numberIn(ready['after'], 'privateBytes') - numberIn(ready['before'], 'privateBytes')
  const serverAtStart = await server.ask(usageCommand(measure), 'usage', ANSWER_TIMEOUT_MS)
  const memoryBytes = clientAdded + baseline.addedBytes(serverAtStart)
  const tcpBefore = await baseline.tcpConnections()

  const result = await client.ask('go', 'result', measure.durationMs + PHASE_TIMEOUT_MS)
  const serverAtEnd = await server.ask('usage', 'usage', ANSWER_TIMEOUT_MS)
  const tcpAfter = await baseline.tcpConnections()
  await client.ask('finish', 'finished', PHASE_TIMEOUT_MS)

  const serverCpuUs = numberIn(serverAtEnd, 'cpuUs') - numberIn(serverAtStart, 'cpuUs')
  return {
    mode,
    seconds: numberIn(result, 'seconds'),
    units: numberIn(result, 'units'),
    cpuUs: numberIn(result, 'cpuUs') + serverCpuUs,
    memoryBytes,
    connections: numberIn(ready, 'connections'),
    tcpConnections: tcpBefore === undefined ? undefined : Math.max(tcpBefore, tcpAfter ?? 0),
    result,
  }
}

/** What there was before a server's first client, to be taken off what there is later. */
class Baseline {
  readonly #port: number | undefined
  readonly #tcpAtFirst: number
  readonly #privateAtFirst: number
  readonly #sharedAtFirst = sharedMemoryBytes()

  static async take(server: Program, listening: ProgramEvent, command: string): Promise<Baseline> {
    const usage = await server.ask(command, 'usage', ANSWER_TIMEOUT_MS)
    const port = listening['port'] === undefined ? undefined : numberIn(listening, 'port')
    const tcp = port === undefined ? undefined : await countTcpConnections(port)
    return new Baseline(port, tcp ?? 0, numberIn(usage, 'privateBytes'))
  }

  private constructor(port: number | undefined, tcpAtFirst: number, privateAtFirst: number) {
    this.#port = port
    this.#tcpAtFirst = tcpAtFirst
    this.#privateAtFirst = privateAtFirst
  }

  addedBytes(usage: ProgramEvent): number {
    const shared = sharedMemoryBytes() - this.#sharedAtFirst
    return shared + numberIn(usage, 'privateBytes') - this.#privateAtFirst
  }

  /** A Unix domain socket has no port, and so no TCP connections. */
  async tcpConnections(): Promise<number | undefined> {
    if (this.#port === undefined) return 0
    const now = await countTcpConnections(this.#port)
    return now === undefined ? undefined : Math.max(0, now - this.#tcpAtFirst)
  }
}

export function addressArguments(listening: ProgramEvent): string[] {
  if (listening['path'] !== undefined) return ['--path', textIn(listening, 'path')]
  return ['--host', textIn(listening, 'address'), '--port', textIn(listening, 'port')]
}

/** Says what is wrong with the way a run was carried, or undefined where nothing is. */
export function carriageFault(run: Run): string | undefined {
  const { carrier } = MODES[run.mode]
  const seen = run.tcpConnections
  if (seen === undefined) {
    return carrier === 'san' ? 'there is no kernel table here that could show what carried it' : undefined
  }
  if (carrier === 'tcp' && seen < run.connections) {
    return `it belongs on TCP/IP, and the kernel saw ${seen} of ${run.connections} TCP connections`
  }
  if (carrier !== 'tcp' && seen > 0) return `the kernel saw ${seen} TCP connection${seen === 1 ? '' : 's'}`
  return undefined
}
