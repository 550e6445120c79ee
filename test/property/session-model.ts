import assert from 'node:assert/strict'

import { WSA } from '../../src/spi/index.ts'
import { Pattern } from '../support/pattern.ts'

import type { PairOptions } from '../switch/session-pair.ts'
import { settle } from '../switch/fake-clock.ts'
import { LIMITS } from '../switch/host.ts'
import type { End } from '../switch/session-end.ts'

/** What one side does. */
export type Act =
  | { readonly kind: 'write'; readonly sizes: readonly number[] }
  | { readonly kind: 'urgent'; readonly size: number }
  | { readonly kind: 'large'; readonly size: number }
  | { readonly kind: 'read'; readonly maxBytes: number }
  | { readonly kind: 'readEnd' | 'shutdown' | 'close' | 'reset' }

/** One step: a side does something, or everybody waits until all is told. */
export type Step = { readonly side: 0 | 1; readonly act: Act } | 'settle'

/** The least a ring holds: a write may be cut short only beyond it. */
const LEAST_RING_BYTES = 1024

/** Turns in which whatever was signalled over loopback has been told. */
const TURNS = 6

/**
 * One side of a connection as TCP has it: what it has written and read, how it has ended. The real session does the same
 * things, and each answer is compared.
 */
class Side {
  readonly end: End
  readonly pattern: Pattern
  written = 0
  /** Of what the other side has written. */
  read = 0
  /** Urgent bytes among them, which the stream left out. */
  skipped = 0
  /** Where my newest urgent byte stands. */
  mark: number | undefined
  /** Where my last large send stands, and how it ended. */
  large: { readonly from: number; readonly to: number; ended?: number } | undefined
  isShut = false
  isClosed = false
  hasReset = false
  reading: 'open' | 'end' | 'reset' = 'open'
  wroteIntoClosed = false
  /** How often it had been told that it may write when it was cut short; undefined when it was not. */
  blockedSince: number | undefined
  /** How often it had been told to read before there was something new to read. */
  newsSince: number | undefined

  constructor(end: End, key: number) {
    this.end = end
    this.pattern = new Pattern(key)
  }
}

/** Two sessions and their model. */
export class Model {
  readonly #sides: readonly [Side, Side]
  /** What a write to a peer that has closed may take, as if into the kernel's buffer. */
  readonly #sendBufferBytes: number

  constructor(one: End, other: End, { limits }: PairOptions) {
    const { regionBytes, maxMemoryBytes } = { ...LIMITS, ...limits }
    this.#sendBufferBytes = Math.max(regionBytes, maxMemoryBytes)
    this.#sides = [new Side(one, 1), new Side(other, 2)]
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      if (step === 'settle') await this.#settle()
      else this.#act(this.#sides[step.side], this.#sides[step.side === 0 ? 1 : 0], step.act)
      this.#compare()
    }
    await this.#settle()
    this.#finish()
  }

  #act(side: Side, peer: Side, act: Act): void {
    const { session } = side.end
    switch (act.kind) {
      case 'write':
        this.#write(side, peer, act.sizes)
        break
      case 'urgent':
        this.#urgent(side, peer, act.size)
        break
      case 'large':
        this.#large(side, peer, act.size)
        break
      case 'read':
        this.#read(side, peer, act.maxBytes)
        break
      case 'readEnd':
        this.#readEnd(side, peer)
        break
      case 'shutdown':
        session.shutdown()
        if (!side.isClosed && side.reading !== 'reset' && !side.isShut) {
          side.isShut = true
          tell(peer)
        }
        break
      case 'close':
        if (!side.isClosed && readable(side, peer) > 0) side.hasReset = true
        session.close()
        this.#end(side, peer)
        break
      case 'reset':
        if (!side.isClosed) side.hasReset = true
        session.reset()
        this.#end(side, peer)
        break
    }
  }

  #end(side: Side, peer: Side): void {
    if (side.isClosed) return
    side.isClosed = true
    // A large send that is cut off leaves a gap.
    if (side.large !== undefined && side.large.ended === undefined && peer.read < side.large.to)
      side.hasReset = true
    tell(peer)
  }

  #write(side: Side, peer: Side, sizes: readonly number[]): void {
    let position = side.written
    const chunks = sizes.map((size) => {
      const chunk = side.pattern.slice(position, size)
      position += size
      return chunk
    })
    this.#judge(side, peer, position - side.written, () => side.end.session.write(chunks))
  }

  #urgent(side: Side, peer: Side, size: number): void {
    const bytes = side.pattern.slice(side.written, size)
    const taken = this.#judge(side, peer, size, () => side.end.session.sendUrgent(bytes))
    if (taken !== size) return
    side.mark = side.written - 1
    if (peer.isClosed || peer.reading !== 'open') return
    assert.equal(peer.end.session.readUrgent(true), bytes[size - 1], 'the urgent byte')
  }

  #large(side: Side, peer: Side, size: number): void {
    const large: NonNullable<Side['large']> = { from: side.written, to: side.written + size }
    const bytes = side.pattern.slice(side.written, size)
    const status = side.end.session.sendLarge(bytes, (ended) => {
      assert.equal(large.ended, undefined, 'a large send ends twice')
      large.ended = ended
    })
    assert.equal(status, this.#largeAnswer(side, peer, size), 'what a large send answers')
    if (status !== 0) return
    side.large = large
    side.written += size
    tell(peer)
  }

  #largeAnswer(side: Side, peer: Side, size: number): number {
    if (side.isClosed) return WSA.WSAESHUTDOWN
    if (side.reading === 'reset') return WSA.WSAECONNRESET
    if (side.isShut) return WSA.WSAESHUTDOWN
    if (peer.isClosed) return WSA.WSAECONNRESET
    if (size <= side.end.session.largeThresholdBytes) return WSA.WSAEOPNOTSUPP
    return side.large !== undefined && side.large.ended === undefined ? WSA.WSAEALREADY : 0
  }

  /** Does what writes `wanted` bytes; returns how many were taken, if that was not decided by how the connection stands. */
  #judge(side: Side, peer: Side, wanted: number, write: () => number): number | undefined {
    const answer = this.#writeAnswer(side, peer, wanted)
    const taken = write()
    if (answer !== 'some') {
      assert.equal(taken, answer, 'what a write answers')
      return undefined
    }
    assert.ok(taken >= 0 && taken <= wanted, `a write of ${wanted} bytes takes ${taken}`)
    side.written += taken
    if (taken < wanted) {
      assert.ok(side.written - peer.read >= LEAST_RING_BYTES, 'a write is cut short though there is room')
      side.blockedSince = side.end.writableCalls
    } else {
      side.blockedSince = undefined
    }
    if (taken > 0) tell(peer)
    return taken
  }

  /** What a write must answer; `some` where it depends on the room. */
  #writeAnswer(side: Side, peer: Side, wanted: number): number | 'some' {
    if (side.isClosed) return -WSA.WSAESHUTDOWN
    if (side.reading === 'reset') return -WSA.WSAECONNRESET
    if (side.isShut) return -WSA.WSAESHUTDOWN
    // As the kernel has it: a reset after the peer's end is a broken pipe, one out of the blue is a reset.
    if (peer.hasReset) return peer.isShut ? -WSA.WSAESHUTDOWN : -WSA.WSAECONNRESET
    if (!peer.isClosed) return 'some'
    const isRefused =
      side.wroteIntoClosed || side.blockedSince !== undefined || wanted > this.#sendBufferBytes
    if (isRefused) return -WSA.WSAESHUTDOWN
    side.wroteIntoClosed = true
    return wanted
  }

  #read(side: Side, peer: Side, maxBytes: number): void {
    const bytes = side.end.session.read(maxBytes)
    const unread = readable(side, peer)
    if (unread === 0) {
      assert.equal(bytes, undefined, 'bytes out of nothing')
      return
    }
    if (peer.mark === side.read) {
      side.read += 1
      side.skipped += 1
    }
    const length = bytes?.length ?? 0
    assert.ok(length > 0 && length <= Math.min(maxBytes, unread), `${length} of ${unread} bytes are read`)
    assert.equal(peer.pattern.damageIn(bytes!, side.read), undefined, 'the first wrong byte')
    side.read += length
  }

  #readEnd(side: Side, peer: Side): void {
    const answer = side.end.session.readEnd()
    if (side.isClosed) side.reading = 'reset'
    else if (side.reading === 'open' && readable(side, peer) === 0) {
      if (peer.hasReset) side.reading = 'reset'
      else if (peer.isShut || peer.isClosed) side.reading = 'end'
    }
    assert.equal(answer, side.reading === 'open' ? 'more' : side.reading, 'what follows the bytes')
  }

  #compare(): void {
    for (const [at, side] of this.#sides.entries()) {
      const peer = this.#sides[at === 0 ? 1 : 0]
      assert.equal(side.end.session.available, readable(side, peer), 'bytes that can be read')
      assert.equal(side.end.session.bytesRead, side.read - side.skipped, 'bytes read')
    }
  }

  async #settle(): Promise<void> {
    await settle(TURNS)
    for (const [at, side] of this.#sides.entries()) {
      const peer = this.#sides[at === 0 ? 1 : 0]
      const { large } = side
      const isOver = side.isClosed || peer.isClosed || peer.read >= (large?.to ?? 0)
      if (large !== undefined && isOver) assert.notEqual(large.ended, undefined, 'a large send does not end')
      if (large?.ended === 0) assert.ok(peer.read >= large.to, 'a large send ends before it was read')
      if (side.isClosed) continue
      if (side.newsSince !== undefined && side.reading === 'open') {
        assert.ok(side.end.readableCalls > side.newsSince, 'something can be read and nobody was told')
      }
      side.newsSince = undefined
      const isHopeless = peer.isClosed || side.reading === 'reset'
      if (side.blockedSince !== undefined && (isHopeless || side.written === peer.read)) {
        assert.ok(side.end.writableCalls > side.blockedSince, 'a writer that waits was not told')
      }
    }
  }

  /** Whatever was written before is still read; then both close. */
  #finish(): void {
    for (const [at, side] of this.#sides.entries()) {
      const peer = this.#sides[at === 0 ? 1 : 0]
      while (readable(side, peer) > 0) this.#read(side, peer, 1 << 18)
      this.#readEnd(side, peer)
      this.#act(side, peer, { kind: 'close' })
      assert.equal(side.end.session.state, 'closed')
    }
  }
}

function tell(peer: Side): void {
  if (!peer.isClosed && peer.reading === 'open') peer.newsSince ??= peer.end.readableCalls
}

function readable(side: Side, peer: Side): number {
  if (side.isClosed || side.reading !== 'open') return 0
  const unread = peer.written - side.read
  const { large, mark } = peer
  if (large !== undefined && side.read >= large.from && side.read < large.to) {
    return peer.hasReset ? 0 : large.to - side.read
  }
  const stops = [large?.from, mark].flatMap((at) =>
    at === undefined || at <= side.read ? [] : [at - side.read],
  )
  const most = Math.min(unread, ...stops)
  // A read ends at the mark; one that begins there leaves the urgent byte out.
  return mark === side.read && unread > 0 ? most - 1 : most
}
