import { WSA, isWildcard } from '../spi/index.ts'
import type {
  ConnectionRequest,
  Sharing,
  SocketAddress,
  SocketOption,
  Status,
  TcpipSocket,
  WsaCode,
} from '../spi/index.ts'
import type { Cancel } from '../base/clock.ts'
import { step } from '../base/machine.ts'
import { plainly } from './addresses.ts'
import { createCompanion } from './companion.ts'
import { connectCompanion } from './connect.ts'
import type { ConnectEnvironment } from './connect.ts'
import type { Condition } from './incoming.ts'
import { SanListener } from './listen.ts'
import type { Arrival, ListenParts } from './listen.ts'
import { reasonFor } from './reasons.ts'
import type { Reason } from './reasons.ts'
import { chooseProvider } from './choose-provider.ts'
import type { Choice } from './choose-provider.ts'
import type { Session } from './session/session.ts'
import { TRANSITIONS } from './socket-state.ts'
import type { SocketEvent, SocketState } from './socket-state.ts'
import type { StartedProvider } from './started-provider.ts'
import type { Stats } from './stats.ts'

/** How an application's connect goes on. */
export type ConnectOutcome =
  | {
      readonly kind: 'san'
      readonly session: Session
      readonly local: SocketAddress
      readonly provider: string
    }
  /** TCP/IP's connect has been called; the face follows it. `status` is what it answered. */
  | { readonly kind: 'tcpip'; readonly reason: Reason; readonly status: Status }
  /** Final: the application gets the error. */
  | { readonly kind: 'failed'; readonly code: WsaCode }

export interface SocketEnvironment extends ConnectEnvironment, Choice {
  readonly stats: Stats
}

export interface ListenOptions {
  /** Asks the application about each request over a SAN, while the peer waits; without it all are accepted. */
  readonly condition?: Condition | undefined
  /** With whom the listener shares its address. */
  readonly sharing?: Sharing | undefined
  /** Whether another connection may come; who finds no room goes to another listener, or over TCP/IP. */
  readonly hasRoom?: (() => boolean) | undefined
}

interface Listening extends ListenParts {
  /** Peers are told to stay on TCP/IP; it is only counted that they came. */
  readonly observed: boolean
}

const NO_OPTIONS: ReadonlyMap<SocketOption, number> = new Map()

/**
 * An application's socket. TCP/IP made it and TCP/IP's descriptor is what the application holds; the switch decides at
 * listen and connect whether a SAN provider serves it (WSD-SOCK-8).
 */
export class SwitchSocket {
  readonly #environment: SocketEnvironment
  readonly #tcp: TcpipSocket
  // Made when first needed: most sockets connect over TCP/IP and have neither.
  #options: Map<SocketOption, number> | undefined
  #listeners: Map<StartedProvider, SanListener> | undefined
  #state: SocketState = 'idle'
  #cancel: Cancel | undefined
  #reason: Reason | undefined
  #listening: Listening | undefined

  constructor(environment: SocketEnvironment, tcp: TcpipSocket) {
    this.#environment = environment
    this.#tcp = tcp
  }

  get state(): SocketState {
    return this.#state
  }
  /** Why TCP/IP carries it, where it does. For a listener: why no SAN provider listens beside it. */
  get reason(): Reason | undefined {
    return this.#reason
  }
  /** The providers that listen beside TCP/IP. */
  get providers(): string[] {
    return [...(this.#listeners?.values() ?? [])].map((listener) => listener.provider)
  }

  #move(event: SocketEvent): void {
    this.#state = step('socket', TRANSITIONS, this.#state, event)
  }

  /** Remembers an option for the companion (WSD-COMP-11). */
  record(option: SocketOption, value: number): void {
    ;(this.#options ??= new Map()).set(option, value)
  }

  // --- listening ----------------------------------------------------------------------------------------------------

  /**
   * Listens: on TCP/IP, always and first; then on every SAN provider that serves the address. What fails there leaves
   * TCP/IP serving (WSD-LISTEN-1, -2, -17). Again, it changes the backlog, and nothing else (WSD-LISTEN-16).
   *
   * @returns What TCP/IP answered.
   */
  listen(backlog: number, onArrival: (arrival: Arrival) => void, how: ListenOptions = {}): Status {
    const { condition, sharing, hasRoom } = how
    const status = this.#tcp.listen(backlog)
    if (status !== 0) return status
    if (this.#state === 'listening') return this.#setBacklog(backlog)
    if (this.#state !== 'idle') return 0
    this.#move('listen')
    const bound = this.#tcp.localAddress()
    const { policy, stats } = this.#environment
    if (!bound.ok) {
      this.#reason = 'provider-error'
      stats.stayed(this.#reason, 'listen', undefined)
      return 0
    }
    const local = plainly(bound.value)
    const action = policy?.decide('listen', local, local.port).action
    if (action === 'stay') {
      this.#reason = 'rule'
      stats.stayed('rule', 'listen', local)
      return 0
    }
    const observed = action === 'observe'
    this.#listening = {
      local,
      options: this.#options ?? NO_OPTIONS,
      backlog,
      condition,
      observed,
      sharing,
      admits: (request) => this.#admits(observed, request) || (hasRoom?.() === false ? WSA.WSAEPROCLIM : 0),
      onArrival: (arrival) => {
        stats.accepted(arrival)
        onArrival(arrival)
      },
    }
    this.#offer(local)
    return 0
  }

  #offer(local: SocketAddress): void {
    const { routes, stats } = this.#environment
    this.#reason = 'no-route'
    for (const started of routes.listeningAt(local)) this.serve(started)
    if (this.#listeners === undefined) stats.stayed(this.#reason, 'listen', local)
  }

  /** From here on the listener shares its address in another way. */
  share(sharing: Sharing): void {
    if (this.#listening === undefined) return
    this.#listening = { ...this.#listening, sharing }
    for (const listener of this.#listeners?.values() ?? []) listener.close('closed')
    this.#listeners = undefined
    this.#offer(this.#listening.local)
  }

  #setBacklog(backlog: number): Status {
    if (this.#listening !== undefined) this.#listening = { ...this.#listening, backlog }
    for (const listener of this.#listeners?.values() ?? []) listener.setBacklog(backlog)
    return 0
  }

  /** Adds a provider's listener; also for one that appears while a wildcard listener stands (WSD-INST-9). */
  serve(started: StartedProvider): void {
    const listening = this.#listening
    if (listening === undefined || this.#listeners?.has(started) === true) return
    const opened = SanListener.open(this.#environment, started, listening)
    if (opened.ok) {
      ;(this.#listeners ??= new Map()).set(started, opened.listener)
      this.#reason = listening.observed ? 'observed' : undefined
    } else if (this.#listeners === undefined) {
      this.#reason = reasonFor(opened.code, listening.sharing === undefined ? 'listen' : 'share')
    }
  }

  /** Why rules turn the peer away; 0 when they do not. */
  #admits(observed: boolean, { remote, local }: ConnectionRequest): Status {
    const { policy, stats } = this.#environment
    const action = observed ? 'observe' : policy?.decide('accept', remote, local.port).action
    if (action === undefined || action === 'switch') return 0
    stats.turnedAway(action === 'observe' ? 'observed' : 'rule', remote)
    return WSA.WSA_QOS_POLICY_FAILURE
  }

  /** Addresses or providers have changed: it listens where it should now, and nowhere else (WSD-ADDR-9). */
  reroute(): void {
    const listening = this.#listening
    if (listening === undefined) return
    const eligible = this.#environment.routes.listeningAt(listening.local)
    for (const [started, listener] of this.#listeners ?? []) {
      if (eligible.includes(started)) continue
      listener.close('closed')
      this.#listeners?.delete(started)
    }
    if (this.#listeners?.size === 0) {
      this.#listeners = undefined
      this.#reason = 'no-route'
    }
    for (const started of eligible) this.serve(started)
  }

  get isWildcardListener(): boolean {
    return this.#listening !== undefined && isWildcard(this.#listening.local)
  }

  /** From here on TCP/IP serves the listener alone. */
  leaveSan(reason: Reason): void {
    this.#leave(reason, 'closed')
  }

  #leave(reason: Reason, how: 'closed' | 'forsaken'): void {
    for (const listener of this.#listeners?.values() ?? []) listener.close(how)
    this.#listeners = undefined
    this.#listening = undefined
    this.#reason = reason
  }

  // --- connecting ---------------------------------------------------------------------------------------------------

  /**
   * Connects over the SAN provider that serves `destination`, or over TCP/IP (WSD-CONN-1, -2, -13).
   *
   * @param stay Given: the face knows why this connection must stay on TCP/IP.
   * @param done Called once; at once, from inside this call, where no SAN provider takes part.
   */
  connect(destination: SocketAddress, done: (outcome: ConnectOutcome) => void, stay?: Reason): void {
    this.#move('connect')
    const started = stay ?? chooseProvider(this.#environment, destination)
    if (typeof started === 'string') {
      this.#stay(destination, started, 'stay', done)
      return
    }
    const local = this.#tcp.reserve(destination)
    if (!local.ok) {
      this.#stay(destination, 'reservation', 'stay', done)
      return
    }
    const companion = createCompanion(started, local.value, this.#options ?? NO_OPTIONS)
    if (!companion.ok) {
      this.#stay(destination, reasonFor(companion.error, 'create'), 'stay', done)
      return
    }
    this.#move('companion')
    const cancel = connectCompanion(this.#environment, started, companion.value, destination, (result) => {
      this.#cancel = undefined
      if (result.kind === 'connected') {
        this.#move('agreed')
        this.#environment.stats.connected(started.provider.name, local.value, destination)
        done({ kind: 'san', session: result.session, local: local.value, provider: started.provider.name })
      } else if (result.final) {
        this.#move('refused')
        this.#environment.stats.refused(result.code, destination)
        this.#tcp.release()
        done({ kind: 'failed', code: result.code })
      } else {
        const reason = result.timedOut ? 'handshake-timeout' : reasonFor(result.code, 'connect')
        if (reason === 'peer-not-switched' || reason === 'peer-rule')
          this.#environment.misses.note(destination, reason)
        this.#stay(destination, reason, 'failed', done)
      }
    })
    if (this.#state === 'connecting') this.#cancel = cancel
  }

  #stay(
    destination: SocketAddress,
    reason: Reason,
    event: 'stay' | 'failed',
    done: (outcome: ConnectOutcome) => void,
  ): void {
    this.#reason = reason
    this.#move(event)
    this.#environment.stats.stayed(reason, 'connect', destination)
    done({ kind: 'tcpip', reason, status: this.#tcp.connect(destination) })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Gives up whatever the switch holds for the socket; closing a session is its user's business. */
  close(): void {
    if (this.#state === 'closed') return
    this.#cancel?.()
    this.#cancel = undefined
    this.#leave(this.#reason ?? 'off', 'forsaken')
    this.#tcp.release()
    this.#move('close')
  }
}
