import { randomBytes } from 'node:crypto'
import { step } from '../../base/machine.ts'
import { Session } from '../../switch/session/session.ts'
import { Bridge } from './bridge.ts'
import type { PairEnd } from './bridge.ts'
import { MAX_UNSENT_BYTES, OFFER, OFFER_VERSION, decodeTaker, encodeCargo, self } from './cargo.ts'
import type { Cargo, Offer, Taker } from './cargo.ts'
import type { Connection } from './connection.ts'
import { TRANSITIONS } from './hand-over-state.ts'
import type { HandOverEvent, HandOverState } from './hand-over-state.ts'

/** How long the peer may take to stand still, in ms; the message, and what is sent after it, waits as long. */
const SUSPEND_MS = 1000
/** Sessions of this process that move at a time: their peers hold a descriptor for each. */
const MAX_MOVING = 32
/** How often it is looked whether the other process is still there, in ms. */
const LOOK_MS = 100
let moving = 0

const NOTHING = new Uint8Array()

/**
 * A switched socket on its way to another process, which gets one end of a Unix socket pair as its descriptor. If that process
 * is switched, too, it says so over the pair and is given the session; any other uses the descriptor, and a bridge carries what
 * it reads and writes. Until it is known which, nobody reads the session, and no byte is lost.
 */
export class HandOver {
  readonly #connection: Connection
  readonly #end: PairEnd
  readonly #nonce = randomBytes(16).toString('hex')
  readonly #over: (how: 'moved' | 'bridged') => void
  #state: HandOverState = 'offered'
  #heard = Buffer.alloc(0)
  #timer: NodeJS.Timeout | undefined
  #watch: NodeJS.Timeout | undefined

  /** @param over Told once, how it goes on. */
  constructor(connection: Connection, end: PairEnd, over: (how: 'moved' | 'bridged') => void) {
    this.#connection = connection
    this.#end = end
    this.#over = over
    connection.session.attach({
      readable() {
        // Whoever gets the connection looks for itself.
      },
      writable() {
        // The same.
      },
    })
    end.inner.on('data', this.#hear).on('end', this.#nobody).on('error', this.#nobody)
  }

  /** To be sent right before the socket. */
  get offer(): Offer {
    return {
      cmd: OFFER,
      version: OFFER_VERSION,
      provider: this.#connection.parts.provider,
      nonce: this.#nonce,
    }
  }

  #move(event: HandOverEvent): void {
    this.#state = step('hand-over', TRANSITIONS, this.#state, event)
  }

  /** The socket was not sent after all: it goes on here. */
  unsent(): void {
    if (this.#state !== 'offered') return
    this.#bridge()
    this.#end.readOn()
  }

  /** Looks until our descriptor is closed whether `isGone`, the other process; Node itself leaves the descriptor open then. */
  watch(isGone: () => boolean, close: () => void): void {
    if (this.#state !== 'offered') return
    this.#watch = setInterval(() => {
      if (isGone()) close()
    }, LOOK_MS).unref()
  }

  /** Our descriptor is closed: the other process has taken the message, or never will. */
  released(): void {
    clearInterval(this.#watch)
    if (this.#state === 'suspending') this.#move('released')
    if (this.#state === 'offered' || this.#state === 'kept') this.#bridge()
  }

  /** This process ends: what is still here ends with it. */
  abandon(): void {
    if (this.#state !== 'moved' && this.#state !== 'bridged') this.#connection.session.reset()
  }

  #bridge(): void {
    this.#move('owned')
    this.#end.inner.off('data', this.#hear).off('end', this.#nobody).off('error', this.#nobody)
    new Bridge(this.#connection, this.#end, this.#heard.length > 0 ? [this.#heard] : [])
    this.#over('bridged')
  }

  readonly #hear = (chunk: Buffer): void => {
    this.#heard = Buffer.concat([this.#heard, chunk])
    if (this.#state === 'kept') this.#bridge()
    if (this.#state !== 'offered') return
    const taker = decodeTaker(this.#nonce, this.#heard)
    if (taker === 'other') this.#bridge()
    else if (taker !== 'more') this.#take(taker)
  }

  #take(taker: Taker): void {
    this.#heard = Buffer.alloc(0)
    this.#move('taker')
    const { session } = this.#connection
    const possible = session instanceof Session && this.#mayMove(taker)
    const status = possible ? session.suspend(taker.processId, this.#suspended) : undefined
    if (status !== 0) {
      this.#keep()
      return
    }
    moving += 1
    this.#timer = setTimeout(this.#giveUp, SUSPEND_MS)
  }

  // Once the peer has been told, there is no way back: what would go wrong must be known before.
  #mayMove({ userId, namespaces, hasRoom }: Taker): boolean {
    const here = self()
    const unsent = this.#end.pending.reduce((sum, { rest }) => sum + bytesOf(rest), 0)
    const near = hasRoom && userId === here.userId && namespaces === here.namespaces
    return (
      near && moving < MAX_MOVING && unsent <= MAX_UNSENT_BYTES && this.#connection.consumer === undefined
    )
  }

  readonly #suspended: Parameters<Session['suspend']>[1] = (result) => {
    this.#settle()
    if (!result.ok) {
      this.#keep()
      return
    }
    this.#move('packed')
    const { pending, inner } = this.#end
    const unsent = Buffer.concat(pending.flatMap(({ rest }) => rest))
    const ends = pending.some(({ isEnd }) => isEnd)
    inner.write(encodeCargo({ ...this.#facts(true), session: result.value, unsent, ends }), () =>
      inner.unref(),
    )
    for (const { done } of pending) done(0)
    // The taker holds on to the pair for as long as it needs the port that is reserved here.
    const { direction, release } = this.#connection.parts
    if (direction === 'in') release()
    else inner.once('close', release)
    this.#over('moved')
  }

  #settle(): void {
    clearTimeout(this.#timer)
    moving -= 1
  }

  #keep(): void {
    const isReleased = this.#state === 'released'
    this.#move('kept')
    this.#end.inner.write(
      encodeCargo({ ...this.#facts(false), session: NOTHING, unsent: NOTHING, ends: false }),
    )
    if (isReleased) this.#bridge()
  }

  #facts(moved: boolean): Omit<Cargo, 'session' | 'unsent' | 'ends'> {
    const { parts, typeOfService } = this.#connection
    const { provider, direction, local, remote } = parts
    return { moved, provider, direction, local, remote, typeOfService }
  }

  readonly #giveUp = (): boolean => {
    const { session } = this.#connection
    if (!(session instanceof Session) || !session.withdraw()) return false
    this.#settle()
    this.#keep()
    return true
  }

  // Nobody has the other end any more.
  readonly #nobody = (): void => {
    if (this.#state === 'suspending' || this.#state === 'released') this.#giveUp()
    if (this.#state === 'kept') this.#bridge()
    else if (this.#state === 'moved') this.#end.inner.destroy()
  }
}

function bytesOf(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.length, 0)
}
