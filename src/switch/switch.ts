import { SPI_VERSION, WSA } from '../spi/index.ts'
import type {
  AddressFamily,
  Result,
  SanProvider,
  SocketAddress,
  Status,
  TcpipSocket,
  WsaCode,
} from '../spi/index.ts'
import { systemClock } from '../base/clock.ts'
import type { Cancel, Clock } from '../base/clock.ts'
import { explainConnect, explainListen } from './explain.ts'
import type { Explanation } from './explain.ts'
import type { Schedule } from './network-event.ts'
import { Misses } from './misses.ts'
import type { Policy } from './policy.ts'
import { RouteTable } from './route-table.ts'
import { resumeSession } from './resume.ts'
import type { Session } from './session/session.ts'
import { SwitchSocket } from './socket.ts'
import type { SocketEnvironment } from './socket.ts'
import { endProvider, started } from './started-provider.ts'
import type { StartedProvider } from './started-provider.ts'
import { Stats } from './stats.ts'
import { UpcallTable } from './upcall-table.ts'
import { MIN_REGION_BYTES } from './session/layout.ts'

export interface SwitchOptions {
  /** The SAN providers, the preferred one first. */
  readonly san: readonly SanProvider[]
  readonly clock?: Clock
  /** Runs a job soon, in a turn of its own; `setImmediate` unless a provider knows better. */
  readonly schedule?: Schedule
  /** What the user wants switched; everything that can be, unless given. */
  readonly policy?: Policy
  /**
   * True when the addresses of this host have changed since it was last asked; the providers are asked again then. Asked when
   * nobody serves an address, once a second at most: nothing tells Node.
   */
  readonly addressesChanged?: () => boolean
  /** How long a peer may take to answer before the connect goes on over TCP/IP, in ms. */
  readonly connectTimeoutMs?: number
  /** How long the peer's application may judge a request that it has deferred, in ms. */
  readonly judgementTimeoutMs?: number
  /** How long an accepted initiator may take to say that it goes through with the connection, in ms. */
  readonly negotiationTimeoutMs?: number
}

// A peer that is busy would leave a TCP connection alone for as long; Node gives an address up after 250 ms.
const DEFAULT_CONNECT_TIMEOUT_MS = 200
/** When Linux gives up a TCP connect that nobody answers: after six repeated SYNs. */
const DEFAULT_JUDGEMENT_TIMEOUT_MS = 127_000
const DEFAULT_NEGOTIATION_TIMEOUT_MS = 2000
/** How often, at most, it is asked whether the addresses of this host have changed. */
const LOOK_EVERY_MS = 1000

/** What became of each provider at start-up. */
export interface ProviderReport {
  readonly name: string
  readonly description?: string
  /** Why it is not used. */
  readonly error?: WsaCode
}

/**
 * Chooses, per connection, the ordinary TCP/IP provider or a SAN provider, and supplies TCP's semantics on top of the
 * latter. Several may live in one process; none is global.
 *
 * @source WSD §2, §3.1
 */
export class Switch {
  readonly stats = new Stats()
  readonly #routes: RouteTable
  readonly #environment: SocketEnvironment
  readonly #providers: StartedProvider[] = []
  readonly #reports = new Map<SanProvider, ProviderReport>()
  readonly #listeners = new Set<SwitchSocket>()
  /** Taken out of use, with connections left. */
  readonly #leaving = new Set<StartedProvider>()
  #nextLook = 0

  constructor(options: SwitchOptions) {
    const clock = options.clock ?? systemClock
    const { addressesChanged } = options
    this.#routes = new RouteTable(() => addressesChanged !== undefined && this.#look(clock, addressesChanged))
    this.#environment = {
      routes: this.#routes,
      misses: new Misses(clock),
      policy: options.policy,
      stats: this.stats,
      clock,
      schedule: options.schedule ?? ((job) => setImmediate(job)),
      connectTimeoutMs: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      judgementTimeoutMs: options.judgementTimeoutMs ?? DEFAULT_JUDGEMENT_TIMEOUT_MS,
      negotiationTimeoutMs: options.negotiationTimeoutMs ?? DEFAULT_NEGOTIATION_TIMEOUT_MS,
    }
    for (const provider of options.san) this.add(provider)
  }

  /** The providers in use, and those that could not be started. */
  get reports(): readonly ProviderReport[] {
    return [...this.#reports.values()]
  }

  /** Starts a provider; it joins the wildcard listeners that stand (WSD-INST-9). One that fails to start is left out. */
  add(provider: SanProvider): void {
    const upcalls = new UpcallTable()
    const data = provider.startup({ version: SPI_VERSION, upcalls })
    if (!data.ok) {
      this.#reports.set(provider, { name: provider.name, error: data.error })
      return
    }
    const { description, limits } = data.value
    const addresses = provider.addressList()
    if (!addresses.ok || limits.regionBytes < MIN_REGION_BYTES) {
      provider.cleanup()
      this.#reports.set(provider, {
        name: provider.name,
        error: addresses.ok ? WSA.WSAEINVAL : addresses.error,
      })
      return
    }
    const entry = started(provider, description, limits, upcalls)
    this.#environment.misses.clear()
    this.#providers.push(entry)
    this.#routes.set(entry, addresses.value)
    this.#reports.set(provider, { name: provider.name, description })
    for (const listener of this.#listeners) if (listener.isWildcardListener) listener.serve(entry)
  }

  // Nobody serves an address: it may be a new one of this host.
  #look(clock: Clock, addressesChanged: () => boolean): boolean {
    const now = clock.now()
    if (now < this.#nextLook) return false
    this.#nextLook = now + LOOK_EVERY_MS
    const changed = addressesChanged()
    if (changed) this.refreshAddresses()
    return changed
  }

  /** Asks every provider again which networks it serves; after a change of the host's addresses (WSD-ADDR-7). */
  refreshAddresses(): void {
    this.#environment.misses.clear()
    for (const entry of this.#providers) {
      const addresses = entry.provider.addressList()
      if (addresses.ok) this.#routes.set(entry, addresses.value)
    }
    for (const listener of this.#listeners) listener.reroute()
  }

  /**
   * Takes a provider out of use: listeners leave it, and connects look elsewhere. Connections it carries go on; when the last
   * has closed, the provider is ended.
   *
   * @returns `WSAEINVAL` when it is not in use.
   */
  remove(provider: SanProvider): Status {
    const at = this.#providers.findIndex((entry) => entry.provider === provider)
    const [entry] = at < 0 ? [] : this.#providers.splice(at, 1)
    if (entry === undefined) return WSA.WSAEINVAL
    this.#reports.delete(provider)
    this.#routes.delete(entry)
    this.#environment.misses.clear()
    for (const listener of this.#listeners) listener.reroute()
    this.#leaving.add(entry)
    entry.upcalls.whenIdle(() => {
      // Not from inside an upcall of the provider's own; and only once, when the switch is closed meanwhile.
      this.#environment.schedule(() => {
        if (this.#leaving.delete(entry)) endProvider(entry)
      })
    })
    return 0
  }

  /**
   * The application is about to give `memory` away: no provider keeps it registered in a cache when this returns
   * (WSD-CACHE-5, RACE-38).
   */
  evict(memory: Uint8Array): void {
    for (const { provider } of this.#providers) provider.evict?.(memory)
  }

  /**
   * Goes on with a session that {@link Session.suspend} handed to this process.
   *
   * @param provider The name of the provider that carried it there.
   * @param done Called once, in a turn of its own: with the session, `WSAEOPNOTSUPP` when there is no such provider here,
   *   `WSAEINVAL` when it is not for this process or was used before, `WSAEFAULT` when it is malformed, `WSAECONNRESET` when the
   *   peer is gone, `WSAETIMEDOUT` when it does not answer.
   * @returns Cancels, and gives the connection up.
   * @source WSD-DUP-19 to -22
   */
  resume(
    provider: string,
    family: AddressFamily,
    packed: Uint8Array,
    done: (result: Result<Session>) => void,
  ): Cancel {
    const started = this.#providers.find((each) => each.provider.name === provider)
    return resumeSession(this.#environment, started, family, packed, done)
  }

  /** How many sessions of other processes could go on here over `provider`, as far as that knows. */
  roomFor(provider: string): number {
    const started = this.#providers.find((each) => each.provider.name === provider)
    return started === undefined ? 0 : (started.provider.room?.() ?? Infinity)
  }

  /** The switch's side of an application socket that TCP/IP has made. */
  socket(tcp: TcpipSocket): SwitchSocket {
    return new SwitchSocket(this.#environment, tcp)
  }

  /** What a connect to `destination` would do, and what decides; nothing is left behind by asking. */
  explainConnect(destination: SocketAddress): Explanation {
    return explainConnect(this.#environment, destination)
  }

  /** What a listen at `local` would do. */
  explainListen(local: SocketAddress): Explanation {
    return explainListen(this.#environment, local)
  }

  /** Keeps a listening socket in mind for providers that come later, until it closes. */
  track(socket: SwitchSocket): void {
    this.#listeners.add(socket)
  }
  untrack(socket: SwitchSocket): void {
    this.#listeners.delete(socket)
  }

  /** Ends every provider (WSD-CLEAN-1); their sockets close with them. */
  close(): void {
    for (const entry of this.#providers.splice(0)) {
      this.#routes.delete(entry)
      endProvider(entry)
    }
    for (const entry of [...this.#leaving]) {
      this.#leaving.delete(entry)
      endProvider(entry)
    }
  }
}

/** Makes a switch and starts its providers. */
export function createSwitch(options: SwitchOptions): Switch {
  return new Switch(options)
}
