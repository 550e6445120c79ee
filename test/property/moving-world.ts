import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'

import { SPI_VERSION } from '../../src/spi/index.ts'
import type { SanProvider, SocketAddress } from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import type { ShmProvider } from '../../src/providers/shm/index.ts'
import type { Session } from '../../src/switch/session/session.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { CLIENT, Host, LIMITS, SERVER, SUBNET } from '../switch/host.ts'
import { End } from '../switch/session-end.ts'
import type { Journal } from '../switch/spy.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { tcpAddresses } from '../support/tcp-addresses.ts'

export type At = 0 | 1 | 2

export type Deed =
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

/** What carries the connection of a world, between processes that are in truth this one. */
export interface Ways {
  readonly clock: FakeClock
  readonly providers: readonly [SanProvider, SanProvider, SanProvider]
  /** By which numbers the providers know these processes. */
  readonly pids: readonly [number, number, number]
  readonly server: SocketAddress
  readonly client: SocketAddress
  /** Fails where one of them, after its end, has kept something. */
  readonly assertEmpty: () => void
}

export function overLoopback(): Ways {
  const clock = new FakeClock()
  const network = new LoopbackNetwork(clock)
  const limits = { ...LIMITS, duplicates: true, rdma: { maxBytes: 1 << 20, thresholdBytes: 100 } }
  const pids = [101, 102, 103] as const
  const made = (processId: number): SanProvider => loopback({ network, subnets: [SUBNET], limits, processId })
  const providers = [made(pids[0]), made(pids[1]), made(pids[2])] as const
  return { clock, providers, pids, server: SERVER, client: CLIENT, assertEmpty: () => undefined }
}

/** For all worlds: each has a poller for the life of the process. */
let shared:
  | Promise<
      Omit<Ways, 'assertEmpty'> & { readonly providers: readonly [ShmProvider, ShmProvider, ShmProvider] }
    >
  | undefined

export async function overShm(): Promise<Ways> {
  shared ??= (async () => {
    const clock = new FakeClock()
    const made = (): ShmProvider => {
      const provider = shmProvider({ clock, spinMicroseconds: 0 })
      provider.keepAlive(true)
      return provider
    }
    const providers = [made(), made(), made()] as const
    // What they keep for good is there from here on.
    for (const provider of providers) {
      provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() })
      provider.cleanup()
    }
    const server = await tcpAddresses('IPv4')('listener')
    const { pid } = process
    return { clock, providers, pids: [pid, pid, pid], server, client: { ...server, port: 50_000 } }
  })()
  const ways = await shared
  const before = descriptors()
  const assertEmpty = (): void => {
    for (const { stats } of ways.providers)
      assert.deepEqual([stats.links, stats.connections, stats.bytes], [0, 0, 0])
    assert.equal(descriptors(), before, 'descriptors')
  }
  return { ...ways, assertEmpty }
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}

export function release(): void {
  void shared?.then(({ providers }) => {
    for (const provider of providers) provider.keepAlive(false)
  })
}

/** Something that ends so often: once, or, withdrawn, never. */
interface Begun {
  readonly what: string
  times: number
  expected: 0 | 1
}

/** One side of the connection: whoever has it now, and in which process, or may. */
interface Side {
  at: At
  end: End | undefined
  wish: Begun | undefined
  packed: { readonly bytes: Uint8Array; readonly to: At } | undefined
}

const ROUNDS = 200
const ROUND_MS = 500

/** Three processes; a connection between the first two, and what becomes of it. */
export class World {
  readonly #ways: Ways
  readonly #hosts: readonly [Host, Host, Host]
  readonly #sides: readonly [Side, Side]
  readonly #begun: Begun[] = []

  private constructor(ways: Ways, hosts: readonly [Host, Host, Host], one: End, other: End) {
    this.#ways = ways
    this.#hosts = hosts
    this.#sides = [
      { at: 0, end: one, wish: undefined, packed: undefined },
      { at: 1, end: other, wish: undefined, packed: undefined },
    ]
  }

  static async begin(ways: Ways): Promise<World> {
    const hostOf = (provider: SanProvider): Host => new Host({ providers: [provider] })
    const [first, second, third] = ways.providers
    const hosts = [hostOf(first), hostOf(second), hostOf(third)] as const
    const listening = hosts[1].listen(ways.server)
    const attempt = hosts[0].connect(ways.server, { local: ways.client })
    while (attempt.outcomes.length === 0 || listening.ends.length === 0) await settle(1)
    listening.socket.close()
    return new World(ways, hosts, attempt.end, listening.ends[0] as End)
  }

  async do(deed: Deed): Promise<void> {
    switch (deed.kind) {
      case 'turns':
        await settle(deed.count)
        break
      case 'time':
        this.#pass(deed.ms)
        break
      case 'vanish':
        this.#vanish(deed.at)
        break
      case 'resume':
        this.#resume(deed.at)
        break
      default:
        this.#act(deed)
    }
  }

  // Whoever was told of the end has closed; nobody else there does anything any more.
  #vanish(at: At): void {
    this.#hosts[at].switch.close()
    for (const side of this.#sides) if (side.at === at) side.end = undefined
  }

  #pass(ms: number): void {
    this.#ways.clock.advance(ms)
    for (const { clock } of this.#hosts) clock.advance(ms)
  }

  #act(deed: Extract<Deed, { readonly side: 0 | 1 }>): void {
    const side = this.#sides[deed.side]
    const session = side.end?.session
    if (session === undefined) return
    switch (deed.kind) {
      case 'suspend':
        this.#suspend(side, session, deed.to)
        break
      case 'withdraw':
        if (session.withdraw() && side.wish !== undefined) side.wish.expected = 0
        break
      case 'write':
        session.write([new Uint8Array(deed.bytes)])
        break
      case 'large': {
        const large = this.#begin('a large send')
        if (session.sendLarge(new Uint8Array(5000), () => (large.times += 1)) !== 0) large.expected = 0
        break
      }
      case 'read':
        session.read(1 << 20)
        break
      default:
        session[deed.kind]()
    }
  }

  #begin(what: string): Begun {
    const begun: Begun = { what, times: 0, expected: 1 }
    this.#begun.push(begun)
    return begun
  }

  #suspend(side: Side, session: Session, to: At): void {
    const wish = this.#begin('a hand-over')
    const status = session.suspend(this.#ways.pids[to], (result) => {
      wish.times += 1
      if (!result.ok) return
      side.end = undefined
      side.packed = { bytes: result.value, to }
    })
    if (status === 0) side.wish = wish
    else wish.expected = 0
  }

  #resume(at: At): void {
    const side = this.#sides.find(({ packed }) => packed?.to === at)
    if (side?.packed === undefined) return
    const { bytes } = side.packed
    side.packed = undefined
    const resume = this.#begin('a resume')
    this.#hosts[at].switch.resume('san', 'IPv4', bytes, (result) => {
      resume.times += 1
      if (!result.ok) return
      side.at = at
      side.end = new End(result.value)
    })
  }

  /** Whoever still has an end hears that the other is gone, and closes it; then nothing is left of the connection. */
  async conclude(): Promise<void> {
    await this.#until(() => {
      for (const [i, { end }] of this.#sides.entries()) {
        const other = this.#sides[i === 0 ? 1 : 0].end?.session
        const isOver = other === undefined || other.state === 'closed'
        if (end !== undefined && end.session.state !== 'closed' && isOver)
          assert.notEqual(end.hear().then, 'more', 'the other side is gone')
      }
      for (const { what, times, expected } of this.#begun)
        if (what === 'a resume') assert.equal(times, expected, what)
    })
    for (const { end } of this.#sides) end?.session.close()
    await this.#until(() => {
      for (const { what, times, expected } of this.#begun) assert.equal(times, expected, what)
      for (const { journal, clock } of this.#hosts) {
        assertClosed(journal)
        assert.equal(clock.pending, 0, 'timers')
      }
      assert.equal(this.#ways.clock.pending, 0, 'timers of providers')
    })
    for (const { switch: ours } of this.#hosts) ours.close()
    await this.#until(this.#ways.assertEmpty)
  }

  /** Lets time pass until `check` holds, or long enough. */
  async #until(check: () => void): Promise<void> {
    for (let left = ROUNDS; ; left--) {
      try {
        check()
        return
      } catch (error) {
        if (left === 0) throw error
      }
      await settle(4)
      this.#pass(ROUND_MS)
    }
  }
}

/** Every socket that was made is closed, and once. */
function assertClosed(journal: Journal): void {
  const made = journal.count('san^createSocketHandle')
  const closed = journal.all('san^closeSocketHandle').map(({ result }) => result)
  assert.deepEqual(closed, new Array(made).fill(0), 'each socket is closed')
  const isGone = journal.count('san.cleanup') > 0
  for (const { result } of journal.all('san.close')) assert.ok(result === 0 || isGone, 'closed twice')
}
