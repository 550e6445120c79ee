/** Peers without manners, driven by hand, and those who must not suffer from them. */
import assert from 'node:assert/strict'

import { localPeer } from '../../conformance/index.ts'
import type { LocalPeer, PeerSocket } from '../../conformance/index.ts'
import * as native from '../../src/native/fabric.ts'
import type { Fabric, LinkOffer } from '../../src/native/fabric.ts'
import { loadFabric } from '../../src/native/load.ts'
import { decodeHello, encodeHello } from '../../src/providers/fabric/hello.ts'
import type { LinkHello } from '../../src/providers/fabric/hello.ts'
import type { FabricLimits } from '../../src/providers/fabric/index.ts'
import * as layout from '../../src/providers/fabric/layout.ts'
import { serviceOf } from '../../src/providers/fabric/index.ts'
import type { ServedSubnet, SocketAddress } from '../../src/spi/index.ts'
import * as messages from '../../src/providers/fabric/messages.ts'
import { LIMIT_MS } from '../integration/program.ts'
import { FABRIC_UNDER_TEST, fabricAddresses, fabricProvider } from '../support/fabric-provider.ts'
import { DeadlineError } from '../support/waiting.ts'

export const addresses = fabricAddresses('IPv4')

const QUIET: Partial<FabricLimits> = { heartbeatMs: 3_600_000 }

export const ACCEPT = { decision: 'CF_ACCEPT', calleeData: new Uint8Array() } as const

export interface ExposedPlace {
  readonly bytes: number
  readonly address: bigint
  readonly key: bigint
}

/** An endpoint without manners, driven by hand. */
export class Stranger {
  readonly #fabric: Fabric
  readonly #events: Int32Array
  readonly link: number
  readonly #offer: LinkOffer
  #sent = 0
  /** The messages that came. */
  readonly heard: Uint8Array[] = []

  /** @param from Its own address; that of the listener unless said otherwise. */
  constructor(to: SocketAddress, hello?: Uint8Array, from = to.address) {
    const loaded = loadFabric()
    assert.ok('native' in loaded)
    const { MESSAGES, MESSAGE_BYTES, WRITES, READS, ARENA_BYTES } = layout
    const { Fabric } = loaded.native
    this.#fabric = new Fabric(FABRIC_UNDER_TEST, MESSAGES, MESSAGE_BYTES, WRITES, READS, ARENA_BYTES)
    assert.equal(this.#fabric.open(), 0)
    this.#events = new Int32Array(this.#fabric.events())
    this.link = this.#fabric.connect(from, to.address, serviceOf(FABRIC_UNDER_TEST, to.port))
    assert.ok(this.link > 0)
    const offer = this.#fabric.offer(this.link)
    assert.ok(offer !== undefined)
    this.#offer = offer
    assert.equal(this.#fabric.start(this.link, hello ?? encodeHello(offer)), 0)
  }

  /** The next event of this kind, or of the end. */
  async event(wanted: number): Promise<number> {
    const late = performance.now() + LIMIT_MS
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve))
      if (performance.now() > late)
        throw new DeadlineError(`Waited ${LIMIT_MS} ms in vain for event ${wanted}`)
      if (!this.#fabric.poll()) continue
      const [count = 0] = this.#events
      const kinds: number[] = []
      for (let i = 0; i < count; i++) {
        const [kind = 0, , buffer = 0, bytes = 0] = this.#events.subarray(2 + 4 * i, 6 + 4 * i)
        kinds.push(kind)
        if (kind === native.EVENT_RECEIVED) this.#hear(buffer, bytes)
      }
      this.#events[1] = count
      const found = kinds.find((kind) => kind === wanted || kind === native.EVENT_ENDED)
      if (found !== undefined) return found
    }
  }

  #hear(buffer: number, bytes: number): void {
    const at = layout.RECEIVED_AT + buffer * layout.MESSAGE_BYTES
    this.heard.push(new Uint8Array(this.#offer.memory, at, bytes).slice())
  }

  /** Connects, and learns where its mirror is at the victim. */
  async arrive(): Promise<LinkHello> {
    assert.equal(await this.event(native.EVENT_CONNECTED), native.EVENT_CONNECTED)
    const hello = decodeHello(this.said)
    assert.ok(typeof hello === 'object')
    this.aim(hello)
    return hello
  }

  /** Where it writes from now on. */
  aim({ address, key }: LinkHello): void {
    this.#fabric.setPeer(this.link, address, key)
  }

  /** Writes `content` at byte `offset` of where it aims; 0 or a negative errno. */
  write(offset: number, content: Uint8Array): number {
    new Uint8Array(this.#offer.memory).set(content, layout.ARENA_AT + offset)
    return this.#fabric.write(this.link, offset, content.length)
  }

  /** Lets the victim read `memory`, and says so of slot 0 as `descriptor`; what it says may be changed first. */
  expose(memory: Uint8Array, descriptor: number, lie: Partial<ExposedPlace> = {}): void {
    const exposed = this.#fabric.expose(this.link, memory)
    assert.ok(typeof exposed === 'object')
    const { address, key, bytes } = { ...exposed, bytes: memory.length, ...lie }
    const payload = new DataView(new ArrayBuffer(messages.EXPOSE_BYTES))
    payload.setUint32(0, descriptor, true)
    payload.setUint32(4, bytes, true)
    payload.setBigUint64(8, address, true)
    payload.setBigUint64(16, key, true)
    this.send(message(messages.EXPOSE, 0, 0, [...new Uint8Array(payload.buffer)]))
  }

  /** What the victim has exposed, in the order of its messages. */
  get exposed(): readonly ExposedPlace[] {
    return this.heard
      .filter(([kind]) => kind === messages.EXPOSE)
      .map((said) => {
        const view = new DataView(said.buffer, said.byteOffset + messages.HEADER_BYTES)
        return {
          bytes: view.getUint32(4, true),
          address: view.getBigUint64(8, true),
          key: view.getBigUint64(16, true),
        }
      })
  }

  /** Reads there into `target`; the read's number, or a negative errno. */
  read(target: Uint8Array, { address, key }: Omit<ExposedPlace, 'bytes'>): number {
    return this.#fabric.read(this.link, target, address, key)
  }

  get said(): Uint8Array {
    return this.#fabric.peerData(this.link)
  }

  send(message: Uint8Array): void {
    const index = this.#sent % layout.MESSAGES
    this.#sent += 1
    new Uint8Array(this.#offer.memory).set(message, layout.SENT_AT + index * layout.MESSAGE_BYTES)
    this.#fabric.send(this.link, index, message.length, false)
  }

  /** Asks in slot 0 for a connection with `local`, from its address unless that is a lie. */
  ask(local: SocketAddress, lie: Partial<SocketAddress> = {}): void {
    const remote = { ...local, port: 40_000, ...lie }
    const request = messages.encodeRequest({ remote, local, callerData: new Uint8Array() })
    this.send(message(messages.REQUEST, 0, 0, [...request]))
  }

  end(): void {
    this.#fabric.close(this.link)
    this.#fabric.release(this.link, this.#offer.memory)
    this.#fabric.destroy()
  }
}

export interface Victim {
  readonly victim: LocalPeer
  readonly listener: PeerSocket
  readonly at: SocketAddress
  /** Its connection to its friend carries bytes; then both end. */
  readonly stillWell: () => Promise<void>
}

/**
 * Somebody who listens, and a friend with a connection there. No heartbeat ends a link: what ends, a guard has ended.
 *
 * @param limits Of the one who listens.
 */
export async function makeVictim(
  limits: Partial<FabricLimits> = {},
  networks?: () => readonly ServedSubnet[],
): Promise<Victim> {
  const victim = localPeer(
    fabricProvider({ limits: { ...QUIET, ...limits }, ...(networks && { networks }) }),
    addresses,
  )
  const friend = localPeer(fabricProvider({ limits: QUIET }), addresses)
  const at = await victim.address('listener')
  const listener = await victim.open(at)
  assert.equal(await victim.listen(listener, 8), 0)
  const near = await friend.open(await friend.address('client'))
  await friend.connect(near, at, new Uint8Array())
  const { socket: far } = await victim.accept(listener, ACCEPT)
  assert.equal((await friend.outcome(near)).status, 0)
  let round = 0
  const stillWell = async (): Promise<void> => {
    round += 1
    await friend.write(near, 0, Uint8Array.of(round))
    await friend.signal(near)
    assert.equal(await victim.receive(far), 0)
    assert.deepEqual(await victim.read(far, 0, 1), Uint8Array.of(round))
    await victim.end().then(() => friend.end())
  }
  return { victim, listener, at, stillWell }
}

/** A message of this kind for a slot. */
export function message(kind: number, count = 0, slot = 0, payload: readonly number[] = []): Uint8Array {
  return Uint8Array.of(kind, count, 0, 0, slot & 255, slot >>> 8, 0, 0, ...payload)
}

/** A victim that has accepted a connection of a stranger's. */
export async function makeAcquaintance(limits: Partial<FabricLimits> = {}) {
  const all = await makeVictim(limits)
  const { victim, listener, at } = all
  const stranger = new Stranger(at)
  const hello = await stranger.arrive()
  stranger.ask(at)
  const { socket } = await victim.accept(listener, ACCEPT)
  return { ...all, stranger, hello, socket }
}
