import assert from 'node:assert/strict'

import { FD_ACCEPT, FD_CONNECT, SPI_VERSION } from '../../src/spi/index.ts'
import type {
  Accepted,
  ConditionFunction,
  ConnectionRequest,
  ProviderLimits,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  SocketAddress,
  SocketOption,
  Status,
  WsaName,
} from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import type { LoopbackOptions } from '../../src/providers/loopback/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { Fault } from '../../src/providers/wrap/index.ts'
import type { Condition } from '../../src/switch/incoming.ts'
import type { Arrival } from '../../src/switch/listen.ts'
import { NetworkEvent } from '../../src/switch/network-event.ts'
import type { Policy } from '../../src/switch/policy.ts'
import type { Reason } from '../../src/switch/reasons.ts'
import { encodeHello } from '../../src/switch/session/hello.ts'
import type { Hello } from '../../src/switch/session/hello.ts'
import { Switch } from '../../src/switch/switch.ts'
import type { ConnectOutcome, SwitchSocket } from '../../src/switch/socket.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { FakeClock } from './fake-clock.ts'
import { End } from './session-end.ts'
import { Journal, SpyTcpip, spy } from './spy.ts'
import type { TcpAnswers } from './spy.ts'

/** The network that the SAN providers of these tests serve. */
export const SUBNET: ServedSubnet = { family: 'IPv4', address: '10.1.0.0', prefixLength: 16 }
export const SERVER: SocketAddress = { family: 'IPv4', address: '10.1.0.1', port: 80 }
export const CLIENT: SocketAddress = { family: 'IPv4', address: '10.1.0.2', port: 50_001 }
export const WILDCARD: SocketAddress = { family: 'IPv4', address: '0.0.0.0', port: 80 }
/** Reserved for documentation: nobody serves it. */
export const ELSEWHERE: SocketAddress = { family: 'IPv4', address: '203.0.113.7', port: 80 }

export const CONNECT_TIMEOUT_MS = 50
/** A result that is there when the time is up still counts: the attempt is given up this much later at most. */
export const GRACE_MS = 1
export const NEGOTIATION_TIMEOUT_MS = 200
export const JUDGEMENT_TIMEOUT_MS = 5000

/** Small regions, so that the first ring has 1024 bytes. */
export const LIMITS: ProviderLimits = {
  regionBytes: 1216,
  maxMemoryBytes: 1 << 20,
  pieceBytes: 1 << 16,
  rdma: undefined,
  duplicates: undefined,
}

/** What sessions over providers with {@link LIMITS} say of themselves. */
export const OUR_HELLO: Hello = {
  regionBytes: LIMITS.regionBytes,
  maxRingBytes: LIMITS.maxMemoryBytes,
  features: 0,
}
export const HELLO = encodeHello(OUR_HELLO)

/** What a fault plan says of a call that fails, each time or the `nth` time. */
export function failing(
  call: Extract<Fault, { error: WsaName }>['call'],
  error: WsaName,
  nth?: number,
): Fault {
  return nth === undefined ? { call, error } : { call, error, nth }
}

export interface HostOptions {
  readonly network?: LoopbackNetwork
  /** What goes wrong in the SAN provider. */
  readonly faults?: readonly Fault[]
  readonly loopback?: LoopbackOptions
  readonly addressesChanged?: () => boolean
  readonly policy?: Policy
  /** Other providers than one over loopback, not spied on yet; they are called `san`, `san2`, and so on. */
  readonly providers?: readonly SanProvider[]
  /** Takes what jobs of the switch throw. */
  readonly raised?: unknown[]
}

/** A computer with a switch, TCP/IP and SAN providers: spied on from end to end, with a clock that stands still. */
export class Host {
  readonly network: LoopbackNetwork
  readonly clock = new FakeClock()
  readonly journal = new Journal()
  readonly switch: Switch

  constructor(options: HostOptions = {}) {
    this.network = options.network ?? new LoopbackNetwork()
    const providers = options.providers ?? [
      fault(sanOver(this.network, options.loopback), { plan: options.faults ?? [], clock: this.clock }),
    ]
    this.switch = new Switch({
      san: providers.map((provider, i) => spy(provider, i === 0 ? 'san' : `san${i + 1}`, this.journal)),
      ...(options.policy && { policy: options.policy }),
      ...(options.addressesChanged && { addressesChanged: options.addressesChanged }),
      clock: this.clock,
      schedule: (job) =>
        setImmediate(() => {
          try {
            job()
          } catch (error) {
            if (options.raised === undefined) throw error
            options.raised.push(error)
          }
        }),
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      judgementTimeoutMs: JUDGEMENT_TIMEOUT_MS,
      negotiationTimeoutMs: NEGOTIATION_TIMEOUT_MS,
    })
  }

  /** An application's socket, and TCP/IP's. */
  socket(
    local: SocketAddress,
    answers: TcpAnswers = {},
  ): { readonly socket: SwitchSocket; readonly tcp: SpyTcpip } {
    const tcp = new SpyTcpip(this.journal, local, answers)
    return { socket: this.switch.socket(tcp), tcp }
  }

  listen(local: SocketAddress, options: ListenOptions = {}): Listening {
    const { socket } = this.socket(local, options.tcp)
    for (const [option, value] of options.recorded ?? []) socket.record(option, value)
    const arrivals: Arrival[] = []
    const ends: End[] = []
    const status = socket.listen(
      options.backlog ?? 8,
      (arrival) => {
        arrivals.push(arrival)
        ends.push(new End(arrival.session))
      },
      { condition: options.condition },
    )
    this.switch.track(socket)
    return { socket, status, arrivals, ends }
  }

  connect(destination: SocketAddress, options: ConnectOptions = {}): Attempt {
    const { socket } = this.socket(options.local ?? CLIENT, options.tcp)
    for (const [option, value] of options.recorded ?? []) socket.record(option, value)
    return new Attempt(socket, destination, options)
  }
}

export interface ListenOptions {
  readonly backlog?: number
  readonly condition?: Condition
  readonly tcp?: TcpAnswers
  readonly recorded?: readonly (readonly [SocketOption, number])[]
}

export interface Listening {
  readonly socket: SwitchSocket
  readonly status: Status
  /** The connections that the application was told of, and who hears of each. */
  readonly arrivals: readonly Arrival[]
  readonly ends: readonly End[]
}

export interface ConnectOptions extends Omit<ListenOptions, 'backlog' | 'condition'> {
  readonly stay?: Reason
  readonly local?: SocketAddress
  /** Runs inside the call that tells the outcome. */
  readonly onOutcome?: (attempt: Attempt) => void
}

/** An application's connect. */
export class Attempt {
  readonly socket: SwitchSocket
  readonly outcomes: ConnectOutcome[] = []
  #end: End | undefined

  constructor(socket: SwitchSocket, destination: SocketAddress, { stay, onOutcome }: ConnectOptions) {
    this.socket = socket
    const done = (outcome: ConnectOutcome): void => {
      this.outcomes.push(outcome)
      if (outcome.kind === 'san') this.#end = new End(outcome.session)
      onOutcome?.(this)
    }
    socket.connect(destination, done, stay)
  }

  /** How it ended; it must have, once. */
  get outcome(): ConnectOutcome {
    assert.equal(this.outcomes.length, 1, `the connect ended ${this.outcomes.length} times`)
    return this.outcomes[0]!
  }

  /** The connection, which must be over the SAN. */
  get end(): End {
    assert.equal(this.outcome.kind, 'san')
    return this.#end!
  }
}

/** A SAN provider that reaches the others on `network`. */
export function sanOver(network: LoopbackNetwork, options: LoopbackOptions = {}): SanProvider {
  return loopback({ network, subnets: [SUBNET], ...options, limits: { ...LIMITS, ...options.limits } })
}

/** Somebody at the other end who is not a switch: uses a SAN provider as the test says. */
export class RawPeer {
  readonly #provider: SanProvider

  constructor(network: LoopbackNetwork) {
    this.#provider = sanOver(network)
    const started = this.#provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() })
    assert.ok(started.ok)
  }

  bound(local: SocketAddress): SanSocket {
    const made = this.#provider.socket({ family: local.family })
    assert.ok(made.ok)
    assert.equal(made.value.bind(local), 0)
    return made.value
  }

  /** Listens, and asks `condition` about whatever comes. */
  listen(local: SocketAddress, condition: ConditionFunction, backlog = 8): RawListener {
    const socket = this.bound(local)
    const listener: RawListener = { socket, requests: [], accepted: [] }
    const event = new NetworkEvent(setImmediate, () => {
      socket.enumNetworkEvents(event)
      for (;;) {
        const accepted: Result<Accepted> = socket.accept((request) => {
          listener.requests.push(request)
          return condition(request)
        })
        if (accepted.ok) listener.accepted.push(accepted.value)
        else if (accepted.error !== 10_061) return
      }
    })
    assert.equal(socket.listen(backlog), 0)
    assert.equal(socket.eventSelect(event, FD_ACCEPT), 0)
    return listener
  }

  /** Connects; the status follows in the turn in which the answer comes. */
  connect(destination: SocketAddress, callerData: Uint8Array, local: SocketAddress = CLIENT): RawAttempt {
    const socket = this.bound(local)
    const attempt: RawAttempt = { socket, status: undefined }
    const event = new NetworkEvent(setImmediate, () => {
      const events = socket.enumNetworkEvents(event)
      if (events.ok && (events.value.mask & FD_CONNECT) !== 0) attempt.status = events.value.connectStatus
    })
    assert.equal(socket.eventSelect(event, FD_CONNECT), 0)
    const status = socket.connect(destination, callerData)
    if (status !== 10_035) attempt.status = status
    return attempt
  }
}

export interface RawListener {
  readonly socket: SanSocket
  readonly requests: ConnectionRequest[]
  readonly accepted: Accepted[]
}

export interface RawAttempt {
  readonly socket: SanSocket
  /** How the connect ended; undefined until it has. */
  status: Status | undefined
}
