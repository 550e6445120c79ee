import { FD_CONNECT, WSA, failure, isFinalConnectError, success } from '../spi/index.ts'
import type { Result, SanSocket, SocketAddress, WsaCode } from '../spi/index.ts'
import type { Cancel, Clock } from '../base/clock.ts'
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
  const { schedule, clock, connectTimeoutMs, judgementTimeoutMs } = environment
  let over = false
  let judging = false
  let cancelTimer: Cancel | undefined
  const finish = (result: SanConnectResult): void => {
    over = true
    cancelTimer?.()
    done(result)
  }
  const fail = (code: WsaCode, timedOut = false): void => {
    companion.close()
    // Whoever was judging has been asked already: over TCP/IP it would be asked again.
    const final = timedOut ? judging : isFinalConnectError(code)
    finish({ kind: 'failed', code, final, timedOut })
  }
  // The patience is the application's from here on; ours ends where the kernel's would.
  const wait = (): void => {
    if (judging) return
    judging = true
    cancelTimer?.()
    cancelTimer = clock.after(judgementTimeoutMs, () => {
      fail(WSA.WSAETIMEDOUT, true)
    })
  }
  const succeed = (): void => {
    const session = agree(started, companion)
    if (session.ok) finish({ kind: 'connected', session: session.value })
    else fail(session.error)
  }
  const event = new NetworkEvent(schedule, () => {
    if (over) return
    const events = companion.enumNetworkEvents(event)
    if (!events.ok) {
      fail(events.error)
      return
    }
    if ((events.value.mask & FD_CONNECT) === 0) return
    const { connectStatus } = events.value
    if (connectStatus === 0) succeed()
    else if (connectStatus === WSA.WSA_IO_PENDING) wait()
    else fail(connectStatus)
  })
  const selected = companion.eventSelect(event, FD_CONNECT)
  const status = selected === 0 ? companion.connect(destination, started.hello) : selected
  if (status === 0) {
    // Connected at once: no event follows (RACE-12).
    schedule(() => {
      if (!over) succeed()
    })
  } else if (status !== WSA.WSAEWOULDBLOCK) {
    if (!isFinalConnectError(status)) {
      // TCP/IP goes on as if nothing had happened; making it wait a turn would slow every peer that is not switched.
      fail(status)
      return nothing
    }
    schedule(() => {
      if (!over) fail(status)
    })
  } else {
    cancelTimer = clock.after(connectTimeoutMs, () => {
      cancelTimer = clock.after(GRACE_MS, () => {
        fail(WSA.WSAETIMEDOUT, true)
      })
    })
  }
  return () => {
    if (over) return
    over = true
    cancelTimer?.()
    companion.close()
  }
}

function nothing(): void {
  // The attempt is over.
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
