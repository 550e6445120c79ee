import { WSA, failure, success } from '../../spi/index.ts'
import type { ConnectionMemory, Result, WsaCode } from '../../spi/index.ts'
import type { Halves, SessionParts } from './halves.ts'
import * as layout from './layout.ts'
import type { Life } from './life.ts'
import type { MovingEvent } from './moving-state.ts'
import { PACKED_VERSION, encodePacked } from './packed.ts'
import type { PackedSession } from './packed.ts'

/** How a hand-over ended: what the next process resumes the session from, or why it goes on here. */
export type Suspended = (result: Result<Uint8Array>) => void

/** Who is told what comes of a peer's move; never from inside a call into the mover but {@link Mover.look}. */
export interface MoverEvents {
  /** Reading and writing go on. */
  running(): void
  /** The peer broke the protocol, and the connection was reset. */
  broken(): void
}

interface Wish {
  readonly processId: number
  readonly done: Suspended
}

/**
 * Hands one end of a session to another process: asks the peer to stand still, lets the provider duplicate the socket, and
 * packs what is unread. On the other side of it: stands still when asked, and goes on when the new owner, or the old one,
 * says so.
 *
 * @source WSD §3.22, RACE-32 to -34; docs/session-protocol.md
 */
export class Mover {
  readonly #parts: SessionParts
  readonly #life: Life
  readonly #halves: Halves
  readonly #events: MoverEvents
  #wish: Wish | undefined
  /** The owner has not heard yet that the peer broke the protocol. */
  #isUntold = false
  /** Where the session stood still. */
  #parkedAt: ConnectionMemory | undefined

  constructor(parts: SessionParts, life: Life, halves: Halves, events: MoverEvents) {
    this.#parts = parts
    this.#life = life
    this.#halves = halves
    this.#events = events
  }

  /** In the next process: stands still until the peer has found us. */
  resume(packed: PackedSession): void {
    const { state, unread } = packed
    this.#life.takeUp(packed)
    this.#halves.putBy(unread, state === 'halfOpen' || state === 'finished' ? layout.FLAG_END : 0)
    const isShut = state === 'draining' || state === 'finished'
    this.#notice(layout.FLAG_OPEN | layout.FLAG_RESUMED | (isShut ? layout.FLAG_END : 0), 0)
  }

  /** A hand-over was asked for and has not ended. */
  get isWanted(): boolean {
    return this.#wish !== undefined
  }

  ask(processId: number, done: Suspended): void {
    this.#wish = { processId, done }
    if (this.#life.moving === 'running') this.#ask()
  }

  /** Thinks better of a hand-over that the peer has not answered; `done` is not called. False when it is too late. */
  withdraw(): boolean {
    if (this.#wish === undefined) return false
    this.#wish = undefined
    if (this.#life.moving !== 'asking') return true
    this.#notice(0, layout.FLAG_SUSPEND)
    this.#life.handOver('refused')
    if (this.#isAsked) this.#park()
    return true
  }

  #ask(): void {
    // The peer still stands as it did for a hand-over that was withdrawn; it says when it goes on.
    if ((this.#flags & layout.FLAG_SUSPENDED) !== 0) return
    this.#life.handOver('ask')
    this.#notice(layout.FLAG_SUSPEND, 0)
  }

  /** The peer has signalled, or is gone. False: the owner is told nothing now, but by `running`. */
  look(): boolean {
    const before = this.#life.moving
    switch (before) {
      case 'running':
        if (this.#isAsked) this.#park()
        else if (this.#wish !== undefined) this.#ask()
        break
      case 'asking':
        if (this.#life.state === 'reset') this.fail(WSA.WSAECONNRESET)
        else if ((this.#flags & layout.FLAG_SUSPENDED) !== 0) this.#duplicate()
        else if (this.#isAsked && this.#parts.role === 'acceptor') this.#park()
        break
      case 'parked':
        this.#lookForOwner()
        break
      case 'closing':
        if (this.#life.isPeerThere) this.#lookForOwner()
        else this.#life.handOver('gone')
        break
      case 'resuming':
        this.#lookForPeer()
        break
      case 'moved':
      case 'told':
        break
    }
    if (this.#isUntold) {
      this.#tellBroken()
      return false
    }
    return (before === 'running' || !this.#life.isPeerThere) && this.#life.state !== 'closed'
  }

  #tellBroken(): void {
    this.#isUntold = false
    this.fail(WSA.WSAECONNRESET)
    if (this.#life.state !== 'closed') this.#events.broken()
  }

  // Found while looking it is told at once, else with the peer's next signal or its end.
  #violated(): void {
    this.#life.violated()
    this.#isUntold = true
  }

  get #isAsked(): boolean {
    return isAskedBy(this.#flags)
  }

  // RACE-33: what is under way ends first.
  #park(): void {
    if (this.#halves.isBusy) return
    const memory = this.#parts.socket.memory()
    if (!memory.ok) return
    this.#parkedAt = memory.value
    if (!this.#stand()) return
    this.#life.handOver('asked')
    this.#notice(layout.FLAG_SUSPENDED, layout.FLAG_SUSPEND)
  }

  #duplicate(): void {
    const wish = this.#wish
    if (wish === undefined || this.#halves.sender.unread) {
      this.#violated()
      return
    }
    // Only now is everything the peer has sent to be seen; and the provider may take the memory away.
    if (!this.#stand()) return
    this.#wish = undefined
    const duplicate = this.#parts.socket.duplicate(wish.processId)
    if (duplicate.ok) {
      this.#life.handOver('answered')
      wish.done(success(this.#pack(duplicate.value)))
    } else {
      this.#halves.goOn()
      this.#notice(0, layout.FLAG_SUSPEND)
      this.#run('refused')
      wish.done(duplicate)
    }
  }

  /** Everything the next process must know; ends the session here. */
  #pack(duplicate: Uint8Array): Uint8Array {
    const { role, peerHello } = this.#parts
    const { state, bytesRead, bytesWritten } = this.#life
    const packed = encodePacked({
      version: PACKED_VERSION,
      duplicate,
      role,
      state: state as PackedSession['state'],
      peerHello,
      sent: this.#halves.sender.produced,
      received: this.#halves.taken,
      bytesRead,
      bytesWritten,
      unread: this.#halves.takeAll(),
    })
    this.#life.leave()
    return packed
  }

  // The provider gives new memory when the new owner is there, and its header says something when the owner does; the flag of the
  // old one goes when it has thought better of it.
  #lookForOwner(): void {
    const memory = this.#parts.socket.memory()
    if (memory.ok && memory.value !== this.#parkedAt) {
      if ((flagsIn(memory.value) & layout.FLAG_RESUMED) === 0) return
      this.#halves.rejoin(memory.value)
      this.#notice(layout.FLAG_RESUMED, layout.FLAG_SUSPENDED)
      this.#run('resumed')
    } else if (memory.ok && !isAskedBy(flagsIn(memory.value))) {
      this.#halves.goOn()
      this.#notice(0, layout.FLAG_SUSPENDED)
      this.#run('withdrawn')
    }
  }

  // Before the peer has found the new memory its header there says nothing, and is not to be looked at.
  #lookForPeer(): void {
    const memory = this.#parts.socket.memory()
    if (!memory.ok || (flagsIn(memory.value) & layout.FLAG_RESUMED) === 0) return
    this.#halves.goOn()
    this.#run('confirmed')
  }

  get #flags(): number {
    return this.#halves.receiver.flags
  }

  #notice(raise: number, lower: number): void {
    this.#halves.sender.notice(raise, lower)
  }

  /** False when the peer broke the protocol. */
  #stand(): boolean {
    const stands = this.#halves.stand()
    if (!stands) this.#violated()
    return stands
  }

  #run(event: MovingEvent): void {
    this.#parkedAt = undefined
    this.#life.handOver(event)
    this.#events.running()
    if (this.#life.moving !== 'running' || this.#life.state === 'closed') return
    // Our own wish waited for the peer's; the peer's may have come with the word that it goes on.
    const isAsked = this.#isAsked
    if (this.#wish !== undefined && (!isAsked || this.#parts.role === 'initiator')) this.#ask()
    else if (isAsked) this.#park()
  }

  /** The connection is over: a hand-over that was asked for fails. */
  fail(code: WsaCode): void {
    const wish = this.#wish
    this.#wish = undefined
    wish?.done(failure(code))
  }
}

/** A peer that has closed wants nothing any more. */
function isAskedBy(flags: number): boolean {
  return (flags & (layout.FLAG_SUSPEND | layout.FLAG_CLOSED | layout.FLAG_ABORT)) === layout.FLAG_SUSPEND
}

/** The peer's flags in `memory`. */
function flagsIn({ receive }: ConnectionMemory): number {
  return Atomics.load(receive.words, receive.offset / 4 + layout.FLAGS)
}
