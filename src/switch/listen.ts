import { FD_ACCEPT, Overlapped, WSA } from '../spi/index.ts'
import type {
  Accepted,
  ConnectionRequest,
  SanSocket,
  Sharing,
  SocketAddress,
  SocketOption,
  Status,
  Verdict,
  WsaCode,
} from '../spi/index.ts'
import type { Cancel } from '../base/clock.ts'
import { createCompanion } from './companion.ts'
import type { ConnectEnvironment } from './connect.ts'
import { Request } from './incoming.ts'
import type { Condition, Decision, IncomingRequest } from './incoming.ts'
import { NetworkEvent } from './network-event.ts'
import { readHello } from './session/hello.ts'
import type { Hello } from './session/hello.ts'
import { Session } from './session/session.ts'
import type { SessionOwner } from './session/session.ts'
import type { StartedProvider } from './started-provider.ts'

/** A connection that arrived over a SAN. */
export interface Arrival {
  readonly session: Session
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly provider: string
  /** What the application was asked about, where it was. */
  readonly request: IncomingRequest | undefined
}

export type SanListenResult =
  { readonly ok: true; readonly listener: SanListener } | { readonly ok: false; readonly code: WsaCode }

const NOBODY: SessionOwner = {
  readable() {
    // Nobody reads yet.
  },
  writable() {
    // Nobody has written.
  },
}

const REFUSE: Decision = { reject: WSA.WSAECONNREFUSED }

/** Requests accepted in one turn, so that a storm of them leaves room for everything else. */
const ACCEPTS_PER_TURN = 64

/** What a listening socket wants of each provider. */
export interface ListenParts {
  readonly local: SocketAddress
  readonly options: ReadonlyMap<SocketOption, number>
  readonly backlog: number
  readonly onArrival: (arrival: Arrival) => void
  /** Asked about each request that could be accepted; what it turns away, with the code it answers, goes on over TCP/IP. */
  readonly admits: (request: ConnectionRequest) => Status
  /** Asked about each request that was admitted; without it all of them are accepted. */
  readonly condition: Condition | undefined
  /** With whom the listener shares its address. */
  readonly sharing: Sharing | undefined
}

/**
 * One provider's share of a listening socket: a companion that listens, and the loop that accepts from it until it would
 * block (WSD-LISTEN-5 to -11, RACE-5). An arrival is reported once its initiator has gone through with it. A request that
 * the application defers is pended at the provider, where its peer hears of it, and holds up no other.
 */
export class SanListener {
  readonly #environment: ConnectEnvironment
  readonly #started: StartedProvider
  readonly #companion: SanSocket
  readonly #onArrival: (arrival: Arrival) => void
  readonly #admits: (request: ConnectionRequest) => Status
  readonly #condition: Condition | undefined
  readonly #event: NetworkEvent
  readonly #negotiating = new Map<Session, Request | undefined>()
  /** `forsaken`: the application has closed it, and wants to hear of none of its requests any more. */
  #state: 'open' | 'closed' | 'forsaken' = 'open'

  private constructor(
    environment: ConnectEnvironment,
    started: StartedProvider,
    companion: SanSocket,
    { onArrival, admits, condition }: ListenParts,
  ) {
    this.#environment = environment
    this.#started = started
    this.#companion = companion
    this.#onArrival = onArrival
    this.#admits = admits
    this.#condition = condition
    this.#event = new NetworkEvent(environment.schedule, () => {
      this.#accept()
    })
  }

  get provider(): string {
    return this.#started.provider.name
  }

  static open(
    environment: ConnectEnvironment,
    started: StartedProvider,
    parts: ListenParts,
  ): SanListenResult {
    const companion = createCompanion(started, parts.local, parts.options)
    if (!companion.ok) return { ok: false, code: companion.error }
    const listener = new SanListener(environment, started, companion.value, parts)
    let status: Status = 0
    if (parts.sharing !== undefined) status = companion.value.share?.(parts.sharing) ?? WSA.WSAEOPNOTSUPP
    if (status === 0) status = companion.value.listen(parts.backlog)
    if (status === 0) status = companion.value.eventSelect(listener.#event, FD_ACCEPT)
    if (status === 0) return { ok: true, listener }
    companion.value.close()
    return { ok: false, code: status }
  }

  /** Changes how many requests may wait (WSD-LISTEN-16). */
  setBacklog(backlog: number): Status {
    return this.#companion.listen(backlog)
  }

  /** @param how `forsaken`: the application wants to hear of none of its requests any more. */
  close(how: 'closed' | 'forsaken'): void {
    if (this.#state !== 'open') return
    this.#state = how
    this.#companion.close()
    for (const [session, request] of this.#negotiating) {
      session.reset()
      this.#loseLater(request)
    }
    this.#negotiating.clear()
  }

  #accept(): void {
    if (this.#state !== 'open') return
    const events = this.#companion.enumNetworkEvents(this.#event)
    if (!events.ok) return
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      let hello: Hello | undefined
      let request: Request | undefined
      const accepted = this.#companion.accept((connection) => {
        const judged = judge(connection, this.#started, this.#admits)
        hello = judged.hello
        if (this.#condition === undefined || hello === undefined) return judged.verdict
        const asked = this.#ask(this.#condition, connection, hello)
        request = asked.request
        return asked.verdict
      })
      if (accepted.ok && hello !== undefined) this.#negotiate(accepted.value, hello, request)
      // What was refused or pended leaves others; anything else ends the round, and the provider signals again while some
      // are left.
      else if (
        !accepted.ok &&
        accepted.error !== WSA.WSAECONNREFUSED &&
        accepted.error !== WSA.WSA_IO_PENDING
      ) {
        this.#loseLater(request)
        return
      }
    }
    this.#event.set()
  }

  #ask(
    condition: Condition,
    { remote, local }: ConnectionRequest,
    hello: Hello,
  ): { request: Request; verdict: Verdict } {
    const pended = new Overlapped({
      completed: (status) => {
        if (status !== 0) this.#lose(request)
      },
    })
    const request: Request = new Request(remote, local, this.provider, (decision) =>
      this.#decide(request, hello, pended, decision),
    )
    const decision = request.judge(condition, (error) => {
      this.#environment.schedule(() => {
        throw error
      })
    })
    const verdict =
      decision === 'defer' ? ({ decision: 'CF_PEND', pended } as const) : this.#verdict(decision)
    return { request, verdict }
  }

  // What the application has decided about a request that it deferred.
  #decide(request: Request, hello: Hello, pended: Overlapped, decision: Decision): boolean {
    if (this.#state !== 'open') return false
    const accepted = this.#companion.accept(() => this.#verdict(decision), pended)
    if (accepted.ok) {
      this.#negotiate(accepted.value, hello, request)
      return true
    }
    if (accepted.error === WSA.WSAECONNREFUSED) return true
    this.#loseLater(request)
    // A provider that could not do it: the peer is not to wait for nothing.
    if (pended.pending) this.#companion.accept(() => this.#verdict(REFUSE), pended)
    return false
  }

  #verdict(decision: Decision): Verdict {
    if (decision === 'accept') return { decision: 'CF_ACCEPT', calleeData: this.#started.hello }
    return { decision: 'CF_REJECT', error: decision.reject }
  }

  #lose(request: Request | undefined): void {
    if (this.#state !== 'forsaken') request?.lost()
  }

  #loseLater(request: Request | undefined): void {
    if (request === undefined || this.#state === 'forsaken') return
    this.#environment.schedule(() => {
      request.lost()
    })
  }

  // The initiator may still give up; until it says that it does not, the application hears nothing.
  #negotiate(accepted: Accepted, peerHello: Hello, request: Request | undefined): void {
    const memory = accepted.socket.memory()
    if (!memory.ok) {
      accepted.socket.close()
      this.#loseLater(request)
      return
    }
    const { limits, orphans } = this.#started
    const session = new Session({
      socket: accepted.socket,
      memory: memory.value,
      limits,
      orphans,
      peerHello,
      role: 'acceptor',
    })
    this.#negotiating.set(session, request)
    const over = (): void => {
      cancelTimer()
      this.#negotiating.delete(session)
    }
    const drop = (): void => {
      over()
      session.reset()
      this.#lose(request)
    }
    // After a loop that was busy, timers run before what has arrived meanwhile.
    const cancelTimer: Cancel = this.#environment.clock.after(this.#environment.negotiationTimeoutMs, () => {
      if (!session.reconsider()) drop()
    })
    session.attach({
      agreed: () => {
        over()
        // Whoever gets it may take it later; what comes until then is found by asking.
        session.attach(NOBODY)
        request?.established()
        const { remote, local } = accepted
        this.#onArrival({ session, remote, local, provider: this.provider, request })
      },
      // Before the agreement only the end of the attempt can be told.
      readable: drop,
      writable: drop,
    })
  }
}

/** Whoever speaks our session's language may be accepted; nobody else (WSD-ACCEPT-8). */
function judge(
  request: ConnectionRequest,
  started: StartedProvider,
  admits: (request: ConnectionRequest) => Status,
): { verdict: Verdict; hello?: Hello } {
  const hello = readHello(request.callerData, started.limits.regionBytes)
  // Not final: over TCP/IP the two understand each other.
  if (typeof hello === 'number') return { verdict: { decision: 'CF_REJECT', error: hello } }
  const admitted = admits(request)
  if (admitted !== 0) return { verdict: { decision: 'CF_REJECT', error: admitted } }
  return { verdict: { decision: 'CF_ACCEPT', calleeData: started.hello }, hello }
}
