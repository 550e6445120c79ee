import type { Socket } from 'node:net'
import { MAX_PIECE_BYTES, Pattern } from '../support/pattern.ts'
import type { Random } from '../support/random.ts'
import { deferred } from '../support/waiting.ts'

/** What a connection does while it lasts. */
export const HABITS = ['writes', 'idles', 'pauses', 'ends early', 'writes on after the end'] as const

export type Habit = (typeof HABITS)[number]

export interface Outcome {
  readonly habit: Habit
  readonly connected: boolean
  readonly ended: boolean
  readonly error: string | undefined
  readonly received: number
  /** Position of the first byte that was not what had been sent. */
  readonly damagedAt: number | undefined
}

/** Errors with which a connection may end when its peer dies. */
const FAIR_ERRORS = ['ECONNRESET', 'EPIPE', 'ECONNREFUSED']

/** What is wrong with the way a connection to a killed peer ended; undefined when it is as it should be. */
export function complaintAbout(outcome: Outcome): string | undefined {
  if (outcome.damagedAt !== undefined) return `wrong byte at ${outcome.damagedAt}`
  if (outcome.error !== undefined && !FAIR_ERRORS.includes(outcome.error)) return `error ${outcome.error}`
  if (outcome.error === undefined && !outcome.ended) return 'closed with neither end nor error'
  return undefined
}

/** The survivor's end of a connection to an echo: it writes as its habit is, and verifies what comes back. */
export class Load {
  /** Settles when the socket is closed. */
  readonly over: Promise<Outcome>
  readonly #socket: Socket
  readonly #random: Random
  readonly #habit: Habit
  readonly #pattern: Pattern
  #sent = 0
  #received = 0
  #connected: boolean
  #ended = false
  #error: string | undefined
  #damagedAt: number | undefined

  constructor(socket: Socket, random: Random, onReceived: (bytes: number) => void) {
    this.#socket = socket
    this.#random = random
    this.#habit = random.pick(HABITS)
    this.#pattern = new Pattern(random.between(0, 1_000_000))
    this.#connected = !socket.connecting
    const over = deferred<Outcome>()
    this.over = over.promise
    socket.on('data', (data) => {
      this.#damagedAt ??= this.#pattern.damageIn(data, this.#received)
      this.#received += data.length
      onReceived(data.length)
      if (this.#habit === 'pauses' && random.chance(0.3)) socket.pause()
    })
    socket.on('end', () => {
      this.#ended = true
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#error = error.code ?? error.message
    })
    socket.on('close', () => {
      over.resolve(this.#outcome())
    })
    socket.on('drain', () => {
      this.#write()
    })
    if (this.#connected) this.#begin()
    else
      socket.on('connect', () => {
        this.#begin()
      })
  }

  /** The socket has told that it is closed. */
  get isOver(): boolean {
    return this.#socket.closed
  }

  /** What is known of it so far, for a report on a connection that hangs. */
  toString(): string {
    const { readyState, destroyed, connecting, writableLength } = this.#socket
    const paused = this.#socket.isPaused()
    return JSON.stringify({
      ...this.#outcome(),
      sent: this.#sent,
      readyState,
      destroyed,
      connecting,
      paused,
      writableLength,
    })
  }

  /** Reads again if it had paused: a paused stream is not told that its peer is gone. */
  resume(): void {
    this.#socket.resume()
  }

  #begin(): void {
    this.#connected = true
    if (this.#habit !== 'idles') this.#write()
    if (this.#habit === 'ends early') this.#socket.end()
  }

  #write(): void {
    let more = true
    while (more && this.#socket.writable) {
      const length = this.#random.sized(1, MAX_PIECE_BYTES)
      more = this.#socket.write(this.#pattern.slice(this.#sent, length))
      this.#sent += length
      if (this.#habit === 'ends early') return
    }
  }

  #outcome(): Outcome {
    return {
      habit: this.#habit,
      connected: this.#connected,
      ended: this.#ended,
      error: this.#error,
      received: this.#received,
      damagedAt: this.#damagedAt,
    }
  }
}
