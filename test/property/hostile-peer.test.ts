import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { WSA } from '../../src/spi/index.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { Session } from '../../src/switch/session/session.ts'
import { FakeSocket, ending, guarded, isIntact } from '../switch/fake-socket.ts'
import { LIMITS, OUR_HELLO } from '../switch/host.ts'
import { End } from '../switch/session-end.ts'

/** What fills the memory that the peer may be read in. */
const INSIDE = 0x78

type Deed =
  /** The peer writes a word, now or at the next call the session makes. */
  | { readonly kind: 'scribble' | 'ambush'; readonly word: number; readonly value: number }
  | { readonly kind: 'signal' | 'suspend' | 'vanish' | 'readEnd' | 'shutdown' }
  | { readonly kind: 'write' | 'read'; readonly bytes: number }

const word = fc.constantFrom(
  layout.PRODUCED,
  layout.FLAGS,
  layout.RING_GENERATION,
  layout.RING_DESCRIPTOR,
  layout.RING_BYTES,
  layout.RING_START,
  layout.NEWS,
  layout.URGENT_AT,
  layout.URGENT,
  layout.BLOCK,
  layout.BLOCK_AT,
  layout.BLOCK_BYTES,
  layout.BLOCK_DESCRIPTOR,
  layout.CONSUMED,
  layout.ADOPTED_GENERATION,
  layout.BLOCK_TAKEN,
)

const value = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 3 }) },
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 3000 }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(1024, 4096, 16_384, 17_408, 1 << 20, 2 << 20, -1, 0x7fff_ffff, -0x8000_0000),
  },
  { weight: 1, arbitrary: fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }) },
)

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('scribble', 'ambush'), word, value }) },
  { weight: 2, arbitrary: fc.constant<Deed>({ kind: 'signal' }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Deed>({ kind: 'suspend' }, { kind: 'vanish' }, { kind: 'readEnd' }, { kind: 'shutdown' }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('write', 'read'),
      bytes: fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.constantFrom(16_384, 40_000)),
    }),
  },
)

class Suspect {
  readonly socket = new FakeSocket(LIMITS)
  readonly session: Session
  readonly end: End
  readonly #shadow: Uint8Array
  readonly #ambushes: (() => void)[] = []

  constructor() {
    const { offset, length } = this.socket.receiveRegion
    this.socket.receiveRegion.bytes.fill(INSIDE, offset + layout.HEADER_BYTES, offset + length)
    for (const [descriptor, bytes] of [
      [0, 4096],
      [1, 16_384],
      [2, 1 << 20],
    ] as const) {
      const region = guarded(bytes)
      region.bytes.fill(INSIDE, region.offset, region.offset + bytes)
      this.socket.peerRegions.set(descriptor, region)
    }
    this.#shadow = this.socket.receiveRegion.bytes.slice()
    this.session = new Session({
      socket: this.socket,
      memory: { send: this.socket.send, receive: this.socket.receiveRegion },
      limits: LIMITS,
      peerHello: OUR_HELLO,
      role: 'initiator',
    })
    this.end = new End(this.session)
    this.socket.onCall = () => this.#ambushes.shift()?.()
  }

  #scribble(index: number, to: number): void {
    this.socket.scribble(index, to)
    new Int32Array(this.#shadow.buffer)[this.socket.receiveRegion.offset / 4 + index] = to
  }

  do(deed: Deed): void {
    this.socket.allow()
    switch (deed.kind) {
      case 'scribble':
        this.#scribble(deed.word, deed.value)
        break
      case 'ambush':
        this.#ambushes.push(() => {
          this.#scribble(deed.word, deed.value)
        })
        break
      case 'signal':
        this.socket.complete(0)
        break
      case 'suspend':
        this.#scribble(layout.FLAGS, layout.FLAG_OPEN | layout.FLAG_SUSPEND)
        this.#scribble(layout.NEWS, 1)
        this.socket.complete(0)
        break
      case 'vanish':
        this.socket.complete(WSA.WSAECONNRESET)
        break
      case 'readEnd':
        this.session.readEnd()
        break
      case 'shutdown':
        this.session.shutdown()
        break
      case 'write': {
        const taken = this.session.write([new Uint8Array(deed.bytes)])
        const isCode = taken === -WSA.WSAECONNRESET || taken === -WSA.WSAESHUTDOWN
        assert.ok(isCode || (taken >= 0 && taken <= deed.bytes), `write answers ${taken}`)
        break
      }
      case 'read': {
        const bytes = this.session.read(deed.bytes)
        assert.ok((bytes?.length ?? 0) <= deed.bytes)
        assert.ok(bytes?.every((byte) => byte === INSIDE) ?? true, 'read outside')
        break
      }
    }
  }

  /** Whatever happened, we have touched only what is ours, and can close. */
  conclude(): void {
    const { socket } = this
    assert.ok(isIntact(socket.send), 'written beside the send region')
    assert.ok(socket.registered.every(isIntact), 'written beside a ring')
    assert.ok(Buffer.from(this.#shadow).equals(socket.receiveRegion.bytes), "written into the peer's region")
    // One that stands still for a peer that lives is there for the peer's next owner, and goes when nobody else can come.
    const isAwaited = this.session.isMoving && socket.posted !== undefined
    this.session.close()
    if (!isAwaited) assert.equal(this.#closes, 1)
    socket.complete(WSA.WSAECONNRESET)
    assert.equal(this.#closes, 1)
  }

  get #closes(): number {
    return this.socket.calls.filter((name) => name === 'close').length
  }
}

test('a hostile peer can end its own connection, and do no other harm', () => {
  fc.assert(
    fc.property(fc.array(deed, { maxLength: 60, size: 'max' }), (deeds) => {
      const suspect = new Suspect()
      ending(() => {
        for (const each of deeds) suspect.do(each)
      })
      suspect.conclude()
    }),
    { numRuns: 300, includeErrorInReport: true },
  )
})
