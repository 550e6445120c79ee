import { WSA } from '../../spi/index.ts'
import type { SanSocket } from '../../spi/index.ts'
import { step } from '../../base/machine.ts'
import type { Halves } from './halves.ts'
import * as layout from './layout.ts'
import { TRANSITIONS as MOVING } from './moving-state.ts'
import type { MovingEvent, MovingState } from './moving-state.ts'
import type { PackedSession } from './packed.ts'
import { TRANSITIONS as PEER } from './peer-state.ts'
import type { PeerEvent, PeerState } from './peer-state.ts'
import { TRANSITIONS as SESSION } from './session-state.ts'
import type { SessionEvent, SessionState } from './session-state.ts'

/**
 * Where a session stands, and how it ends: its own state, what it knows of its peer, and whether either end is on its way to
 * another process. What the peer has flagged is asked of its memory each time, and believed after every byte before it.
 *
 * @source WSD §3.20; docs/session-protocol.md
 */
export class Life {
  readonly #socket: SanSocket
  readonly #halves: Halves
  readonly #left: () => void
  #state: SessionState = 'negotiating'
  #peer: PeerState = 'there'
  #moving: MovingState = 'running'
  bytesRead = 0
  bytesWritten = 0

  /** @param left The session is closed, in whichever way. */
  constructor(socket: SanSocket, halves: Halves, left: () => void) {
    this.#socket = socket
    this.#halves = halves
    this.#left = left
  }

  get state(): SessionState {
    return this.#state
  }
  move(event: SessionEvent): void {
    this.#state = step('session', SESSION, this.#state, event)
  }

  get isPeerThere(): boolean {
    return this.#peer === 'there'
  }
  hear(event: PeerEvent): void {
    this.#peer = step('peer', PEER, this.#peer, event)
    this.#halves.receiver.freeze()
  }

  get moving(): MovingState {
    return this.#moving
  }
  handOver(event: MovingEvent): void {
    this.#moving = step('moving', MOVING, this.#moving, event)
    if (this.#moving === 'told') this.#socket.close()
  }

  /** What another process has packed stands here from now on, once the peer has found it. */
  takeUp({ state, bytesRead, bytesWritten }: PackedSession): void {
    this.#state = state
    this.#moving = 'resuming'
    this.bytesRead = bytesRead
    this.bytesWritten = bytesWritten
  }

  get canRead(): boolean {
    return this.#state === 'open' || this.#state === 'draining'
  }

  get canWrite(): boolean {
    return this.#state === 'open' || this.#state === 'halfOpen'
  }

  /** The peer will never read again. */
  isOver(flags: number): boolean {
    return this.#peer !== 'there' || (flags & (layout.FLAG_ABORT | layout.FLAG_CLOSED)) !== 0
  }

  /** The connection was cut off, not closed. */
  wasCut(flags: number): boolean {
    return (flags & layout.FLAG_ABORT) !== 0 || this.#died(flags)
  }

  // The kernel closes the sockets of a process that dies: with a reset where nobody had accepted them yet, or where bytes were
  // unread, else with an end. Where the transport failed, an end would be a guess; so it would where nobody has come for the
  // peer's side, and our own memory may be gone by then.
  #died(flags: number): boolean {
    if (this.#peer === 'there' || (flags & layout.FLAG_CLOSED) !== 0) return false
    if (this.#peer === 'lost' || this.#halves.standsStill) return true
    const wasTaken = (flags & layout.FLAG_OPEN) !== 0
    return !wasTaken || this.#halves.sender.unread || this.#halves.isExposed
  }

  readEnd(): 'more' | 'end' | 'reset' {
    if (this.#state === 'halfOpen' || this.#state === 'finished') return 'end'
    if (!this.canRead) return 'reset'
    // Gone first, then flags, then bytes: each may only have been set after the next.
    const gone = this.#peer !== 'there'
    const { sender, receiver } = this.#halves
    const { flags } = receiver
    if (receiver.available > 0) return 'more'
    if (receiver.broken || sender.broken) this.violated()
    else if (this.wasCut(flags)) this.move('reset')
    else if (gone || (flags & layout.FLAG_END) !== 0) this.move('remoteEnd')
    else return 'more'
    return this.readEnd()
  }

  get aborted(): boolean {
    return this.#state === 'reset' || this.wasCut(this.#halves.receiver.flags)
  }

  close(): void {
    if (this.#state === 'closed') return
    const unread = this.canRead && this.#halves.receiver.available > 0
    if (unread) this.reset()
    else this.#end(layout.FLAG_END | layout.FLAG_CLOSED)
  }

  reset(): void {
    if (this.#state !== 'closed') this.#end(layout.FLAG_ABORT | layout.FLAG_CLOSED)
  }

  #end(flags: number): void {
    // A large send that is cut off leaves a gap: the peer must not take it for the end.
    const cut = this.#halves.isExposed
    this.#halves.sender.raise(cut ? (flags & ~layout.FLAG_END) | layout.FLAG_ABORT : flags)
    // Who stands still is heard by the other end's next owner, in its turn; where none can come, or the connection was cut, it is not
    // waited for.
    const isAwaited = this.#moving === 'parked' && this.isPeerThere && this.#state !== 'reset'
    if (!isAwaited) {
      this.leave()
      return
    }
    this.move('close')
    this.handOver('close')
  }

  /** Closes without a word to the peer. */
  leave(): void {
    this.move('close')
    this.#left()
    this.#socket.close()
  }

  /** The peer broke the protocol: this connection ends, and no other. @returns What a write answers then. */
  violated(): number {
    this.#halves.sender.raise(layout.FLAG_ABORT)
    if (this.#state !== 'reset') this.move('reset')
    return -WSA.WSAECONNRESET
  }
}
