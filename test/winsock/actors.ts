import assert from 'node:assert/strict'

import { WsaEvent } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import type { Overlapped } from '../../src/spi/index.ts'
import { Pattern } from '../support/pattern.ts'
import type { Known } from './answers.ts'
import type { Side } from './side.ts'

/** What one direction of a connection carries: each byte is known by its position. */
class Direction {
  readonly #pattern: Pattern
  taken = 0
  received = 0
  /** A send was taken back, or the connection reset: what follows is nobody's promise. */
  isBroken = false
  /** An application has the end that receives: until then whoever listens may reset it. */
  isHeard = false
  /** Whoever sends has ended it: by a shutdown, or a close that is no reset. */
  mayEnd = false
  isEnded = false

  constructor(key: number) {
    this.#pattern = new Pattern(key)
  }

  /** Nothing more can be expected of it. */
  get isOver(): boolean {
    return this.isBroken || (this.received === this.taken && this.isEnded === this.mayEnd)
  }

  bytes(at: number, length: number): Buffer {
    return this.#pattern.slice(at, length)
  }

  /** @param found What a receive brought; nothing is the end. */
  check(found: Uint8Array): void {
    if (found.length === 0) {
      assert.ok(this.mayEnd, 'the end of what nobody has ended')
      assert.ok(this.isBroken || this.received === this.taken, 'the end before the last byte')
      this.isEnded = true
      return
    }
    assert.ok(!this.isEnded, 'bytes after the end')
    if (!this.isBroken)
      assert.ok(this.bytes(this.received, found.length).equals(found), 'other bytes than were sent')
    this.received += found.length
    assert.ok(this.received <= this.taken, 'more bytes than were sent')
  }
}

/** Of all connections, by their ports. */
export class Directions {
  readonly #known = new Map<string, Direction>()

  between(from: number, to: number): Direction {
    const key = `${from} ${to}`
    const known = this.#known.get(key) ?? new Direction(from * 0x10000 + to)
    this.#known.set(key, known)
    return known
  }
}

/** A receive, in the order of the calls: what it brought once that is known, `nothing` where it failed. */
export interface Read {
  found: Uint8Array | 'nothing' | undefined
}

export interface Op {
  readonly kind: 'send' | 'receive' | 'accept' | 'connect'
  readonly overlapped: Overlapped
  /** Bytes to send, or that there is room for. */
  readonly length: number
  /** Whose operation it is, where not the actor's that has it: the first data of an AcceptEx are the listener's. */
  readonly owner: WinsockSocket | undefined
  readonly read: Read
  isTakenBack: boolean
  times: number
}

/** An application's socket as the model has it. */
export class Actor {
  readonly socket: WinsockSocket
  readonly side: Side
  readonly ops: Op[] = []
  readonly reads: Read[] = []
  readonly event = new WsaEvent()
  state: Known = 'created'
  isShut = false
  out: Direction | undefined;
  in: Direction | undefined

  constructor(socket: WinsockSocket, side: Side) {
    this.socket = socket
    this.side = side
  }

  /** What came in the meantime, as far as all receives before it are known. @returns bytes. */
  checkReads(): number {
    let bytes = 0
    for (let found = this.reads[0]?.found; found !== undefined; found = this.reads[0]?.found) {
      this.reads.shift()
      if (found === 'nothing') continue
      assert.ok(this.in !== undefined, 'bytes of no connection')
      this.in.check(found)
      bytes += found.length
    }
    return bytes
  }

  /** Nobody else is to blame for a send that fails, or a connection that ends, than these. */
  get mayFail(): boolean {
    const { out, in: into } = this
    return this.state === 'closed' || out?.isHeard !== true || out.isBroken || into?.isBroken === true
  }
}
