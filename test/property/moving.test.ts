/** Hand-overs, closes, resets and deaths in any order: whatever the two ends do, nothing of a connection is left behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import type { Result } from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import type { Session } from '../../src/switch/session/session.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { CLIENT, Host, LIMITS, SERVER, SUBNET } from '../switch/host.ts'
import { End } from '../switch/session-end.ts'

const PIDS = [101, 102, 103] as const
type At = 0 | 1 | 2

type Deed =
  /** The end of this side does something. */
  | { readonly kind: 'suspend'; readonly side: 0 | 1; readonly to: At }
  | {
      readonly kind: 'withdraw' | 'close' | 'reset' | 'shutdown' | 'read' | 'readEnd' | 'large'
      readonly side: 0 | 1
    }
  | { readonly kind: 'write'; readonly side: 0 | 1; readonly bytes: number }
  /** A process goes on with the oldest session that was packed for it, or with anybody's. */
  | { readonly kind: 'resume'; readonly at: At }
  /** A process ends. */
  | { readonly kind: 'vanish'; readonly at: At }
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'time'; readonly ms: number }

const side = fc.constantFrom<0 | 1>(0, 1)
const at = fc.constantFrom<At>(0, 1, 2)

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('suspend' as const), side, to: at }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('withdraw' as const), side }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom('close', 'reset', 'shutdown', 'large' as const), side }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('read', 'readEnd' as const), side }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      side,
      bytes: fc.constantFrom(1, 900, 20_000),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('resume' as const), at }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('vanish' as const), at }) },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 8 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('time' as const), ms: fc.constantFrom(900, 1000, 6000) }),
  },
)

/** One side of the connection: whoever has it now. */
interface Side {
  end: End | undefined
  packed: { readonly bytes: Uint8Array; readonly to: At } | undefined
}

class World {
  readonly #clock = new FakeClock()
  readonly #hosts: readonly Host[]
  readonly #sides: [Side, Side]
  readonly #ends: End[] = []
  /** What was begun and is to end exactly once. */
  readonly #begun: { readonly what: string; count: number; isWithdrawn: boolean }[] = []

  private constructor(hosts: readonly Host[], clock: FakeClock, one: End, other: End) {
    this.#hosts = hosts
    this.#clock = clock
    this.#ends.push(one, other)
    this.#sides = [
      { end: one, packed: undefined },
      { end: other, packed: undefined },
    ]
  }

  static async begin(): Promise<World> {
    const clock = new FakeClock()
    const network = new LoopbackNetwork(clock)
    const limits = { ...LIMITS, duplicates: true, rdma: { maxBytes: 1 << 20, thresholdBytes: 100 } }
    const hosts = PIDS.map(
      (processId) =>
        new Host({ network, providers: [loopback({ network, subnets: [SUBNET], limits, processId })] }),
    )
    const [one, two] = hosts as [Host, Host, Host]
    const listening = two.listen(SERVER)
    const attempt = one.connect(SERVER, { local: CLIENT })
    await settle()
    const server = listening.ends[0]
    assert.ok(server !== undefined)
    listening.socket.close()
    return new World(hosts, clock, attempt.end, server)
  }

  #begin(what: string): { readonly end: () => void; readonly undo: () => void; withdraw: () => void } {
    const one = { what, count: 0, isWithdrawn: false }
    this.#begun.push(one)
    return {
      end: () => (one.count += 1),
      undo: () => this.#begun.splice(this.#begun.indexOf(one), 1),
      withdraw: () => (one.isWithdrawn = true),
    }
  }

  async do(deed: Deed): Promise<void> {
    switch (deed.kind) {
      case 'turns':
        await settle(deed.count)
        return
      case 'time':
        this.#clock.advance(deed.ms)
        for (const host of this.#hosts) host.clock.advance(deed.ms)
        return
      case 'vanish':
        this.#hosts[deed.at]?.switch.close()
        return
      case 'resume':
        this.#resume(deed.at)
        return
      default:
        this.#act(deed)
    }
  }

  #act(deed: Extract<Deed, { readonly side: 0 | 1 }>): void {
    const one = this.#sides[deed.side]
    const session = one.end?.session
    if (session === undefined) return
    switch (deed.kind) {
      case 'suspend':
        this.#suspend(one, session, deed.to)
        break
      case 'withdraw':
        if (session.withdraw())
          this.#begun.findLast(
            ({ what, count, isWithdrawn }) => what === `suspend ${deed.side}` && count === 0 && !isWithdrawn,
          )!.isWithdrawn = true
        break
      case 'write':
        session.write([new Uint8Array(deed.bytes)])
        break
      case 'large': {
        const { end, undo } = this.#begin('large')
        if (session.sendLarge(new Uint8Array(5000), end) !== 0) undo()
        break
      }
      case 'read':
        session.read(1 << 20)
        break
      case 'close':
      case 'reset':
      case 'shutdown':
      case 'readEnd':
        session[deed.kind]()
    }
  }

  #suspend(one: Side, session: Session, to: At): void {
    const { end, undo } = this.#begin(`suspend ${this.#sides.indexOf(one)}`)
    const status = session.suspend(PIDS[to], (result) => {
      end()
      if (!result.ok) return
      one.end = undefined
      one.packed = { bytes: result.value, to }
    })
    if (status !== 0) undo()
  }

  #resume(at: At): void {
    const one = this.#sides.find(({ packed }) => packed?.to === at)
    const host = this.#hosts[at]
    if (one?.packed === undefined || host === undefined) return
    const { bytes } = one.packed
    one.packed = undefined
    const { end } = this.#begin('resume')
    host.switch.resume('san', 'IPv4', bytes, (result: Result<Session>) => {
      end()
      if (!result.ok) return
      one.end = new End(result.value)
      this.#ends.push(one.end)
    })
  }

  /** Whatever waits for time has waited long enough. */
  async #calm(): Promise<void> {
    for (let i = 0; i < 3; i++) {
      await settle(12)
      this.#clock.advance(10_000)
      for (const host of this.#hosts) host.clock.advance(10_000)
    }
    await settle(12)
  }

  /** Whoever still has an end closes it; then nothing is left of the connection. */
  async conclude(): Promise<void> {
    await this.#calm()
    for (const [i, { end }] of this.#sides.entries()) {
      const other = this.#sides[i === 0 ? 1 : 0].end?.session
      if (end === undefined || end.session.state === 'closed') continue
      if (other === undefined || other.state === 'closed')
        assert.notEqual(end.hear().then, 'more', 'the other side is gone')
    }
    for (const { end } of this.#sides) end?.session.close()
    await this.#calm()
    for (const { what, count, isWithdrawn } of this.#begun)
      assert.equal(count, isWithdrawn ? 0 : 1, `${what} ended ${count} times`)
    for (const { session } of this.#ends) assert.equal(session.state, 'closed')
    for (const [i, host] of this.#hosts.entries()) {
      const made = host.journal
        .all('san^createSocketHandle')
        .map(({ result }) => (result as { value: object }).value)
      const closed = host.journal.all('san^closeSocketHandle').map(({ result }) => result)
      assert.deepEqual(
        closed,
        made.map(() => 0),
        `process ${i} closes as many sockets as it made`,
      )
      const isGone = host.journal.count('san.cleanup') > 0
      for (const { result } of host.journal.all('san.close'))
        assert.ok(result === 0 || isGone, 'closed twice')
      assert.equal(host.clock.pending, 0)
    }
    assert.equal(this.#clock.pending, 0)
  }
}

test('WSD-DUP-26, -27, -28 RACE-34 whoever moves, closes, resets or dies, in any order: every socket is closed once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 40, size: 'max' }), async (deeds) => {
      const world = await World.begin()
      for (const each of deeds) await world.do(each)
      await world.conclude()
    }),
    { numRuns: 200, includeErrorInReport: true },
  )
})
