import { FD_CONNECT, WSA, failure, isFinalConnectError, success } from '../spi/index.ts'
import type { Result, SanSocket, SocketAddress, Status, WsaCode } from '../spi/index.ts'
import type { Cancel, Clock } from '../base/clock.ts'
import { step } from '../base/machine.ts'
import { TRANSITIONS } from './connect-state.ts'
import type { ConnectEvent, ConnectState } from './connect-state.ts'
import { NetworkEvent } from './network-event.ts'
import type { Schedule } from './network-event.ts'
import { readHello } from './session/hello.ts'
import { Session } from './session/session.ts'
import type { StartedProvider } from './started-provider.ts'

/** How an attempt over a SAN ended. A failure that is not `final` goes on over TCP/IP. */
export type SanConnectResult =
  | { readonly kind: 'connected'; readonly session: Session }
  | { readonly kind: 'failed'; readonly code: WsaCode; readonly final: boolean; readonly timedOut: boolean }

export interface ConnectEnvironment {
  readonly schedule: Schedule
  readonly clock: Clock
  readonly connectTimeoutMs: number
  /** How long the peer's application may judge a request that it has deferred, in ms; then the connect fails for good. */
  readonly judgementTimeoutMs: number
  /** How long an accepted initiator may take to say that it goes through with the connection, in ms. */
  readonly negotiationTimeoutMs: number
}

/** After a loop that was busy, timers run before what has arrived meanwhile: so long it may still be looked at. */
const GRACE_MS = 1

/**
 * Connects a companion: event first, then connect, then the result by event or at once (WSD-CONN-4 to -9, RACE-10 to -12).
 * The companion is closed before a failure is reported (WSD-CONN-12, RACE-30).
 *
 * @param done Called once; from inside this call when the attempt fails at once and TCP/IP goes on.
 * @returns Cancels the attempt; `done` is not called then (WSD-CONN-20, RACE-29).
 */
export function connectCompanion(
  environment: ConnectEnvironment,
  started: StartedProvider,
  companion: SanSocket,
  destination: SocketAddress,
  done: (result: SanConnectResult) => void,
): Cancel {
  const attempt = new Attempt(environment, started, companion, done)
  attempt.begin(destination)
  return () => {
    attempt.cancel()
  }
}

class Attempt {
  readonly #environment: ConnectEnvironment
  readonly #started: StartedProvider
  readonly #companion: SanSocket
  readonly #done: (result: SanConnectResult) => void
  readonly #event: NetworkEvent
  #state: ConnectState = 'asking'
  #cancelTimer: Cancel | undefined

  constructor(
    environment: ConnectEnvironment,
    started: StartedProvider,
    companion: SanSocket,
    done: (result: SanConnectResult) => void,
  ) {
    this.#environment = environment
    this.#started = started
    this.#companion = companion
    this.#done = done
    this.#event = new NetworkEvent(environment.schedule, () => {
      if (this.#state !== 'over') this.#look()
    })
  }

  #move(event: ConnectEvent): void {
    this.#state = step('connect', TRANSITIONS, this.#state, event)
  }

  begin(destination: SocketAddress): void {
    const { schedule, clock, connectTimeoutMs } = this.#environment
    const selected = this.#companion.eventSelect(this.#event, FD_CONNECT)
    const status = selected === 0 ? this.#companion.connect(destination, this.#started.hello) : selected
    if (status === WSA.WSAEWOULDBLOCK) {
      this.#cancelTimer = clock.after(connectTimeoutMs, () => {
        this.#cancelTimer = clock.after(GRACE_MS, this.#timedOut)
      })
    } else if (status === 0 || isFinalConnectError(status)) {
      // No event follows (RACE-12).
      schedule(() => {
        if (this.#state !== 'over') this.#answered(status)
      })
    } else {
      // TCP/IP goes on as if nothing had happened; making it wait a turn would slow every peer that is not switched.
      this.#fail(status)
    }
  }

  cancel(): void {
    if (this.#state === 'over') return
    this.#end()
    this.#companion.close()
  }

  #look(): void {
    const events = this.#companion.enumNetworkEvents(this.#event)
    if (!events.ok) {
      this.#fail(events.error)
      return
    }
    if ((events.value.mask & FD_CONNECT) === 0) return
    const { connectStatus } = events.value
    if (connectStatus === WSA.WSA_IO_PENDING) this.#wait()
    else this.#answered(connectStatus)
  }

  // Ours ends where the kernel's patience would.
  #wait(): void {
    if (this.#state === 'judging') return
    this.#move('deferred')
    this.#cancelTimer?.()
    const { clock, judgementTimeoutMs } = this.#environment
    this.#cancelTimer = clock.after(judgementTimeoutMs, this.#timedOut)
  }

  #answered(status: Status): void {
    if (status !== 0) {
      this.#fail(status)
      return
    }
    const session = agree(this.#started, this.#companion)
    if (!session.ok) {
      this.#fail(session.error)
      return
    }
    this.#end()
    this.#done({ kind: 'connected', session: session.value })
  }

  readonly #timedOut = (): void => {
    // Whoever was judging has been asked already: over TCP/IP it would be asked again.
    const final = this.#state === 'judging'
    this.#close({ kind: 'failed', code: WSA.WSAETIMEDOUT, final, timedOut: true })
  }

  #fail(code: WsaCode): void {
    this.#close({ kind: 'failed', code, final: isFinalConnectError(code), timedOut: false })
  }

  #close(result: SanConnectResult): void {
    this.#companion.close()
    this.#end()
    this.#done(result)
  }

  #end(): void {
    this.#move('end')
    this.#cancelTimer?.()
  }
}

/** The acceptor has answered: check its hello and start the session. */
function agree(started: StartedProvider, companion: SanSocket): Result<Session> {
  const peerHello = readHello(companion.calleeData(), started.limits.regionBytes)
  if (typeof peerHello === 'number') return failure(peerHello)
  const memory = companion.memory()
  if (!memory.ok) return memory
  return success(
    new Session({
      socket: companion,
      memory: memory.value,
      limits: started.limits,
      orphans: started.orphans,
      peerHello,
      role: 'initiator',
    }),
  )
}
