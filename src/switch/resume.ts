import { FD_CONNECT, WSA, failure, success } from '../spi/index.ts'
import type { AddressFamily, Result, SanSocket, WsaCode } from '../spi/index.ts'
import type { Cancel } from '../base/clock.ts'
import type { ConnectEnvironment } from './connect.ts'
import { NetworkEvent } from './network-event.ts'
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
  const { schedule, clock } = environment
  let over = false
  const packed = decodePacked(bytes)
  const made = packed === undefined ? failure(WSA.WSAEFAULT) : socketOf(started, family, packed)
  if (packed === undefined || started === undefined || !made.ok) {
    schedule(() => {
      if (!over) done(made as Result<never>)
    })
    return () => {
      over = true
    }
  }
  const socket = made.value
  let session: Session | undefined
  const end = (): boolean => {
    if (over) return false
    over = true
    cancelTimer()
    return true
  }
  const fail = (code: WsaCode): void => {
    if (!end()) return
    if (session === undefined) socket.close()
    else session.reset()
    done(failure(code))
  }
  const cancelTimer = clock.after(RESUME_TIMEOUT_MS, () => {
    fail(WSA.WSAETIMEDOUT)
  })
  const event = new NetworkEvent(schedule, () => {
    if (over) return
    const events = socket.enumNetworkEvents(event)
    if (!events.ok || (events.value.mask & FD_CONNECT) === 0) return
    const memory = events.value.connectStatus === 0 ? socket.memory() : failure(events.value.connectStatus)
    if (!memory.ok) {
      fail(memory.error)
      return
    }
    const { peerHello, role } = packed
    session = new Session({
      socket,
      memory: memory.value,
      limits: started.limits,
      orphans: started.orphans,
      peerHello,
      role,
      resumed: packed,
    })
    const resumed = session
    const look = (): void => {
      if (resumed.isMoving) fail(WSA.WSAECONNRESET)
      else if (end()) done(success(resumed))
    }
    resumed.attach({ readable: look, writable: look })
  })
  const status = socket.eventSelect(event, FD_CONNECT)
  if (status !== 0) {
    schedule(() => {
      fail(status)
    })
  }
  return () => {
    if (!end()) return
    if (session === undefined) socket.close()
    else session.reset()
  }
}

function socketOf(
  started: StartedProvider | undefined,
  family: AddressFamily,
  { duplicate }: PackedSession,
): Result<SanSocket> {
  return started === undefined ? failure(WSA.WSAEOPNOTSUPP) : started.provider.socket({ family, duplicate })
}
