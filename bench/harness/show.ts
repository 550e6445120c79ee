import { countByProvider, listConnections } from './listing.ts'
import { numberIn, Program, type ProgramEvent } from './program.ts'
import { addressArguments } from './run.ts'

const TIMEOUT_MS = 10_000
const SWITCHED_CONNECTIONS = 3

/** What `sockswitch ls` prints, and what in it contradicts the claim that a switched pair is switched. */
export interface Shown {
  readonly text: string
  readonly faults: readonly string[]
}

/** Runs `sockswitch ls` while a switched server has a switched client and a stock one. */
export async function showWhatCarries(): Promise<Shown> {
  const programs: Program[] = []
  const start = (app: string, switched: boolean, args: readonly string[]) => {
    const program = new Program({ app, args, switched })
    programs.push(program)
    return program
  }
  const connect = async (listening: ProgramEvent, switched: boolean, count: number) => {
    const client = start('idle', switched, [...addressArguments(listening), '--count', String(count)])
    await client.take('ready', TIMEOUT_MS)
  }
  try {
    const listening = await start('echo-server', true, []).take('listening', TIMEOUT_MS)
    await connect(listening, true, SWITCHED_CONNECTIONS)
    await connect(listening, false, 1)
    const text = await listConnections()
    const port = numberIn(listening, 'port')
    const providers = countByProvider(await listConnections('--json'), port)
    const carried = [...providers].some(
      ([provider, count]) => isSan(provider) && count >= SWITCHED_CONNECTIONS,
    )
    const heading = `$ sockswitch ls      # a switched server on port ${port}, with ${SWITCHED_CONNECTIONS} connections from a switched client and 1 from a stock one`
    const fault = `sockswitch ls shows no provider but TCP/IP for ${SWITCHED_CONNECTIONS} switched connections`
    return { text: `${heading}\n${text}`, faults: carried ? [] : [fault] }
  } finally {
    for (const program of programs.reverse()) await program.stop()
  }
}

function isSan(provider: string): boolean {
  return !provider.toLowerCase().startsWith('tcp')
}
