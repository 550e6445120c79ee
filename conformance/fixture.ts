import assert from 'node:assert/strict'

import { Overlapped } from '../src/spi/index.ts'
import type {
  AddressFamily,
  NetworkEvents,
  SanProvider,
  SanSocket,
  SocketAddress,
  Status,
  SwitchHandle,
  Verdict,
} from '../src/spi/index.ts'
import { assertStatus, statusName, valueOf } from './check.ts'
import type { Check } from './check.ts'
import { LocalPeer, countingAddresses } from './peer.ts'
import type { AddressSource, AddressUse, Peer, PeerAccepted, PeerSocket } from './peer.ts'
import type { RecordedEvent, UpcallRecord } from './recorder.ts'
import { Station, startConnect, startListening } from './station.ts'
import type { Attempt, Outcome } from './station.ts'

export interface ConformanceOptions {
  /** A provider that was not started; called at least once in every test. */
  readonly create: () => SanProvider
  /** Both ends over providers of their own, in this process. Without it and `peer` one provider is both ends. */
  readonly createPair?: () => readonly [near: SanProvider, far: SanProvider]
  /** The far side of one test, wherever it runs; `childPeer` makes one in another process. */
  readonly peer?: () => Peer | Promise<Peer>
  /** Addresses the provider serves, no two alike; 127.0.0.1 with ports from 40001 unless said otherwise. */
  readonly address?: AddressSource
  /** An address the provider does not serve; one reserved for documentation unless said otherwise. */
  readonly unserved?: SocketAddress
  /** How long one test may take; 10 s unless said otherwise. */
  readonly deadlineMs?: number
  /** Clauses the provider does not keep, each with its reason. Their tests still run, and must fail. */
  readonly exempt?: Readonly<Record<string, string>>
}

/** How the near side got its connection. */
export type Role = 'connector' | 'acceptor'

export const ROLES: readonly Role[] = ['connector', 'acceptor']

/** A connection between a socket here and one of the peer. */
export interface Pair {
  readonly near: SanSocket
  readonly handle: SwitchHandle
  readonly far: PeerSocket
}

/** A socket here that listens and signals `event`. */
export interface Listener {
  readonly socket: SanSocket
  readonly event: RecordedEvent
  readonly address: SocketAddress
}

export const NO_DATA: Uint8Array = new Uint8Array()

export const ACCEPT: Verdict = { decision: 'CF_ACCEPT', calleeData: NO_DATA }

const DOCUMENTATION_HOST: Readonly<Record<AddressFamily, string>> = {
  IPv4: '203.0.113.7',
  IPv6: '2001:db8::7',
}

/** What one test works with: a started provider here, a peer, addresses, and waits that end. */
export class Fixture {
  readonly options: ConformanceOptions
  readonly near: Station
  readonly peer: Peer
  /** One provider is both ends, so that what ends the near side ends the far side too. */
  readonly isShared: boolean
  readonly #addresses: AddressSource
  readonly #waits = new Set<string>()
  #isOver = false

  static async open(options: ConformanceOptions): Promise<Fixture> {
    const addresses = options.address ?? countingAddresses({ family: 'IPv4', address: '127.0.0.1' }, 40001)
    if (options.peer !== undefined) {
      const peer = await options.peer()
      return new Fixture(options, addresses, new Station(options.create()), peer, false)
    }
    const [one, other] = options.createPair?.() ?? [options.create(), undefined]
    const near = new Station(one)
    const far = other === undefined ? near : new Station(other)
    return new Fixture(options, addresses, near, new LocalPeer(far, addresses), near === far)
  }

  private constructor(
    options: ConformanceOptions,
    addresses: AddressSource,
    near: Station,
    peer: Peer,
    isShared: boolean,
  ) {
    this.options = options
    this.#addresses = addresses
    this.near = near
    this.peer = peer
    this.isShared = isShared
  }

  /** An address of this side. */
  async address(use: AddressUse): Promise<SocketAddress> {
    return await this.#addresses(use)
  }

  /** An address of the same family that the provider does not serve. */
  unserved(like: SocketAddress): SocketAddress {
    return this.options.unserved ?? { ...like, address: DOCUMENTATION_HOST[like.family] }
  }

  /** Awaits `wait`; `what` is named if the test's time runs out meanwhile. */
  async until<T>(what: string, wait: Promise<T>): Promise<T> {
    this.#waits.add(what)
    try {
      return await wait
    } finally {
      this.#waits.delete(what)
    }
  }

  /** A socket here, bound to connect. */
  async client(): Promise<SanSocket> {
    return this.near.bound(await this.address('client'))
  }

  /** A socket of the peer, bound to connect. */
  async farClient(): Promise<PeerSocket> {
    return await this.peer.open(await this.peer.address('client'))
  }

  async listen(backlog = 8): Promise<Listener> {
    const address = await this.address('listener')
    const socket = this.near.bound(address)
    return { socket, event: startListening(socket, backlog), address }
  }

  /** A listening socket of the peer, and where. */
  async farListen(backlog = 8): Promise<{ readonly listener: PeerSocket; readonly address: SocketAddress }> {
    const address = await this.peer.address('listener')
    const listener = await this.peer.open(address)
    assertStatus(await this.peer.listen(listener, backlog), 'success', "the peer's listen")
    return { listener, address }
  }

  /** The peer starts to connect to `to`; the connect must not have ended at once. */
  async farConnect(to: SocketAddress, callerData: Uint8Array = NO_DATA): Promise<PeerSocket> {
    const socket = await this.farClient()
    const status = await this.peer.connect(socket, to, callerData)
    assertStatus(status, 'WSAEWOULDBLOCK', "the peer's connect")
    return socket
  }

  /** The peer connects to `listener`, whose event tells; what the event told is taken. */
  async farRequest(listener: Listener, callerData: Uint8Array = NO_DATA): Promise<PeerSocket> {
    const socket = await this.farConnect(listener.address, callerData)
    await this.events('the request', listener.socket, listener.event)
    return socket
  }

  /** Waits for `event` and takes what happened. */
  async events(what: string, socket: SanSocket, event: RecordedEvent): Promise<NetworkEvents> {
    await this.until(`the event of ${what}`, event.wait())
    return valueOf(socket.enumNetworkEvents(event), 'enumNetworkEvents')
  }

  async outcome(attempt: Attempt): Promise<Outcome> {
    return await this.until('the end of the connect', attempt.outcome())
  }

  async farOutcome(socket: PeerSocket): Promise<Outcome> {
    return await this.until("the end of the peer's connect", this.peer.outcome(socket))
  }

  async farAccept(listener: PeerSocket, verdict: Verdict = ACCEPT): Promise<PeerAccepted> {
    return await this.until('the peer to accept', this.peer.accept(listener, verdict))
  }

  async connectPair(role: Role = 'connector'): Promise<Pair> {
    return role === 'connector' ? await this.#connectTo() : await this.#acceptFrom()
  }

  /** Posts a receive that must start. */
  post(socket: SanSocket, options: { silent?: boolean } = {}): Overlapped {
    const overlapped = new Overlapped(options)
    assertStatus(socket.receive(overlapped), 'WSA_IO_PENDING', 'receive')
    return overlapped
  }

  /** Waits for the completion of `overlapped` to be announced, and says how it ended. */
  async completion(overlapped: Overlapped): Promise<Status> {
    const { completed } = await this.until(
      'the completion',
      this.near.upcalls.first((record) => record.completed?.overlapped === overlapped),
    )
    return completed?.status ?? 0
  }

  /** Posts a receive and waits for its end. */
  async receive(socket: SanSocket): Promise<Status> {
    return await this.completion(this.post(socket))
  }

  /** The peer closes its end, and the near side has been told; signals that came before are passed over. */
  async loseFar(pair: Pair): Promise<void> {
    assertStatus(await this.peer.close(pair.far), 'success', "the peer's close")
    let ended: Status
    do ended = await this.receive(pair.near)
    while (ended === 0)
    assertStatus(ended, 'WSAECONNRESET', 'a receive after the peer is gone')
  }

  /** The same at the peer, which has lost the near side. */
  async farEnds(socket: PeerSocket): Promise<void> {
    let ended: Status
    do ended = await this.until('the peer to see the end', this.peer.receive(socket))
    while (ended === 0)
    assertStatus(ended, 'WSAECONNRESET', "the peer's receive after this side is gone")
  }

  /** Waits for the last upcall of `handle`. */
  async closed(handle: SwitchHandle): Promise<UpcallRecord> {
    return await this.until(
      'closeSocketHandle',
      this.near.upcalls.first((record) => record.call === 'closeSocketHandle' && record.handle === handle),
    )
  }

  /** A whole connection made, used in both directions and closed: whatever was on its way before has arrived. */
  async roundTrip(): Promise<void> {
    const pair = await this.connectPair()
    assertStatus(await this.peer.signal(pair.far), 'success', "the peer's signal")
    assertStatus(await this.receive(pair.near), 'success', 'a receive')
    assertStatus(pair.near.close(), 'success', 'close')
    await this.farEnds(pair.far)
    await this.closed(pair.handle)
    assertStatus(await this.peer.close(pair.far), 'success', "the peer's close")
  }

  /** Runs `check` within the deadline. */
  async run(check: Check): Promise<void> {
    const deadlineMs = this.options.deadlineMs ?? 10_000
    let timer: NodeJS.Timeout | undefined
    const deadline = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(
          new assert.AssertionError({
            message: `No end in ${deadlineMs} ms, waiting for ${this.#waitedFor()}`,
          }),
        )
      }, deadlineMs)
    })
    try {
      await Promise.race([check.run(this), deadline])
      this.#assertNoViolation()
    } catch (error) {
      // A provider that failed may fail to close as well; the first failure is the one to report.
      await this.#end().catch(() => undefined)
      throw error
    } finally {
      clearTimeout(timer)
    }
    await this.#end()
  }

  /** Lets the event loop turn once, for a test that polls. */
  async turn(): Promise<void> {
    assert.ok(!this.#isOver, 'the test is over')
    await new Promise<void>((resolve) => setImmediate(resolve))
  }

  async #end(): Promise<void> {
    this.#isOver = true
    try {
      this.near.stop()
    } finally {
      await this.peer.end()
    }
  }

  #waitedFor(): string {
    return this.#waits.size === 0 ? 'nothing it named' : [...this.#waits].join(', ')
  }

  /** UP-1 and UP-2 hold in every test. */
  #assertNoViolation(): void {
    const exempt = this.options.exempt ?? {}
    const far = this.peer instanceof LocalPeer ? this.peer.station.upcalls.violations : []
    for (const { clause, what } of [...this.near.upcalls.violations, ...far]) {
      assert.ok(clause in exempt, `${clause}: ${what}`)
    }
  }

  async #connectTo(): Promise<Pair> {
    const { listener, address } = await this.farListen()
    const near = await this.client()
    const attempt = startConnect(near, address, NO_DATA)
    assertStatus(attempt.status, 'WSAEWOULDBLOCK', 'connect')
    const accepted = await this.farAccept(listener)
    assertStatus(accepted.status, 'success', "the peer's accept")
    const { status } = await this.outcome(attempt)
    assertStatus(status, 'success', 'the connect')
    assertStatus(await this.peer.close(listener), 'success', "the peer's close")
    return { near, handle: this.near.handleOf(near), far: accepted.socket }
  }

  async #acceptFrom(): Promise<Pair> {
    const listener = await this.listen()
    const far = await this.farRequest(listener)
    const { socket: near } = valueOf(
      listener.socket.accept(() => ACCEPT),
      'accept',
    )
    assert.equal(statusName((await this.farOutcome(far)).status), 'success')
    assertStatus(listener.socket.close(), 'success', 'close')
    return { near, handle: this.near.handleOf(near), far }
  }
}

/**
 * Runs one test of the suite; rejects when the provider does not keep the clause, or keeps it although it is exempt.
 */
export async function runCheck(check: Check, options: ConformanceOptions): Promise<void> {
  const fixture = await Fixture.open(options)
  const reason = options.exempt?.[check.id]
  if (reason === undefined) await fixture.run(check)
  else await assert.rejects(fixture.run(check), () => true, `${check.id} holds, yet it is exempt: ${reason}`)
}
