import { AsyncResource } from 'node:async_hooks'
import { appendFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { Liveness } from '../base/liveness.ts'
import { NetFace } from '../faces/net/face.ts'
import { inspectConnections } from '../faces/net/held-arrivals.ts'
import { loadShm } from '../native/load.ts'
import { shm } from '../providers/shm/index.ts'
import type { ShmProvider } from '../providers/shm/index.ts'
import { FabricProvider } from '../providers/fabric/index.ts'
import { createSwitch } from '../switch/switch.ts'
import type { Face } from '../switch/face.ts'
import type { Switch } from '../switch/switch.ts'
import { PROFILES, readConfig } from './config.ts'
import type { Config } from './config.ts'
import { openControl } from './control.ts'
import { composeFabric } from './fabric.ts'
import { hostAddressesChanged } from './host-addresses.ts'
import { ownNames, policyOf } from './policy.ts'
import { report } from './report.ts'

/** The switch of this event loop, with everything put together. */
export interface ProcessSwitch {
  readonly switch: Switch
  readonly face: NetFace
  /** Faces besides that of `node:net`. */
  readonly others: Set<Face>
  readonly shm: ShmProvider
  /** Between hosts, where the environment asks for it; or why it cannot be had. */
  readonly fabric: FabricProvider | { readonly reason: string } | undefined
  readonly config: Config
  /** Keeps the process alive, for every face. */
  readonly liveness: Liveness
  /** Puts the face under `node:net`, once. `everything`: all sockets of the process, not only claimed ones. */
  install(everything: boolean): void
  /** Makes a socket or server this switch's business where not everything is. */
  claim(owner: object): void
  /** Lets `inspect` judge whoever connects to `server`. */
  readonly inspect: typeof inspectConnections
}

/** Only one copy of sockswitch may sit under `node:net`, however often and in whatever format it was loaded. */
const KEY = Symbol.for('sockswitch.process.1')

/** What wakes us later is of nobody's context: not of the one in which the switch happens to be used first. */
const apart = new AsyncResource('SOCKSWITCH', { requireManualDestroy: true })

type Holder = Record<symbol, ProcessSwitch | { readonly unavailable: string } | undefined>

/** The process's switch, made at first use; or why there is none and everything stays on TCP/IP. */
export function processSwitch(): ProcessSwitch | { readonly unavailable: string } {
  const holder = globalThis as unknown as Holder
  return (holder[KEY] ??= apart.runInAsyncScope(compose))
}

/**
 * The face for `node:net` over a switch, in the turns of its shared-memory provider.
 *
 * @throws where Node keeps its bindings closed.
 */
export function faceOver(
  theSwitch: Switch,
  provider: ShmProvider,
  liveness: Liveness,
  covers: (owner: object | undefined) => boolean,
): NetFace {
  const { native: host, schedule, soon, scheduleOutside } = provider
  const keepAlive = (on: boolean): void => {
    if (on) liveness.hold()
    else liveness.release()
  }
  return new NetFace({ switch: theSwitch, host, schedule, soon, scheduleOutside, keepAlive }, covers)
}

function compose(): ProcessSwitch | { readonly unavailable: string } {
  const config = readConfig(process.env)
  if (config.mode === 'off') return { unavailable: 'SOCKSWITCH=off' }
  const loaded = loadShm()
  if ('reason' in loaded) return { unavailable: loaded.reason }
  const { native } = loaded
  if (config.statsFile !== undefined) append(config.statsFile, '', 'start sockswitch')
  // With one usable CPU the peer cannot run while we spin.
  const spinMicroseconds = availableParallelism() > 1 ? PROFILES[config.profile].spinMicroseconds : 0
  const provider = shm({ native, spinMicroseconds })
  let fabric = composeFabric(
    config.fabric,
    provider.turns,
    (reason) => {
      if (fabric instanceof FabricProvider) theSwitch.remove(fabric)
      fabric = { reason }
      complain()
    },
    PROFILES[config.profile].spinMicroseconds,
  )
  const policy = policyOf({ rules: config.rules, observe: config.mode === 'observe', program: ownNames })
  const theSwitch = createSwitch({
    // This host's own addresses are in its networks, too: shared memory comes first.
    san: fabric instanceof FabricProvider ? [provider, fabric] : [provider],
    schedule: provider.schedule,
    addressesChanged: hostAddressesChanged(),
    ...(policy && { policy }),
  })
  const liveness = new Liveness((on) => {
    provider.keepAlive(on)
  })
  const claimed = new WeakSet()
  let everything = false
  let face: NetFace
  try {
    face = faceOver(
      theSwitch,
      provider,
      liveness,
      (owner) => everything || (owner !== undefined && claimed.has(owner)),
    )
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) }
  }
  let installed = false
  const complain = (): void => {
    if (!installed || fabric === undefined || fabric instanceof FabricProvider) return
    warn(`connections to other hosts stay on TCP/IP: ${fabric.reason}`)
  }
  const whole: ProcessSwitch = {
    switch: theSwitch,
    face,
    others: new Set(),
    shm: provider,
    get fabric() {
      return fabric
    },
    config,
    liveness,
    install(all) {
      everything ||= all
      if (installed) return
      installed = true
      complain()
      face.install()
      openControl(native, () => report(whole))
      process.on('exit', () => {
        goodbye(whole)
      })
    },
    claim(owner) {
      claimed.add(owner)
      face.claimed(owner)
    },
    inspect: inspectConnections,
  }
  return whole
}

/** How long the end of the process waits until peers on other hosts have taken what was written. */
const FAREWELL_MS = 500

// What was written is in the peers' hands already, on this host; an orderly exit adds the end of each stream.
function goodbye(whole: ProcessSwitch): void {
  whole.face.farewell()
  for (const face of whole.others) face.farewell()
  if (whole.fabric instanceof FabricProvider) whole.fabric.farewell(FAREWELL_MS)
  if (whole.config.statsFile === undefined) return
  const { stats } = whole.switch
  const line = {
    pid: process.pid,
    argv1: process.argv[1],
    san: { connect: stats.connects, accept: stats.accepts },
    tcpip: stats.reasons,
    observed: stats.observed,
  }
  try {
    append(whole.config.statsFile, `${JSON.stringify(line)}\n`, 'write counters')
  } catch (error) {
    // The program has ended as it wanted to.
    process.stderr.write(`${(error as Error).message}\n`)
  }
}

function append(path: string, text: string, purpose: string): void {
  try {
    appendFileSync(path, text)
  } catch (error) {
    throw new Error(`Cannot ${purpose}: SOCKSWITCH_STATS_FILE: ${(error as Error).message}`, { cause: error })
  }
}

let warned = false

/** Says once, on stderr, that everything stays on TCP/IP; silent where the user asked for it. */
export function warnUnavailable(unavailable: string): void {
  if (warned || unavailable === 'SOCKSWITCH=off') return
  warned = true
  warn(`every connection stays on TCP/IP: ${unavailable}`)
}

function warn(what: string): void {
  process.stderr.write(`sockswitch: ${what}\n`)
}
