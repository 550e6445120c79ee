import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { readConfig } from '../compose/config.ts'
import { CONTROL_PREFIX } from '../compose/control.ts'
import { composeFabric } from '../compose/fabric.ts'
import { policyOf } from '../compose/policy.ts'
import type { ListenerRow, ProcessReport } from '../compose/report.ts'
import { literalDestination } from '../faces/net/addresses.ts'
import { loadShm } from '../native/load.ts'
import { FabricProvider } from '../providers/fabric/index.ts'
import { shm } from '../providers/shm/index.ts'
import { formatAddress, isWildcard } from '../spi/index.ts'
import type { SocketAddress } from '../spi/index.ts'
import type { ExplainedStep, Explanation } from '../switch/explain.ts'
import { createSwitch } from '../switch/switch.ts'
import { NO_ANSWER, askAll } from './ask.ts'
import { endOf, plainly } from './end-of.ts'
import { REMEDIES } from './remedies.ts'

export interface ExplainOptions {
  readonly json: boolean
  /** About a listener instead of a connect. */
  readonly listen: boolean
  /** The program whose rules count; without it only rules for every program do. */
  readonly program: string | undefined
}

/** How long a provider may take to start, or a link to come up, and how often it is looked at, in ms. */
const START_MS = 5000
const LOOK_MS = 50

interface Answer extends Explanation {
  readonly address: SocketAddress
  readonly remedy?: string
  /** Switched processes that listen there, and why they do not on the SAN. */
  readonly listeners: readonly { readonly pid: number; readonly command: string; readonly reason?: string }[]
}

/** Tells what a connect to `target` would do; 0: switched to every address, 1: not. @throws where there is nothing to tell. */
export async function explain(target: string, options: ExplainOptions): Promise<number> {
  const ends = await resolve(target, options.listen).catch((error: unknown) => {
    throw new Error(`Cannot explain "${target}": ${plainly(error)}`, { cause: error })
  })
  const answers = await examine(ends, options)
  if (options.json) console.log(JSON.stringify({ target, answers }, null, 2))
  else for (const answer of answers) show(answer, options)
  return answers.every(({ provider }) => provider !== undefined) ? 0 : 1
}

/** `HOST:PORT`, `[::1]:PORT` or a bare port, as addresses of either family. */
async function resolve(target: string, listen: boolean): Promise<readonly SocketAddress[]> {
  const { host = listen ? '::' : 'localhost', port } = endOf(target, 1)
  if (listen && isWildcard({ family: 'IPv6', address: host, port })) {
    return [{ family: host === '::' ? 'IPv6' : 'IPv4', address: host, port }]
  }
  const addresses =
    isIP(host) > 0 ? [host] : (await lookup(host, { all: true })).map(({ address }) => address)
  const ends = addresses
    .map((address) => literalDestination(address, port))
    .filter((end) => end !== undefined)
  if (ends.length === 0) throw new Error('addresses with a zone, as %eth0, always stay on TCP/IP')
  return ends
}

async function examine(ends: readonly SocketAddress[], options: ExplainOptions): Promise<readonly Answer[]> {
  const config = readConfig(process.env)
  const loaded = loadShm()
  if (config.mode === 'off') return ends.map((end) => unavailable(end, 'SOCKSWITCH=off', 'off'))
  if ('reason' in loaded) return ends.map((end) => unavailable(end, loaded.reason, 'no-route'))
  const names = [...(options.program === undefined ? [] : [options.program]), process.execPath]
  const policy = policyOf({ rules: config.rules, observe: config.mode === 'observe', program: () => names })
  const provider = shm({ native: loaded.native })
  let fabric = composeFabric(config.fabric, provider.turns, (reason) => {
    if (fabric instanceof FabricProvider) theSwitch.remove(fabric)
    fabric = { reason }
  })
  const san = fabric instanceof FabricProvider ? [provider, fabric] : [provider]
  const theSwitch = createSwitch({ san, ...(policy && { policy }) })
  // Only a link tells whether a peer answers.
  let unlinked = fabric instanceof FabricProvider && !options.listen ? await withLocals(ends) : []
  const ask = (): readonly Explanation[] => {
    unlinked = unlinked.filter(
      ({ local, end }) => fabric instanceof FabricProvider && !fabric.reach(local, end),
    )
    return ends.map((end) => (options.listen ? theSwitch.explainListen(end) : theSwitch.explainConnect(end)))
  }
  let explained = ask()
  const deadline = performance.now() + START_MS
  // A provider that has just been started may not know yet what it can do.
  while (explained.some(({ reason }) => reason === 'starting') && performance.now() < deadline) {
    await sleep(LOOK_MS)
    explained = ask()
  }
  theSwitch.close()
  const asked = await askAll('explain')
  const processes = asked.filter((answer) => 'listeners' in answer)
  const silent = asked.filter((answer) => 'problem' in answer).filter(({ problem }) => problem === NO_ANSWER)
  return ends.map((address, at) => {
    const judged = withFabric(explained[at] ?? { steps: [] }, fabric)
    const explanation = withSilence(judged, (processId) => {
      const answers = processes.some(({ pid }) => pid === processId)
      return !answers && silent.some(({ name }) => name.startsWith(`${CONTROL_PREFIX}${String(processId)}.`))
    })
    const listeners = listenersAt(processes, address)
    const remedy = remedyFor(explanation, listeners)
    return { address, ...explanation, ...(remedy !== undefined && { remedy }), listeners }
  })
}

/** Where nobody serves the address, why no fabric does. */
function withFabric(explanation: Explanation, fabric: ReturnType<typeof composeFabric>): Explanation {
  if (explanation.reason !== 'no-route' || fabric === undefined || fabric instanceof FabricProvider)
    return explanation
  const why = (step: ExplainedStep): ExplainedStep =>
    step.reason === undefined ? step : { ...step, detail: `${step.detail}; no fabric: ${fabric.reason}` }
  return { ...explanation, steps: explanation.steps.map(why) }
}

/** A peer that is stopped, or busy, keeps its rendezvous and does not answer there. */
function withSilence(explanation: Explanation, isSilent: (processId: number) => boolean): Explanation {
  const { provider, steps } = explanation
  const { processId } = steps.find((step) => step.processId !== undefined) ?? {}
  if (provider === undefined || processId === undefined || !isSilent(processId)) return explanation
  const reason = 'handshake-timeout'
  return {
    reason,
    steps: [...steps, { what: 'answer', detail: `process ${String(processId)} ${NO_ANSWER}`, reason }],
  }
}

/** Each end with the address from which this host reaches it; without those it does not reach. */
async function withLocals(
  ends: readonly SocketAddress[],
): Promise<{ readonly local: SocketAddress; readonly end: SocketAddress }[]> {
  const found = await Promise.all(
    ends.map(async (end) => {
      const socket = createSocket(end.family === 'IPv4' ? 'udp4' : 'udp6')
      try {
        // Sends nothing: the kernel looks up the route.
        await new Promise<void>((resolve, reject) => {
          socket.once('error', reject)
          socket.connect(end.port, end.address, resolve)
        })
        return [{ local: { ...end, ...socket.address() } as SocketAddress, end }]
      } catch {
        return []
      } finally {
        socket.close()
      }
    }),
  )
  return found.flat()
}

function unavailable(address: SocketAddress, detail: string, reason: 'off' | 'no-route'): Answer {
  const remedy = REMEDIES[reason] ?? 'see `sockswitch doctor`'
  return { address, reason, steps: [{ what: 'switch', detail, reason }], remedy, listeners: [] }
}

function listenersAt(processes: readonly ProcessReport[], address: SocketAddress): Answer['listeners'] {
  return processes.flatMap(({ pid, command, listeners }) =>
    listeners
      .filter(({ local }) => covers(local, address))
      .map(({ reason }: ListenerRow) => ({ pid, command, ...(reason !== undefined && { reason }) })),
  )
}

function covers(local: SocketAddress, { family, address, port }: SocketAddress): boolean {
  if (local.port !== port) return false
  return local.address === address || (isWildcard(local) && (local.family === 'IPv6' || family === 'IPv4'))
}

function remedyFor({ reason }: Explanation, listeners: Answer['listeners']): string | undefined {
  if (reason === undefined) return undefined
  const there = listeners.find((listener) => listener.reason !== undefined)
  if (reason === 'peer-not-switched' && there?.reason !== undefined) {
    return `process ${String(there.pid)} (${there.command}) is switched; its listener is not: ${there.reason}`
  }
  return REMEDIES[reason]
}

function show(answer: Answer, { listen }: ExplainOptions): void {
  const { address, provider, reason, steps, remedy } = answer
  const outcome =
    provider === undefined ? `TCP/IP, reason ${reason ?? 'unknown'}` : `switched, over ${provider}`
  console.log(`${listen ? 'listen at' : 'connect to'} ${formatAddress(address)}: ${outcome}`)
  for (const step of steps) {
    console.log(`  ${step.reason === undefined ? 'ok' : 'NO'}  ${step.what.padEnd(13)} ${step.detail}`)
  }
  if (remedy !== undefined) console.log(`      remedy: ${remedy}`)
}
