import { FD_CONNECT, WSA, failure, success } from '../spi/index.ts'
import type { AddressFamily, ConnectionMemory, Result, SanSocket, WsaCode } from '../spi/index.ts'
import type { Cancel } from '../base/clock.ts'
import { step } from '../base/machine.ts'
import type { ConnectEnvironment } from './connect.ts'
import { NetworkEvent } from './network-event.ts'
import { TRANSITIONS } from './resume-state.ts'
import type { ResumeEvent, ResumeState } from './resume-state.ts'
import { decodePacked } from './session/packed.ts'
import type { PackedSession } from './session/packed.ts'
import { Session } from './session/session.ts'
import type { StartedProvider } from './started-provider.ts'

/** How long the peer may take to find the new owner, in ms. */
const RESUME_TIMEOUT_MS = 5000

/**
 * Makes a session of what {@link Session.suspend} packed in another process: the provider's socket first, then the session
 * over its new memory, then the peer's word that it goes on (WSD-DUP-19, -21, -22).
 *
 * @param done Called once, in a turn of its own.
 * @returns Cancels; the connection is lost then, and `done` is not called.
 */
export function resumeSession(
  environment: ConnectEnvironment,
  started: StartedProvider | undefined,
  family: AddressFamily,
  bytes: Uint8Array,
  done: (result: Result<Session>) => void,
): Cancel {
  const packed = decodePacked(bytes)
  const made = packed === undefined ? failure(WSA.WSAEFAULT) : socketOf(started, family, packed)
  if (packed === undefined || started === undefined || !made.ok) {
    let isCancelled = false
    environment.schedule(() => {
      if (!isCancelled) done(made as Result<never>)
    })
    return () => {
      isCancelled = true
    }
  }
  const resumption = new Resumption(environment, started, made.value, packed, done)
  resumption.begin()
  return () => {
    resumption.cancel()
  }
}

class Resumption {
  readonly #environment: ConnectEnvironment
  readonly #started: StartedProvider
  readonly #socket: SanSocket
  readonly #packed: PackedSession
  readonly #done: (result: Result<Session>) => void
  readonly #event: NetworkEvent
  readonly #cancelTimer: Cancel
  #state: ResumeState = 'joining'
  #session: Session | undefined

  constructor(
    environment: ConnectEnvironment,
    started: StartedProvider,
    socket: SanSocket,
    packed: PackedSession,
    done: (result: Result<Session>) => void,
  ) {
    this.#environment = environment
    this.#started = started
    this.#socket = socket
    this.#packed = packed
    this.#done = done
    this.#event = new NetworkEvent(environment.schedule, () => {
      if (this.#state === 'joining') this.#look()
    })
    this.#cancelTimer = environment.clock.after(RESUME_TIMEOUT_MS, () => {
      this.#fail(WSA.WSAETIMEDOUT)
    })
  }

  #move(event: ResumeEvent): void {
    this.#state = step('resume', TRANSITIONS, this.#state, event)
  }

  begin(): void {
    const status = this.#socket.eventSelect(this.#event, FD_CONNECT)
    if (status === 0) return
    this.#environment.schedule(() => {
      this.#fail(status)
    })
  }

  cancel(): void {
    if (this.#state === 'over') return
    this.#end()
    this.#giveBack()
  }

  #look(): void {
    const events = this.#socket.enumNetworkEvents(this.#event)
    if (!events.ok || (events.value.mask & FD_CONNECT) === 0) return
    const { connectStatus } = events.value
    const memory = connectStatus === 0 ? this.#socket.memory() : failure(connectStatus)
    if (memory.ok) this.#joined(memory.value)
    else this.#fail(memory.error)
  }

  #joined(memory: ConnectionMemory): void {
    const { limits, orphans } = this.#started
    const { peerHello, role } = this.#packed
    this.#move('joined')
    const session = new Session({
      socket: this.#socket,
      memory,
      limits,
      orphans,
      peerHello,
      role,
      resumed: this.#packed,
    })
    this.#session = session
    // It is told nothing before the peer has found it, or it has ended.
    const told = (): void => {
      if (session.isMoving) this.#fail(WSA.WSAECONNRESET)
      else if (this.#state !== 'over') {
        this.#end()
        this.#done(success(session))
      }
    }
    session.attach({ readable: told, writable: told })
  }

  #fail(code: WsaCode): void {
    if (this.#state === 'over') return
    this.#end()
    this.#giveBack()
    this.#done(failure(code))
  }

  #giveBack(): void {
    if (this.#session === undefined) this.#socket.close()
    else this.#session.reset()
  }

  #end(): void {
    this.#move('end')
    this.#cancelTimer()
  }
}

function socketOf(
  started: StartedProvider | undefined,
  family: AddressFamily,
  { duplicate }: PackedSession,
): Result<SanSocket> {
  return started === undefined ? failure(WSA.WSAEOPNOTSUPP) : started.provider.socket({ family, duplicate })
}
