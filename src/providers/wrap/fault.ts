import { systemClock } from '../../base/clock.ts'
import type { Clock } from '../../base/clock.ts'
import { WSA, failure } from '../../spi/index.ts'
import type { Result, SanProvider, Status, WsaName } from '../../spi/index.ts'
import { intercept } from './intercept.ts'
import type { Call, DownCall, Interceptor, UpCall } from './intercept.ts'

/** Calls that can fail. */
export type FallibleCall = Exclude<DownCall | UpCall, 'calleeData' | 'condition' | 'probe' | 'set' | 'reset'>
/** Calls whose effect may come late without breaking the contract; upcalls of one socket stay in order. */
export type DelayableCall = 'signal' | 'set' | 'completeOverlappedRequest' | 'closeSocketHandle' | 'close'
/** Calls that may come twice without anything new coming of it: the second answer is nobody's. */
export type RepeatableCall =
  | DelayableCall
  | 'addressList'
  | 'bind'
  | 'setSockOpt'
  | 'listen'
  | 'eventSelect'
  | 'enumNetworkEvents'
  | 'memory'
  | 'peerMemory'
  | 'deregisterMemory'
  | 'deregisterRdmaMemory'
  | 'rdmaWrite'
  | 'receive'
/** Calls whose effect may be left out, as a broken provider or a lost peer would; a dropped connect never ends. */
export type DroppableCall = DelayableCall | 'connect'

/** What goes wrong. `nth` counts the calls of that name on the whole provider from 1; without it every one is meant. */
export type Fault = { readonly nth?: number } & (
  | { readonly call: FallibleCall; readonly error: WsaName }
  | { readonly call: DelayableCall; readonly delayMs: number }
  | { readonly call: DroppableCall; readonly drop: true }
  | { readonly call: RepeatableCall; readonly repeat: true }
)

export type FaultOptions = {
  readonly clock?: Clock
} & (
  | { readonly plan: readonly Fault[] }
  | {
      /** Decides everything; a random one when absent. */
      readonly seed?: number
      /** Share of the calls that go wrong, 0 to 1. */
      readonly rate?: number
      /** Told the seed, so that a run can be repeated. */
      readonly print?: (line: string) => void
    }
)

/** Faults that the contract allows any provider: the switch must live with all of them. */
const LAWFUL: readonly Fault[] = [
  { call: 'socket', error: 'WSAENOBUFS' },
  { call: 'socket', error: 'WSAEMFILE' },
  { call: 'bind', error: 'WSAEADDRNOTAVAIL' },
  { call: 'listen', error: 'WSAENOBUFS' },
  { call: 'connect', error: 'WSAETIMEDOUT' },
  { call: 'connect', error: 'WSAENETUNREACH' },
  { call: 'connect', error: 'WSAENOBUFS' },
  { call: 'registerMemory', error: 'WSAENOBUFS' },
  { call: 'registerRdmaMemory', error: 'WSAENOBUFS' },
  { call: 'signal', delayMs: 2 },
  { call: 'set', delayMs: 2 },
  { call: 'completeOverlappedRequest', delayMs: 2 },
  { call: 'closeSocketHandle', delayMs: 2 },
]

const DEFAULT_RATE = 1 / 16

/**
 * A provider like `provider` in which chosen calls fail, come late, come twice or have no effect. A failing call does not reach
 * the provider, but for `close`, after which nothing is open whatever it answers; one that comes late or has none answers as if
 * it had succeeded.
 *
 * @param options A plan, or a seed that chooses among lawful faults and is printed.
 */
export function fault(provider: SanProvider, options: FaultOptions): SanProvider {
  const clock = options.clock ?? systemClock
  if ('plan' in options) return intercept(provider, new FaultInjector(clock, planned(options.plan)))
  const { seed = Math.floor(Math.random() * 2 ** 32), rate = DEFAULT_RATE, print = console.error } = options
  print(`fault: ${provider.name} with seed ${seed}`)
  return intercept(provider, new FaultInjector(clock, seeded(seed, rate)))
}

/** Says what goes wrong with the `nth` call of this name. */
type Choose = (name: Call['name'], nth: number) => Fault | undefined

function planned(plan: readonly Fault[]): Choose {
  return (name, nth) => plan.find((fault) => fault.call === name && (fault.nth ?? nth) === nth)
}

function seeded(seed: number, rate: number): Choose {
  const random = mulberry32(seed)
  return (name) => {
    const choices = LAWFUL.filter((fault) => fault.call === name)
    if (choices.length === 0 || random() >= rate) return undefined
    return choices[Math.floor(random() * choices.length)]
  }
}

/** Numbers in [0, 1) that `seed` decides. @source Tommy Ettinger's public-domain mulberry32 */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Something delayed: made when its time comes, earlier when what follows needs it, or never. */
interface Late {
  readonly make: () => void
  isDue: boolean
}

class FaultInjector implements Interceptor {
  readonly #clock: Clock
  readonly #choose: Choose
  readonly #counts = new Map<string, number>()
  /** By socket and lane; each lane keeps its order. */
  readonly #lanes = new Map<string, Late[]>()
  #isEnding = false

  constructor(clock: Clock, choose: Choose) {
    this.#clock = clock
    this.#choose = choose
  }

  status(call: Call, proceed: () => Status): Status {
    this.#settle(call)
    const fault = this.#faultOf(call)
    if (fault !== undefined && 'error' in fault) {
      if (call.name === 'close') proceed()
      return WSA[fault.error]
    }
    if (fault !== undefined && 'drop' in fault) return call.name === 'connect' ? WSA.WSAEWOULDBLOCK : 0
    const make = fault !== undefined && 'repeat' in fault ? twice(proceed) : proceed
    const delayMs = this.#delayOf(fault)
    const lane = laneOf(call)
    if (delayMs === undefined && !this.#isWaiting(lane)) return make()
    this.#delay(lane, delayMs ?? 0, make)
    return 0
  }

  result<T>(call: Call, proceed: () => Result<T>): Result<T> {
    if (call.name === 'startup') this.#isEnding = false
    const fault = this.#faultOf(call)
    if (fault !== undefined && 'error' in fault) return failure(WSA[fault.error])
    return fault !== undefined && 'repeat' in fault ? twice(proceed)() : proceed()
  }

  value<T>(_call: Call, proceed: () => T): T {
    return proceed()
  }

  notify(call: Call, proceed: () => void): void {
    const fault = this.#faultOf(call)
    if (fault !== undefined && 'drop' in fault) return
    const lane = laneOf(call)
    if (call.name === 'reset') this.#lanes.delete(lane)
    const delayMs = this.#delayOf(fault)
    if (delayMs !== undefined) this.#delay(lane, delayMs, proceed)
    else if (fault !== undefined && 'repeat' in fault) twice(proceed)()
    else proceed()
  }

  #faultOf({ name }: Call): Fault | undefined {
    const nth = (this.#counts.get(name) ?? 0) + 1
    this.#counts.set(name, nth)
    return this.#choose(name, nth)
  }

  /** Nothing is late once the provider ends. */
  #delayOf(fault: Fault | undefined): number | undefined {
    return fault !== undefined && 'delayMs' in fault && !this.#isEnding ? fault.delayMs : undefined
  }

  #isWaiting(lane: string): boolean {
    return (this.#lanes.get(lane)?.length ?? 0) > 0
  }

  #delay(lane: string, delayMs: number, make: () => void): void {
    const waiting = this.#lanes.get(lane) ?? []
    const late: Late = { make, isDue: false }
    waiting.push(late)
    this.#lanes.set(lane, waiting)
    this.#clock.after(delayMs, () => {
      late.isDue = true
      while (waiting[0]?.isDue === true && this.#lanes.get(lane) === waiting) waiting.shift()?.make()
    })
  }

  /** What is late and cannot be after `call`: a signal was sent before the close, an event is replaced, all memory goes. */
  #settle({ name, socket }: Call): void {
    if (name === 'cleanup') {
      this.#isEnding = true
      for (const lane of [...this.#lanes.keys()]) this.#flush(lane)
    }
    if (name === 'close') this.#flush(signalsOf(socket))
    if (name === 'close' || name === 'eventSelect') this.#lanes.delete(eventOf(socket))
  }

  #flush(lane: string): void {
    const waiting = this.#lanes.get(lane) ?? []
    this.#lanes.delete(lane)
    for (const late of waiting) late.make()
  }
}

/** Makes the call, and makes it again; answers what the first one did. */
function twice<T>(proceed: () => T): () => T {
  return () => {
    const answer = proceed()
    proceed()
    return answer
  }
}

/** What keeps its order among itself: the signals, the event or the upcalls of one socket; everything else is at once. */
function laneOf({ name, socket }: Call): string {
  if (name === 'signal' || name === 'close') return signalsOf(socket)
  if (name === 'set' || name === 'reset') return eventOf(socket)
  if (name === 'completeOverlappedRequest' || name === 'closeSocketHandle') return `upcalls of ${socket}`
  return 'at once'
}

function signalsOf(socket: number): string {
  return `signals of ${socket}`
}

function eventOf(socket: number): string {
  return `event of ${socket}`
}
