import assert from 'node:assert/strict'

import { WSA, success } from '../../src/spi/index.ts'
import type {
  HostSocket,
  Result,
  SocketAddress,
  Status,
  TcpipOwner,
  TcpipProvider,
} from '../../src/spi/index.ts'
import { LoopbackNetwork, loopback } from '../../src/providers/loopback/index.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import { FD_ALL_EVENTS, Winsock, WsaEvent } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { Overlapped } from '../../src/spi/index.ts'
import { Random } from '../support/random.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { Journal, spy } from '../switch/spy.ts'
import { nameOf, valueOf } from './pair.ts'

const HOST = '127.0.0.1'
const CONNECT_TIMEOUT_MS = 50
const RDMA = { maxBytes: 8000, thresholdBytes: 3000 }

/** A TCP/IP that has ports and no network: nothing connects over it, so that whatever connects does so over a SAN. */
function portsOnly(ports: Iterator<number>): TcpipProvider {
  const nextPort = (): number => ports.next().value as number
  return {
    socket: (family, owner: TcpipOwner): HostSocket => {
      let local: SocketAddress | undefined
      let open = true
      const reserve = (): Result<SocketAddress> =>
        success((local ??= { family, address: HOST, port: nextPort() }))
      return {
        reserve,
        bind: (address) => {
          if (local !== undefined) return WSA.WSAEINVAL
          local = { ...address, port: address.port === 0 ? nextPort() : address.port }
          return 0
        },
        localAddress: () => (local === undefined ? { ok: false, error: WSA.WSAEINVAL } : success(local)),
        listen: () => 0,
        setOption: () => 0,
        connect: () => {
          setImmediate(() => {
            if (open) owner.connected(WSA.WSAECONNREFUSED)
          })
          return 0
        },
        release: () => {
          open = false
        },
        close: () => {
          open = false
        },
      }
    },
  }
}

function* numbers(): Generator<number> {
  for (let port = 1001; ; port++) yield port
}

/** What one direction of a connection carries: each byte is known by its position. */
class Direction {
  readonly #salt: number
  taken = 0
  received = 0
  /** A send was taken back, or the connection reset: what follows is nobody's promise. */
  isBroken = false
  isEnded = false

  constructor(salt: number) {
    this.#salt = salt
  }

  bytes(at: number, length: number): Buffer {
    return Buffer.from(Array.from({ length }, (_, i) => ((at + i) * 31 + this.#salt) & 0xff))
  }

  check(found: Uint8Array): void {
    if (!this.isBroken)
      assert.ok(this.bytes(this.received, found.length).equals(found), 'other bytes than were sent')
    this.received += found.length
    assert.ok(this.received <= this.taken, 'more bytes than were sent')
  }
}

type Known = WinsockSocket['state']

interface Op {
  readonly kind: 'send' | 'receive' | 'accept' | 'connect'
  readonly overlapped: Overlapped
  /** Whose operation it is, where not the actor's that has it: the first data of an AcceptEx are the listener's. */
  owner?: WinsockSocket
  times: number
}

/** An application's socket as the model has it. */
class Actor {
  readonly socket: WinsockSocket
  readonly side: Side
  readonly ops: Op[] = []
  readonly event = new WsaEvent()
  state: Known = 'created'
  isShut = false
  out: Direction | undefined;
  in: Direction | undefined

  constructor(socket: WinsockSocket, side: Side) {
    this.socket = socket
    this.side = side
  }
}

interface Side {
  readonly winsock: Winsock
  readonly journal: Journal
}

const ALLOWED: Readonly<Record<string, Readonly<Record<Known, readonly string[]>>>> = {
  bind: row({ created: ['success', 'WSAEINVAL'] }, 'WSAEINVAL'),
  listen: row(
    { bound: ['success'], listening: ['success'], connecting: ['WSAEISCONN'], connected: ['WSAEISCONN'] },
    'WSAEINVAL',
  ),
  connect: row(
    {
      created: ['WSAEWOULDBLOCK', 'WSAEINVAL'],
      bound: ['WSAEWOULDBLOCK'],
      connecting: ['WSAEALREADY'],
      connected: ['WSAEISCONN'],
    },
    'WSAEINVAL',
  ),
  accept: row({ listening: ['success', 'WSAEWOULDBLOCK', 'WSATRY_AGAIN', 'WSAECONNREFUSED'] }, 'WSAEINVAL'),
  acceptEx: row({ listening: ['WSA_IO_PENDING', 'WSAEINVAL'] }, 'WSAEINVAL'),
  send: row(
    { connected: ['success', 'WSA_IO_PENDING', 'WSAEWOULDBLOCK', 'WSAESHUTDOWN', 'WSAECONNRESET'] },
    'WSAENOTCONN',
  ),
  recv: row(
    { connected: ['success', 'WSA_IO_PENDING', 'WSAEWOULDBLOCK', 'WSAESHUTDOWN', 'WSAECONNRESET'] },
    'WSAENOTCONN',
  ),
  shutdown: row({ connected: ['success'] }, 'WSAENOTCONN'),
  closesocket: row({}, 'success'),
  getpeername: row({ connected: ['success'] }, 'WSAENOTCONN'),
}

function row(
  given: Partial<Record<Known, readonly string[]>>,
  otherwise: string,
): Readonly<Record<Known, readonly string[]>> {
  const states: readonly Known[] = [
    'created',
    'bound',
    'listening',
    'reserved',
    'connecting',
    'connected',
    'failed',
  ]
  const rest = Object.fromEntries(states.map((state) => [state, given[state] ?? [otherwise]]))
  return { ...rest, closed: ['WSAENOTSOCK'] } as unknown as Readonly<Record<Known, readonly string[]>>
}

/** Two programs on two switches, and what an application may believe of them. */
export class World {
  readonly #random: Random
  readonly #clock = new FakeClock()
  readonly #sides: readonly [Side, Side]
  readonly #actors: Actor[] = []
  readonly #directions = new Map<string, Direction>()
  #inside = false
  /** Connections made, and bytes that arrived: for a test that wants to know that it tested something. */
  connections = 0
  bytes = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
    const network = new LoopbackNetwork()
    // One host, one set of ports.
    const ports = numbers()
    const side = (): Side => {
      const journal = new Journal()
      // Some can move application memory, at once or in their time, and some cannot.
      const rdma = this.#random.chance(0.6) ? RDMA : undefined
      const slowReads = this.#random.chance(0.5)
      const san = spy(loopback({ network, limits: { rdma }, slowReads }), 'san', journal)
      const theSwitch = createSwitch({ san: [san], clock: this.#clock, connectTimeoutMs: CONNECT_TIMEOUT_MS })
      const winsock = new Winsock({ switch: theSwitch, tcpip: portsOnly(ports), clock: this.#clock })
      valueOf(winsock.startup())
      return { winsock, journal }
    }
    this.#sides = [side(), side()]
  }

  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      this.#step()
      if (this.#random.chance(0.3)) await settle(this.#random.between(1, 4))
      if (this.#random.chance(0.05)) this.#clock.advance(this.#random.between(1, 70))
      for (const actor of this.#actors) this.#follow(actor)
    }
    await settle(6)
    await this.#finish()
  }

  // --- what applications do -----------------------------------------------------------------------------------------

  #step(): void {
    const random = this.#random
    if (this.#actors.length < 6 || (this.#actors.length < 16 && random.chance(0.1))) {
      this.#make()
      return
    }
    const act = random.pick(ACTS)
    // Mostly somebody who may; now and then anybody.
    const able = this.#actors.filter(
      ({ state }) => random.chance(0.15) || MEANT_FOR[act]?.includes(state) !== false,
    )
    const actor = random.pick(able.length === 0 ? this.#actors : able)
    const { socket, state } = actor
    switch (act) {
      case 'bind':
        if (
          this.#call(actor, act, () => socket.bind({ family: 'IPv4', address: HOST, port: 0 })) === 'success'
        ) {
          actor.state = 'bound'
        }
        break
      case 'listen':
        if (this.#call(actor, act, () => socket.listen(random.between(1, 3))) === 'success')
          actor.state = 'listening'
        break
      case 'connect': {
        const to = this.#target()
        if (this.#call(actor, act, () => socket.connect(to)) === 'WSAEWOULDBLOCK') actor.state = 'connecting'
        break
      }
      case 'accept': {
        const verdict = random.pick(['CF_ACCEPT', 'CF_ACCEPT', 'CF_REJECT', 'CF_DEFER'] as const)
        let taken: WinsockSocket | undefined
        this.#call(actor, act, () => {
          const result = socket.accept(() => verdict)
          if (result.ok) taken = result.value
          return result
        })
        if (taken !== undefined) this.#adopt(new Actor(taken, actor.side))
        break
      }
      case 'acceptEx': {
        const target = this.#make(actor.side)
        const first = random.chance(0.4) ? Buffer.alloc(random.sized(1, 30_000)) : undefined
        const op =
          first === undefined ? this.#op('accept', actor) : this.#op('receive', target, first, socket)
        const said = this.#call(actor, act, () => socket.acceptEx(target.socket, first, op.overlapped))
        if (said === 'WSA_IO_PENDING') {
          actor.ops.push(op)
          if (first !== undefined) target.ops.push(op)
          target.state = 'reserved'
        }
        break
      }
      case 'send':
        this.#send(actor)
        break
      case 'recv':
        this.#receive(actor)
        break
      case 'shutdown':
        if (this.#call(actor, act, () => socket.shutdown(1)) === 'success') {
          actor.isShut = true
        }
        break
      case 'closesocket':
        if (random.chance(0.5)) break
        if (random.chance(0.3) && state !== 'closed') {
          socket.setsockopt('SO_LINGER', 0)
        }
        this.#breakBoth(actor)
        this.#call(actor, act, () => socket.closesocket())
        actor.state = 'closed'
        break
      case 'cancel': {
        const pending = actor.ops.filter(({ kind, overlapped }) => overlapped.pending && kind !== 'connect')
        if (pending.length === 0) break
        const op = random.pick(pending)
        // What the peer reads from where it is may cost the connection.
        if (op.kind === 'send') this.#breakBoth(actor)
        this.#enter(() => (op.owner ?? socket).cancel(op.overlapped))
        break
      }
      case 'events':
        if (state === 'closed') break
        this.#enter(() => socket.eventSelect(actor.event, FD_ALL_EVENTS))
        this.#enter(() => socket.enumNetworkEvents(actor.event))
        break
      case 'getpeername':
        this.#call(actor, act, () => socket.getpeername())
        break
    }
  }

  #make(side = this.#random.pick(this.#sides)): Actor {
    const actor = new Actor(valueOf(side.winsock.socket()), side)
    if (this.#random.chance(0.4)) actor.socket.setsockopt('SO_CONDITIONAL_ACCEPT', 1)
    this.#actors.push(actor)
    return actor
  }

  #target(): SocketAddress {
    const listening = this.#actors.filter(({ state }) => state === 'listening')
    if (listening.length === 0 || this.#random.chance(0.1)) return { family: 'IPv4', address: HOST, port: 9 }
    return valueOf(this.#random.pick(listening).socket.getsockname())
  }

  #send(actor: Actor): void {
    const { out, socket } = actor
    const length = this.#random.sized(1, 20_000)
    const bytes = out?.bytes(out.taken, length) ?? Buffer.alloc(length)
    const cut = this.#random.between(0, length)
    const buffers = [bytes.subarray(0, cut), bytes.subarray(cut)]
    const op = this.#random.chance(0.5) ? this.#op('send', actor) : undefined
    let taken = 0
    const said = this.#call(actor, 'send', () => {
      const result = socket.send(buffers, 0, op?.overlapped)
      if (result.ok) taken = result.value
      return result
    })
    if (actor.isShut && actor.state === 'connected') assert.equal(said, 'WSAESHUTDOWN')
    if (said === 'WSA_IO_PENDING' && op !== undefined) {
      actor.ops.push(op)
      taken = length
    }
    if (out !== undefined) out.taken += taken
  }

  #receive(actor: Actor): void {
    const { socket } = actor
    const target = Buffer.alloc(this.#random.sized(1, 30_000))
    // One that was filled is told in its time: what is received meanwhile is to be told after it.
    const waiting = actor.ops.some(({ kind, overlapped }) => kind === 'receive' && overlapped.pending)
    const posted = waiting || this.#random.chance(0.4)
    const op = posted ? this.#op('receive', actor, target) : undefined
    const before = actor.in?.received
    const said = this.#call(actor, 'recv', () => {
      const result = socket.recv(target, 0, op?.overlapped)
      if (result.ok) this.#received(actor, target.subarray(0, result.value))
      return result
    })
    if (said === 'WSA_IO_PENDING' && op !== undefined) actor.ops.push(op)
    assert.ok(said === 'success' || actor.in?.received === before)
  }

  #received(actor: Actor, bytes: Uint8Array): void {
    if (bytes.length === 0) {
      if (actor.in !== undefined) actor.in.isEnded = true
    } else {
      assert.ok(actor.in !== undefined && !actor.in.isEnded, 'bytes after the end')
      actor.in.check(bytes)
      this.bytes += bytes.length
    }
  }

  /** An operation: told at most once, never from inside a call, and after its status was set. */
  #op(kind: Op['kind'], actor: Actor, target?: Buffer, owner?: WinsockSocket): Op {
    const silent = this.#random.chance(kind === 'send' ? 0.3 : 0)
    const op: Op = {
      kind,
      times: 0,
      ...(owner === undefined ? {} : { owner }),
      overlapped: new Overlapped({
        silent,
        completed: (status, bytes) => {
          op.times += 1
          assert.equal(op.times, 1, `a ${kind} was told twice`)
          assert.equal(this.#inside, false, `a ${kind} was told from inside a call`)
          assert.deepEqual([op.overlapped.status, op.overlapped.bytes], [status, bytes])
          if (kind === 'receive' && status === 0 && target !== undefined) {
            // The first that is heard of a connection may be its first data.
            this.#follow(actor)
            this.#received(actor, target.subarray(0, bytes))
          }
          // A send that has failed was not sent whole.
          if (kind === 'send' && status !== 0 && actor.out !== undefined) actor.out.isBroken = true
        },
      }),
    }
    return op
  }

  #enter<T>(call: () => T): T {
    this.#inside = true
    try {
      return call()
    } finally {
      this.#inside = false
    }
  }

  #call(actor: Actor, name: string, call: () => Result<unknown> | Status): string {
    this.#follow(actor)
    const said = nameOf(this.#enter(call))
    const allowed = ALLOWED[name]?.[actor.state] ?? []
    assert.ok(allowed.includes(said), `${name} of a socket that is ${actor.state} answered ${said}`)
    return said
  }

  // --- what the model makes of it -----------------------------------------------------------------------------------

  #adopt(actor: Actor): void {
    this.#actors.push(actor)
    actor.state = 'connected'
    this.#directionsOf(actor)
  }

  // A connect ends, and an accept delivers, in its own time; nothing else changes by itself.
  #follow(actor: Actor): void {
    const { state } = actor.socket
    if (state === actor.state) return
    const byItself = BY_ITSELF[actor.state] ?? []
    assert.ok(byItself.includes(state), `a socket that was ${actor.state} is ${state}`)
    if (actor.state === 'connected') this.#breakBoth(actor)
    actor.state = state
    actor.isShut = false
    actor.out = actor.in = undefined
    if (state === 'connected') this.#directionsOf(actor)
  }

  #directionsOf(actor: Actor): void {
    this.connections += 1
    const local = valueOf(actor.socket.getsockname()).port
    const remote = valueOf(actor.socket.getpeername()).port
    actor.out = this.#direction(local, remote)
    actor.in = this.#direction(remote, local)
  }

  #direction(from: number, to: number): Direction {
    const key = `${from} ${to}`
    const known = this.#directions.get(key) ?? new Direction(from * 3 + to)
    this.#directions.set(key, known)
    return known
  }

  #breakBoth({ out, in: into }: Actor): void {
    for (const direction of [out, into]) if (direction !== undefined) direction.isBroken = true
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  async #finish(): Promise<void> {
    await this.#drain()
    for (const { winsock } of this.#sides) assert.equal(winsock.cleanup(), 0)
    await settle(8)
    for (const { socket, ops } of this.#actors) {
      assert.equal(socket.state, 'closed')
      for (const { kind, overlapped, times } of ops) {
        assert.equal(overlapped.pending, false, `a ${kind} never ended`)
        assert.equal(times, overlapped.silent ? 0 : 1, `a ${kind} was told ${times} times`)
      }
    }
    this.#clock.advance(10_000)
    await settle(8)
    assert.equal(this.#clock.pending, 0, 'timers are left')
    for (const { journal } of this.#sides) {
      const made = journal.count('san^createSocketHandle')
      assert.equal(journal.count('san^closeSocketHandle'), made, 'switch descriptors are left')
    }
  }

  /** What was sent on connections that nobody has broken arrives whole, when it is read. */
  async #drain(): Promise<void> {
    const readers = this.#actors.filter(
      ({ state, in: into }) => state === 'connected' && into?.isBroken === false,
    )
    for (const actor of readers) {
      for (const { kind, overlapped, owner } of actor.ops) {
        if (kind !== 'receive' || !overlapped.pending) continue
        ;(owner ?? actor.socket).cancel(overlapped)
        // An accept that goes back takes its connection with it.
        if (owner !== undefined) this.#breakBoth(actor)
      }
    }
    for (let i = 0; i < 60; i++) {
      await settle(2)
      for (const actor of readers) {
        const target = Buffer.alloc(100_000)
        const result = actor.socket.recv(target)
        if (result.ok && actor.in?.isEnded === false) this.#received(actor, target.subarray(0, result.value))
      }
    }
    for (const { in: into } of readers) {
      if (into?.isBroken === false) assert.equal(into.received, into.taken, 'bytes are lost')
    }
  }
}

/** What a socket becomes without a call of its own: an accept that is taken back leaves a new one. */
const BY_ITSELF: Partial<Record<Known, readonly Known[]>> = {
  connecting: ['connected', 'failed'],
  reserved: ['connected', 'created'],
  connected: ['created'],
}

/** In which states an act means something; in all where nothing is said. */
const MEANT_FOR: Readonly<Record<string, readonly Known[]>> = {
  bind: ['created'],
  listen: ['bound'],
  connect: ['created', 'bound'],
  accept: ['listening'],
  acceptEx: ['listening'],
  send: ['connected'],
  recv: ['connected'],
  shutdown: ['connected'],
}

const ACTS = [
  'bind',
  'listen',
  'listen',
  'connect',
  'connect',
  'connect',
  'accept',
  'accept',
  'accept',
  'acceptEx',
  'send',
  'send',
  'send',
  'recv',
  'recv',
  'recv',
  'shutdown',
  'closesocket',
  'cancel',
  'events',
  'getpeername',
] as const
