import { WSA } from '../spi/index.ts'
import type { SocketAddress } from '../spi/index.ts'
import { next, step } from '../base/machine.ts'
import type { EventOf, StateOf, Table } from '../base/machine.ts'

/** With what a peer may be refused for good: its connect does not go on over TCP/IP (WSD-CONN-13). */
export type Refusal = typeof WSA.WSAECONNREFUSED | typeof WSA.WSAECONNRESET | typeof WSA.WSAEHOSTUNREACH

/** What an application says of a request it is asked about. */
export type Judgement =
  | 'accept'
  /** The peer waits until the application has made up its mind, and is told so. */
  | 'defer'
  | { readonly reject: Refusal }

/**
 * Asks the application about a request, while the peer's connect is pending. Answers at once; what takes time is deferred.
 * One that throws rejects, and what it threw is thrown again in a turn of its own.
 *
 * @source the condition function of WSAAccept, WskInspectEvent
 */
export type Condition = (request: IncomingRequest) => Judgement

/** A connection somebody wants, before it is one. Deferred, it may be decided later. */
export interface IncomingRequest {
  readonly remote: SocketAddress
  readonly local: SocketAddress
  /** Who carries it: the name of a SAN provider, or `tcpip`. */
  readonly provider: string
  readonly state: RequestState
  /**
   * Accepts a deferred request; its arrival follows, or {@link onAbandoned}. Called from inside the condition it takes effect
   * if the condition goes on to answer `defer`.
   *
   * @returns false, and nothing happens, where there is nothing left to decide.
   */
  accept(): boolean
  /** Rejects a deferred request, with `WSAECONNREFUSED` unless said otherwise. @returns as {@link accept} */
  reject(error?: Refusal): boolean
  /**
   * Told once, in a turn of its own, when a request that was deferred or accepted comes to nothing: its peer has given up, or
   * its provider has. Not told of what a closing listener takes with it.
   */
  onAbandoned: (() => void) | undefined
}

/** Which event is legal when, for a request that the application is asked about; docs/states.md is drawn from it. */
export const TRANSITIONS = {
  /** The condition is being asked. */
  judging: { accept: 'establishing', reject: 'rejected', defer: 'deferred', lost: 'abandoned' },
  deferred: { accept: 'establishing', reject: 'rejected', lost: 'abandoned' },
  /** Accepted; the initiator has not gone through with it yet. */
  establishing: { established: 'established', lost: 'abandoned' },
  established: {},
  rejected: {},
  abandoned: {},
} as const satisfies Table

export type RequestState = StateOf<typeof TRANSITIONS>
export type RequestEvent = EventOf<typeof TRANSITIONS>

/** What was decided about a request, as its carrier has to carry it out. */
export type Decision = 'accept' | { readonly reject: Refusal }

/** A request, whoever carries it. The carrier asks with {@link judge} and carries out what is decided later. */
export class Request implements IncomingRequest {
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly provider: string
  onAbandoned: (() => void) | undefined
  readonly #carryOut: (decision: Decision) => boolean
  #state: RequestState = 'judging'
  #early: Decision | undefined

  /** @param carryOut Does what was decided about a deferred request; false when it is too late. */
  constructor(
    remote: SocketAddress,
    local: SocketAddress,
    provider: string,
    carryOut: (decision: Decision) => boolean,
  ) {
    this.remote = remote
    this.local = local
    this.provider = provider
    this.#carryOut = carryOut
  }

  get state(): RequestState {
    return this.#state
  }

  #move(event: RequestEvent): void {
    this.#state = step('request', TRANSITIONS, this.#state, event)
  }

  /** Asks `condition`; the state says what came of it. @param raise Takes what the condition threw. */
  judge(condition: Condition, raise: (error: unknown) => void): Decision | 'defer' {
    const said = asked(condition, this, raise)
    const decision = said === 'defer' ? (this.#early ?? 'defer') : said
    this.#move(decision === 'accept' || decision === 'defer' ? decision : 'reject')
    return decision
  }

  accept(): boolean {
    return this.#decide('accept')
  }

  reject(error: Refusal = WSA.WSAECONNREFUSED): boolean {
    return this.#decide({ reject: error })
  }

  #decide(decision: Decision): boolean {
    if (this.#state === 'judging') {
      this.#early ??= decision
      return true
    }
    if (this.#state !== 'deferred') return false
    this.#move(decision === 'accept' ? 'accept' : 'reject')
    return this.#carryOut(decision)
  }

  /** For the carrier: the connection stands. */
  established(): void {
    this.#move('established')
  }

  /** For the carrier: nothing comes of it, unless that was known. Not from inside a call of the application's. */
  lost(): void {
    const to = next(TRANSITIONS, this.#state, 'lost')
    if (to === undefined) return
    this.#state = to
    this.onAbandoned?.()
  }
}

function asked(condition: Condition, request: Request, raise: (error: unknown) => void): Judgement {
  try {
    return condition(request)
  } catch (error) {
    raise(error)
    return { reject: WSA.WSAECONNREFUSED }
  }
}
