import { FD_ACCEPT, MAX_CONNECT_DATA_BYTES, WSA } from '../spi/index.ts'
import type { Accepted, ConnectionRequest, SanSocket, SocketAddress, SocketOption, Verdict, WsaCode } from '../spi/index.ts'
import type { Cancel } from '../base/clock.ts'
import { createCompanion } from './companion.ts'
import type { ConnectEnvironment } from './connect.ts'
import { NetworkEvent } from './network-event.ts'
import { decodeHello } from './session/hello.ts'
import type { Hello } from './session/hello.ts'
import { Session } from './session/session.ts'
import type { StartedProvider } from './started-provider.ts'

/** A connection that arrived over a SAN. */
export interface Arrival {
  readonly session: Session
  readonly remote: SocketAddress
  readonly local: SocketAddress
  readonly provider: string
}

export type SanListenResult = { readonly ok: true; readonly listener: SanListener } | { readonly ok: false; readonly code: WsaCode }

/** Requests accepted in one turn, so that a storm of them leaves room for everything else. */
const ACCEPTS_PER_TURN = 64

/**
 * One provider's share of a listening socket: a companion that listens, and the loop that accepts from it until it would
 * block (WSD-LISTEN-5 to -11, RACE-5). An arrival is reported once its initiator has gone through with it.
 */
export class SanListener {
  readonly #environment: ConnectEnvironment
  readonly #started: StartedProvider
  readonly #companion: SanSocket
  readonly #onArrival: (arrival: Arrival) => void
  readonly #admits: (request: ConnectionRequest) => boolean
  readonly #event: NetworkEvent
  readonly #negotiating = new Set<Session>()
  #closed = false

  private constructor(
    environment: ConnectEnvironment,
    started: StartedProvider,
    companion: SanSocket,
    onArrival: (arrival: Arrival) => void,
    admits: (request: ConnectionRequest) => boolean,
  ) {
    this.#environment = environment
    this.#started = started
    this.#companion = companion
    this.#onArrival = onArrival
    this.#admits = admits
    this.#event = new NetworkEvent(environment.schedule, () => {
      this.#accept()
    })
  }

  get provider(): string {
    return this.#started.provider.name
  }

  /** @param admits Asked about each request that could be accepted; what it turns away goes on over TCP/IP. */
  static open(
    environment: ConnectEnvironment,
    started: StartedProvider,
    local: SocketAddress,
    options: ReadonlyMap<SocketOption, number>,
    backlog: number,
    onArrival: (arrival: Arrival) => void,
    admits: (request: ConnectionRequest) => boolean,
  ): SanListenResult {
    const companion = createCompanion(started, local, options)
    if (!companion.ok) return { ok: false, code: companion.error }
    const listener = new SanListener(environment, started, companion.value, onArrival, admits)
    const listening = companion.value.listen(backlog)
    const status = listening === 0 ? companion.value.eventSelect(listener.#event, FD_ACCEPT) : listening
    if (status === 0) return { ok: true, listener }
    companion.value.close()
    return { ok: false, code: status }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#companion.close()
    for (const session of this.#negotiating) session.reset()
    this.#negotiating.clear()
  }

  #accept(): void {
    if (this.#closed) return
    const events = this.#companion.enumNetworkEvents(this.#event)
    if (!events.ok) return
    for (let i = 0; i < ACCEPTS_PER_TURN; i++) {
      let hello: Hello | undefined
      const accepted = this.#companion.accept((request) => {
        const judged = judge(request, this.#started, this.#admits)
        hello = judged.hello
        return judged.verdict
      })
      if (accepted.ok && hello !== undefined) this.#negotiate(accepted.value, hello)
      // A refused request leaves others; anything else ends the round, and the provider signals again while some are left.
      else if (!accepted.ok && accepted.error !== WSA.WSAECONNREFUSED) return
    }
    this.#event.set()
  }

  // The initiator may still give up; until it says that it does not, the application hears nothing.
  #negotiate(accepted: Accepted, peerHello: Hello): void {
    const memory = accepted.socket.memory()
    if (!memory.ok) {
      accepted.socket.close()
      return
    }
    const { limits } = this.#started
    const session = new Session({ socket: accepted.socket, memory: memory.value, limits, peerHello, role: 'acceptor' })
    this.#negotiating.add(session)
    const over = (): void => {
      cancelTimer()
      this.#negotiating.delete(session)
    }
    const drop = (): void => {
      over()
      session.reset()
    }
    // After a loop that was busy, timers run before what has arrived meanwhile.
    const cancelTimer: Cancel = this.#environment.clock.after(this.#environment.negotiationTimeoutMs, () => {
      if (!session.reconsider()) drop()
    })
    session.attach({
      agreed: () => {
        over()
        const { remote, local } = accepted
        this.#onArrival({ session, remote, local, provider: this.provider })
      },
      // Before the agreement only the end of the attempt can be told.
      readable: drop,
      writable: drop,
    })
  }
}

/** The condition function: whoever speaks our session's language is accepted (WSD-ACCEPT-8). */
function judge(
  request: ConnectionRequest,
  started: StartedProvider,
  admits: (request: ConnectionRequest) => boolean,
): { verdict: Verdict; hello?: Hello } {
  const hello =
    request.callerData.length > MAX_CONNECT_DATA_BYTES ? 'malformed' : decodeHello(request.callerData)
  // Not final: over TCP/IP the two understand each other.
  if (hello === 'version') return { verdict: { decision: 'CF_REJECT', error: WSA.WSAVERNOTSUPPORTED } }
  if (hello === 'malformed' || hello.regionBytes !== started.limits.regionBytes) {
    return { verdict: { decision: 'CF_REJECT', error: WSA.WSAEFAULT } }
  }
  if (!admits(request)) return { verdict: { decision: 'CF_REJECT', error: WSA.WSA_QOS_POLICY_FAILURE } }
  return { verdict: { decision: 'CF_ACCEPT', calleeData: started.hello }, hello }
}
