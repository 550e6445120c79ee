import { failure, success } from '../../spi/index.ts'
import type { ConnectionMemory, Result, SanSocket, WsaCode } from '../../spi/index.ts'
import { invariant } from '../../base/invariant.ts'
import * as layout from './layout.ts'
import { next } from './moving-state.ts'
import type { MovingEvent, MovingState } from './moving-state.ts'
import type { Unread } from './packed.ts'
import type { Receiver } from './receiver.ts'
import type { Sender } from './sender.ts'

/** How a hand-over ended: what the next process resumes the session from, or why it goes on here. */
export type Suspended = (result: Result<Uint8Array>) => void

/** What a {@link Mover} needs of its session. */
export interface MoverHost {
  readonly socket: SanSocket
  readonly role: 'initiator' | 'acceptor'
  readonly halves: () => { readonly sender: Sender; readonly receiver: Receiver }
  /** A receiver over `memory`, whose stream begins at `firstCursor`, after what is `before`. */
  readonly receiverOver: (firstCursor: number, memory: ConnectionMemory, before?: Unread) => Receiver
  /** From now on `receiver` is read. */
  readonly read: (receiver: Receiver) => void
  /** From now on a new sender writes into `memory`, where the stream goes on. */
  readonly rejoin: (memory: ConnectionMemory) => Sender
  /** A large send of either side is under way. */
  readonly isBusy: () => boolean
  /** Everything the next process must know; ends the session here. */
  readonly pack: (duplicate: Uint8Array, unread: Unread) => Uint8Array
  /** Reading and writing go on. */
  readonly running: () => void
  /** The peer does not do what it said. */
  readonly violated: () => void
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
  readonly #host: MoverHost
  #state: MovingState
  #wish: Wish | undefined
  /** Where the session stood still. */
  #parkedAt: ConnectionMemory | undefined
  /** The receiver of the connection, while another gives out what was put by. */
  #standing: Receiver | undefined

  constructor(host: MoverHost, start: 'running' | 'resuming') {
    this.#host = host
    this.#state = start
  }

  get state(): MovingState {
    return this.#state
  }

  /** Reads are answered out of memory of our own. */
  get standsStill(): boolean {
    return this.#standing !== undefined
  }

  /** A hand-over was asked for and has not ended. */
  get isWanted(): boolean {
    return this.#wish !== undefined
  }

  ask(processId: number, done: Suspended): void {
    this.#wish = { processId, done }
    if (this.#state === 'running') this.#ask()
  }

  #ask(): void {
    this.#move('ask')
    this.#notice(layout.FLAG_SUSPEND, 0)
  }

  /** The peer has signalled. */
  look(): void {
    switch (this.#state) {
      case 'running':
        if (this.#isAsked) this.#park()
        break
      case 'asking':
        if ((this.#flags & layout.FLAG_SUSPENDED) !== 0) this.#duplicate()
        else if (this.#isAsked && this.#host.role === 'acceptor') this.#park()
        break
      case 'parked':
        this.#lookForOwner()
        break
      case 'resuming':
        this.#lookForPeer()
        break
      case 'moved':
        break
    }
  }

  get #isAsked(): boolean {
    return isAskedBy(this.#flags)
  }

  // RACE-33: what is under way ends first.
  #park(): void {
    if (this.#host.isBusy()) return
    const memory = this.#host.socket.memory()
    if (!memory.ok) return
    this.#parkedAt = memory.value
    if (!this.#stand()) return
    this.#move('asked')
    this.#notice(layout.FLAG_SUSPENDED, layout.FLAG_SUSPEND)
  }

  #duplicate(): void {
    const wish = this.#wish
    if (wish === undefined || this.#host.halves().sender.unread) {
      this.#host.violated()
      return
    }
    // Only now is everything the peer has sent to be seen; and the provider may take the memory away.
    if (!this.#stand()) return
    this.#wish = undefined
    const duplicate = this.#host.socket.duplicate(wish.processId)
    if (duplicate.ok) {
      this.#move('answered')
      const unread = this.#host.halves().receiver.takeAll()
      wish.done(success(this.#host.pack(duplicate.value, unread ?? NOTHING)))
    } else {
      this.#goOn()
      this.#notice(0, layout.FLAG_SUSPEND)
      this.#run('refused')
      wish.done(duplicate)
    }
  }

  // The provider gives new memory when the new owner is there; the flag of the old one goes when it has thought better of it.
  #lookForOwner(): void {
    const memory = this.#host.socket.memory()
    if (memory.ok && memory.value !== this.#parkedAt) {
      this.#rejoin(memory.value)
      this.#notice(layout.FLAG_RESUMED, layout.FLAG_SUSPENDED)
      this.#run('resumed')
    } else if (memory.ok && !isAskedBy(flagsIn(memory.value))) {
      this.#goOn()
      this.#notice(0, layout.FLAG_SUSPENDED)
      this.#run('withdrawn')
    }
  }

  // Before the peer has found the new memory its header there says nothing, and is not to be looked at.
  #lookForPeer(): void {
    const memory = this.#host.socket.memory()
    if (!memory.ok || (flagsIn(memory.value) & layout.FLAG_RESUMED) === 0) return
    this.#goOn()
    this.#run('confirmed')
  }

  /** Puts by whatever is unread; false when the peer broke the protocol. */
  #stand(): boolean {
    const { receiver } = this.#host.halves()
    const unread = receiver.takeAll()
    if (unread === undefined) this.#host.violated()
    else this.putBy(unread, receiver.flags & ~layout.FLAG_BLOCKED)
    return unread !== undefined
  }

  /** From here on reads are answered out of memory of our own, with the peer's `flags`; what is the peer's may go. */
  putBy(unread: Unread, flags: number): void {
    const { receiver } = this.#host.halves()
    this.#standing = receiver
    this.#host.read(this.#host.receiverOver(receiver.taken, privateMemory(flags, receiver.taken), unread))
  }

  /** Reading goes on where it stood. */
  #goOn(): void {
    const unread = this.#host.halves().receiver.takeAll()
    if (this.#standing === undefined || unread === undefined) return
    this.#standing.putBack(unread)
    this.#host.read(this.#standing)
    this.#standing = undefined
  }

  /** Reading and writing go on over new memory. */
  #rejoin(memory: ConnectionMemory): void {
    const { sender, receiver } = this.#host.halves()
    const unread = receiver.takeAll()
    this.#standing = undefined
    this.#host.read(this.#host.receiverOver(receiver.taken, memory, unread))
    this.#host.rejoin(memory).notice(sender.flags & (layout.FLAG_OPEN | layout.FLAG_END), 0)
  }

  get #flags(): number {
    return this.#host.halves().receiver.flags
  }

  #notice(raise: number, lower: number): void {
    this.#host.halves().sender.notice(raise, lower)
  }

  #run(event: MovingEvent): void {
    this.#parkedAt = undefined
    this.#move(event)
    this.#host.running()
    if (this.#state !== 'running') return
    // Our own wish waited for the peer's; the peer's may have come with the word that it goes on.
    const isAsked = this.#isAsked
    if (this.#wish !== undefined && (!isAsked || this.#host.role === 'initiator')) this.#ask()
    else if (isAsked) this.#park()
  }

  /** The connection is over: a hand-over that was asked for fails. */
  fail(code: WsaCode): void {
    const wish = this.#wish
    this.#wish = undefined
    wish?.done(failure(code))
  }

  #move(event: MovingEvent): void {
    const to = next(this.#state, event)
    invariant(to, `${event} is legal in moving state ${this.#state}`)
    this.#state = to
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

/** A header that says what the peer's said, and nothing more. */
function privateMemory(flags: number, produced: number): ConnectionMemory {
  const region = (): ConnectionMemory['receive'] => {
    const bytes = new Uint8Array(layout.MIN_REGION_BYTES)
    return { bytes, words: new Int32Array(bytes.buffer), offset: 0, length: bytes.length }
  }
  const receive = region()
  receive.words[layout.FLAGS] = flags
  receive.words[layout.PRODUCED] = produced
  return { send: { ...region(), descriptor: 0 }, receive }
}

const NOTHING: Unread = { bytes: new Uint8Array(), inline: false }
