import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { WSA, failure, success } from '../../src/spi/index.ts'
import type { RdmaLimits, Status } from '../../src/spi/index.ts'
import { FEATURE_MOVE, FEATURE_RDMA_READ } from '../../src/switch/session/hello.ts'
import type { Suspended } from '../../src/switch/session/mover.ts'
import { decodePacked } from '../../src/switch/session/packed.ts'
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
  | { readonly kind: 'signal' | 'vanish' | 'readEnd' | 'shutdown' }
  /** The peer asks us to stand still, or says that it does. */
  | { readonly kind: 'ask' | 'answer' }
  /** The peer has a next owner, over new memory, where we stand still; who then says that it goes on. */
  | { readonly kind: 'renew' | 'resume' }
  /** We want to move to another process, which the provider can do or not, or think better of it. */
  | { readonly kind: 'suspend'; readonly isPossible: boolean }
  | { readonly kind: 'withdraw' }
  | { readonly kind: 'large' }
  /** From here on the provider takes no receive any more. */
  | { readonly kind: 'deafen'; readonly answer: Status }
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
    weight: 2,
    arbitrary: fc.constantFrom<Deed>(
      { kind: 'ask' },
      { kind: 'answer' },
      { kind: 'renew' },
      { kind: 'resume' },
      { kind: 'suspend', isPossible: true },
      { kind: 'suspend', isPossible: false },
      { kind: 'withdraw' },
      { kind: 'large' },
      { kind: 'deafen', answer: WSA.WSAECONNRESET },
      { kind: 'deafen', answer: WSA.WSAENOBUFS },
      { kind: 'vanish' },
      { kind: 'readEnd' },
      { kind: 'shutdown' },
    ),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('write', 'read'),
      bytes: fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.constantFrom(16_384, 40_000)),
    }),
  },
)

const SAID = {
  ask: layout.FLAG_SUSPEND,
  answer: layout.FLAG_SUSPENDED,
  resume: layout.FLAG_RESUMED,
} as const

/** Who goes first in the end: we close, or the peer's process ends. */
type Order = 'closes first' | 'closes last'

const RDMA: RdmaLimits = { maxBytes: 1 << 20, thresholdBytes: 100 }

class Suspect {
  readonly socket = Object.assign(new FakeSocket(LIMITS), {
    registerRdmaMemory: () => success(1),
    deregisterRdmaMemory: () => 0,
    rdmaRead: (_descriptor: number, _offset: number, target: Uint8Array) => {
      target.fill(INSIDE)
      return 0
    },
  })
  readonly session: Session
  readonly end: End
  #shadow: Uint8Array
  readonly #ambushes: (() => void)[] = []
  /** Hand-overs and large sends that were begun, and not withdrawn; and those that have ended. */
  #begun = 0
  #ended = 0
  /** The owner knows that the connection was reset: it was told so, or has seen it. */
  #knows = false

  /** @param rdma Of our provider, and of the peer's. */
  constructor(rdma: RdmaLimits | undefined) {
    for (const [descriptor, bytes] of [
      [0, 4096],
      [1, 16_384],
      [2, 1 << 20],
    ] as const) {
      const region = guarded(bytes)
      region.bytes.fill(INSIDE, region.offset, region.offset + bytes)
      this.socket.peerRegions.set(descriptor, region)
    }
    this.#shadow = this.#fill()
    this.session = new Session({
      socket: this.socket,
      memory: { send: this.socket.send, receive: this.socket.receiveRegion },
      limits: { ...LIMITS, duplicates: true, rdma },
      peerHello: { ...OUR_HELLO, features: FEATURE_MOVE | FEATURE_RDMA_READ },
      role: 'initiator',
    })
    this.end = new End(this.session)
    this.end.onReadable = () => {
      if (this.session.state === 'reset') this.#knows = true
    }
    this.socket.onCall = () => this.#ambushes.shift()?.()
  }

  /** Fills what the peer may be read in; answers how it is now. */
  #fill(): Uint8Array {
    const { bytes, offset, length } = this.socket.receiveRegion
    return bytes.fill(INSIDE, offset + layout.HEADER_BYTES, offset + length).slice()
  }

  /** New memory takes the place of the old, which is gone. */
  #renew(): void {
    this.#assertIntact()
    const before = [this.socket.send.bytes, this.socket.receiveRegion.bytes]
    this.socket.renew()
    for (const { buffer } of before) structuredClone(buffer, { transfer: [buffer as ArrayBuffer] })
    this.#shadow = this.#fill()
  }

  #assertIntact(): void {
    const { socket } = this
    assert.ok(isIntact(socket.send), 'written beside the send region')
    assert.ok(socket.registered.every(isIntact), 'written beside a ring')
    assert.ok(Buffer.from(this.#shadow).equals(socket.receiveRegion.bytes), "written into the peer's region")
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
      case 'renew':
        if ((this.socket.said(layout.FLAGS) & layout.FLAG_SUSPENDED) !== 0) this.#renew()
        break
      case 'ask':
      case 'answer':
      case 'resume':
        this.#scribble(layout.FLAGS, layout.FLAG_OPEN | SAID[deed.kind])
        this.#scribble(layout.NEWS, 1)
        this.socket.complete(0)
        break
      case 'suspend':
        this.socket.duplicateAnswer = deed.isPossible ? success(new Uint8Array(4)) : failure(WSA.WSAENOBUFS)
        if (this.session.suspend(1, this.#handedOver) === 0) this.#begun += 1
        break
      case 'withdraw':
        if (this.session.withdraw()) this.#begun -= 1
        break
      case 'large':
        if (this.session.sendLarge(new Uint8Array(200), () => (this.#ended += 1)) === 0) this.#begun += 1
        break
      case 'deafen':
        this.socket.receiveAnswer = deed.answer
        break
      case 'vanish':
        this.socket.complete(WSA.WSAECONNRESET)
        break
      case 'readEnd':
        if (this.session.readEnd() === 'reset') this.#knows = true
        break
      case 'shutdown':
        this.session.shutdown()
        break
      case 'write': {
        const taken = this.session.write([new Uint8Array(deed.bytes)])
        const isCode = taken === -WSA.WSAECONNRESET || taken === -WSA.WSAESHUTDOWN
        if (taken === -WSA.WSAECONNRESET) this.#knows = true
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

  readonly #handedOver: Suspended = (result) => {
    this.#ended += 1
    const state = result.ok ? decodePacked(result.value)?.state : undefined
    assert.notEqual(state, 'reset', 'what was reset is handed over')
  }

  /** Whatever happened, we have touched only what is ours, and can close. */
  conclude(order: Order): void {
    const { socket } = this
    this.#assertIntact()
    if (order === 'closes last') this.#die()
    // One that stands still for a peer that lives is there for the peer's next owner, and goes when nobody else can come.
    const isAwaited = this.session.isMoving && socket.posted !== undefined
    this.session.close()
    if (!isAwaited) assert.equal(this.#closes, 1)
    // Whoever closes ends the receive, and with it whatever waited for the peer.
    if (order === 'closes first') socket.complete(isAwaited ? WSA.WSAECONNRESET : WSA.WSA_OPERATION_ABORTED)
    assert.equal(this.#closes, 1)
    assert.equal(this.#ended, this.#begun, 'what was begun has ended once')
  }

  /** The peer's process ends, and the owner hears of it. */
  #die(): void {
    this.socket.complete(WSA.WSAECONNRESET)
    if (this.session.state === 'reset') assert.ok(this.#knows, 'nobody was told of the reset')
    assert.equal(this.#ended, this.#begun, 'what was begun has ended once')
  }

  get #closes(): number {
    return this.socket.calls.filter((name) => name === 'close').length
  }
}

test('a hostile peer can end its own connection, and do no other harm', () => {
  fc.assert(
    fc.property(
      fc.array(deed, { maxLength: 60, size: 'max' }),
      fc.constantFrom<Order>('closes first', 'closes last'),
      fc.constantFrom(undefined, RDMA),
      (deeds, order, rdma) => {
        const suspect = new Suspect(rdma)
        ending(() => {
          for (const each of deeds) suspect.do(each)
        })
        suspect.conclude(order)
      },
    ),
    { numRuns: 300, includeErrorInReport: true },
  )
})
