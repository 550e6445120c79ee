import assert from 'node:assert/strict'

import { FD_ALL_EVENTS } from '../../src/faces/winsock/index.ts'
import type { WinsockSocket } from '../../src/faces/winsock/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { Overlapped } from '../../src/spi/index.ts'
import type { Result, SocketAddress, Status } from '../../src/spi/index.ts'
import { Random } from '../support/random.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { ACTS, ALLOWED, BY_ITSELF, MEANT_FOR } from './answers.ts'
import { Actor, Directions } from './actors.ts'
import type { Op, Read } from './actors.ts'
import { nameOf, valueOf } from './pair.ts'
import { HOST, numbers } from './ports-only.ts'
import { startSide } from './side.ts'
import type { Side } from './side.ts'

/** Sends at once, now and then: more than a small ring takes. */
const BURST = 6

/** Two programs on two switches, and what an application may believe of them. */
export class World {
  readonly #random: Random
  readonly #clock = new FakeClock()
  readonly #sides: readonly [Side, Side]
  readonly #actors: Actor[] = []
  readonly #directions = new Directions()
  #inside = false
  #failure: Error | undefined
  /** Connections made, and bytes that arrived: for a test that wants to know that it tested something. */
  connections = 0
  bytes = 0

  constructor(seed: number) {
    this.#random = new Random(seed)
    const network = new LoopbackNetwork()
    // One host, one set of ports.
    const ports = numbers()
    const side = (): Side => startSide({ random: this.#random, clock: this.#clock, network, ports })
    this.#sides = [side(), side()]
  }

  async run(steps: number): Promise<void> {
    if (this.#random.chance(0.8)) await this.#meet()
    for (let i = 0; i < steps; i++) {
      this.#step()
      for (const actor of this.#actors) this.#follow(actor)
      if (this.#random.chance(0.3)) await settle(this.#random.between(1, 4))
      this.#throwFailure()
      if (this.#random.chance(0.05)) this.#clock.advance(this.#random.between(1, 70))
      for (const actor of this.#actors) this.#follow(actor)
    }
    await settle(6)
    await this.#finish()
  }

  /** Two who know each other: left to chance, most would never meet. */
  async #meet(): Promise<void> {
    const [listener, client] = [this.#make(), this.#make()]
    for (const act of ['bind', 'listen'] as const) this.#act(act, listener)
    this.#act('connect', client)
    for (let i = 0; i < 3; i++) {
      await settle(4)
      this.#act('accept', listener)
    }
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
    this.#act(act, random.pick(able.length === 0 ? this.#actors : able))
  }

  #act(act: (typeof ACTS)[number], actor: Actor): void {
    const random = this.#random
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
          first === undefined
            ? this.#op('accept', actor, 0)
            : this.#op('receive', target, first.length, first, socket)
        const said = this.#call(actor, act, () => socket.acceptEx(target.socket, first, op.overlapped))
        if (said === 'WSA_IO_PENDING') {
          actor.ops.push(op)
          if (first !== undefined) {
            target.ops.push(op)
            target.reads.push(op.read)
          }
          target.state = 'reserved'
        }
        break
      }
      case 'send':
        for (let left = random.chance(0.2) ? BURST : 1; left > 0; left--) this.#send(actor)
        break
      case 'recv':
        this.#receive(actor)
        break
      case 'shutdown':
        if (this.#call(actor, act, () => socket.shutdown(1)) === 'success') {
          actor.isShut = true
          if (actor.out !== undefined) actor.out.mayEnd = true
        }
        break
      case 'closesocket':
        if (random.chance(0.5)) break
        if (random.chance(0.3) && state !== 'closed') socket.setsockopt('SO_LINGER', 0)
        else if (actor.out !== undefined) actor.out.mayEnd = true
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
        op.isTakenBack = this.#enter(() => (op.owner ?? socket).cancel(op.overlapped)) === 0
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
    const op = this.#random.chance(0.5) ? this.#op('send', actor, length) : undefined
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
    const cut = this.#random.between(0, target.length - 1)
    const buffers = [target.subarray(0, cut), target.subarray(cut)]
    const op = this.#random.chance(0.5) ? this.#op('receive', actor, target.length, target) : undefined
    const said = this.#call(actor, 'recv', () => {
      const result = socket.recv(buffers, 0, op?.overlapped)
      if (result.ok) this.#found(actor, { found: target.subarray(0, result.value) })
      return result
    })
    if (said !== 'WSA_IO_PENDING' || op === undefined) return
    actor.ops.push(op)
    actor.reads.push(op.read)
  }

  #found(actor: Actor, read: Read): void {
    actor.reads.push(read)
    this.bytes += actor.checkReads()
  }

  /** An operation: told at most once, never from inside a call, and after its status was set. */
  #op(kind: Op['kind'], actor: Actor, length: number, target?: Buffer, owner?: WinsockSocket): Op {
    const silent = this.#random.chance(kind === 'send' ? 0.3 : 0)
    const op: Op = {
      kind,
      length,
      owner,
      read: { found: undefined },
      isTakenBack: false,
      times: 0,
      overlapped: new Overlapped({
        silent,
        completed: (status, bytes) => {
          op.times += 1
          try {
            assert.equal(op.times, 1, `a ${kind} was told twice`)
            assert.equal(this.#inside, false, `a ${kind} was told from inside a call`)
            assert.deepEqual([op.overlapped.status, op.overlapped.bytes], [status, bytes])
            // The first that is heard of a connection may be its first data.
            this.#follow(actor)
            if (kind === 'receive') this.#received(actor, op, target?.subarray(0, bytes))
            else if (kind === 'send') this.#sent(actor, op)
          } catch (error) {
            this.#failure ??= error as Error
          }
        },
      }),
    }
    return op
  }

  /** What a callback found belongs to the run with its seed. */
  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  #received(actor: Actor, { read, overlapped }: Op, bytes: Uint8Array | undefined): void {
    read.found = overlapped.status === 0 ? bytes : 'nothing'
    this.bytes += actor.checkReads()
  }

  /** A send ends whole, or for a reason; then it was not sent whole. */
  #sent(actor: Actor, { overlapped, length, isTakenBack }: Op): void {
    const { status, bytes } = overlapped
    assert.equal(bytes, status === 0 ? length : 0)
    if (status === 0) return
    assert.ok(isTakenBack || actor.mayFail, `a send ended with ${nameOf(status)} for no reason`)
    if (actor.out !== undefined) actor.out.isBroken = true
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
    actor.out = this.#directions.between(local, remote)
    actor.in = this.#directions.between(remote, local)
    actor.in.isHeard = true
  }

  #breakBoth({ out, in: into }: Actor): void {
    for (const direction of [out, into]) if (direction !== undefined) direction.isBroken = true
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  async #finish(): Promise<void> {
    for (const { socket, ops } of this.#actors) {
      const left = socket.state === 'closed' ? ops.filter(({ overlapped }) => overlapped.pending) : []
      assert.deepEqual(
        left.map(({ kind }) => kind),
        [],
        'a socket is closed, and what it had pending has not ended',
      )
    }
    await this.#drain()
    for (const { winsock } of this.#sides) assert.equal(winsock.cleanup(), 0)
    for (const actor of this.#actors) actor.state = 'closed'
    await settle(8)
    this.#throwFailure()
    for (const { socket, ops } of this.#actors) {
      assert.equal(socket.state, 'closed')
      for (const { kind, overlapped, times, length } of ops) {
        assert.equal(overlapped.pending, false, `a ${kind} never ended`)
        assert.equal(times, overlapped.silent ? 0 : 1, `a ${kind} was told ${times} times`)
        if (kind === 'send' && overlapped.status === 0) assert.equal(overlapped.bytes, length)
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
    const target = Buffer.alloc(100_000)
    for (let i = 0; i < 60; i++) {
      await settle(2)
      for (const actor of readers) {
        const result = actor.socket.recv(target)
        if (result.ok) this.#found(actor, { found: Buffer.from(target.subarray(0, result.value)) })
      }
      if (readers.every((actor) => actor.in?.isOver !== false)) break
    }
    for (const { in: into } of readers) {
      if (into?.isBroken !== false) continue
      assert.equal(into.received, into.taken, 'bytes are lost')
      assert.equal(into.isEnded, into.mayEnd, 'the end is lost')
    }
  }
}
