import assert from 'node:assert/strict'

import type { SocketAddress } from '../../src/spi/index.ts'
import type { Winsock, WinsockSocket } from '../../src/faces/winsock/index.ts'
import { LOCAL, valueOf } from '../winsock/pair.ts'
import { MAX_PIECE_BYTES, Pattern } from '../support/pattern.ts'
import type { Journal } from '../switch/spy.ts'
import type { Computer, ComputerOptions } from './computer.ts'

/** A scenario is played by two. */
export type Role = 'server' | 'client'

/** The line on which the two parties talk about what they test; not what is tested. */
export interface Line {
  tell(value: unknown): void
  /** What the other one tells next. */
  hear(): Promise<unknown>
}

/** What a party has. */
export interface Party {
  /** The name of whoever carries what is switched. */
  readonly carrier: 'loopback' | 'shm'
  readonly own: Computer
  /** One more computer; it ends with the scenario. */
  readonly computer: (options?: ComputerOptions) => Computer
  readonly line: Line
  /** The play is over, whatever this party waits for. */
  readonly over: AbortSignal
  /** Ends this party without a word to its peers, as far as the setting can: where it is a process, it is killed. */
  readonly vanish: () => Promise<void>
}

export type Script = (party: Party) => Promise<void>

/** One scenario of appendix D as two programs. What they find they assert. */
export interface Scenario {
  /** The number in the appendix, the requirements it checks, and what holds. */
  readonly title: string
  readonly server: Script
  readonly client: Script
}

export type Scenarios = readonly Scenario[]

/** What the other party tells, which must be of type `T`. */
export async function hear<T>({ line }: Party): Promise<T> {
  return (await line.hear()) as T
}

interface ListenWishes {
  readonly conditional?: boolean
  readonly backlog?: number
  readonly local?: SocketAddress
}

/** A listening socket, whose address the other party is told. */
export function listen(
  party: Party,
  wishes: ListenWishes = {},
  winsock: Winsock = party.own.winsock,
): WinsockSocket {
  const listener = listenQuietly(wishes, winsock)
  party.line.tell(valueOf(listener.getsockname()))
  return listener
}

export function listenQuietly(
  { conditional, backlog, local }: ListenWishes,
  winsock: Winsock,
): WinsockSocket {
  const listener = valueOf(winsock.socket())
  if (conditional === true) listener.setsockopt('SO_CONDITIONAL_ACCEPT', 1)
  assert.equal(listener.bind(local ?? LOCAL), 0)
  assert.equal(listener.listen(backlog ?? 16), 0)
  return listener
}

/** A socket connected to `address` over the carrier. */
export async function connect(
  party: Party,
  address: SocketAddress,
  winsock: Winsock = party.own.winsock,
): Promise<WinsockSocket> {
  const socket = valueOf(winsock.socket())
  await socket.blocking.connect(address)
  assert.equal(socket.provider, party.carrier)
  return socket
}

/** `success`, or the code with which `wait` rejects. */
export async function codeOf(wait: Promise<unknown>): Promise<string> {
  return await wait.then(
    () => 'success',
    (error: unknown) => {
      if (error instanceof Error && 'code' in error) return String(error.code)
      throw error
    },
  )
}

const PATTERN = new Pattern(7)

/** The bytes that belong at `position` of the stream that all scenarios send. */
export function patternOf(position: number, length: number): Buffer {
  const pieces: Buffer[] = []
  for (let done = 0; done < length; done += MAX_PIECE_BYTES) {
    pieces.push(PATTERN.slice(position + done, Math.min(MAX_PIECE_BYTES, length - done)))
  }
  return Buffer.concat(pieces)
}

/** Lets the event loop turn once; rejects when the play is over. */
export async function turn({ over }: Party): Promise<void> {
  over.throwIfAborted()
  await new Promise((resolve) => setImmediate(resolve))
}

/** Waits until `sockets` of the provider have given their switch descriptors back. */
export async function freed(party: Party, journal: Journal, sockets = 1): Promise<void> {
  while (journal.count('san^closeSocketHandle') < sockets) await turn(party)
}
