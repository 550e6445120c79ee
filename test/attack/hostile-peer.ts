/** A peer that shakes hands honestly and then lies: it writes whatever it likes into its own memory and its channel. */
import * as layout from '../../src/providers/shm/layout.ts'
import { encodeMessage } from '../../src/providers/shm/messages.ts'
import type { LinkMessage } from '../../src/providers/shm/messages.ts'
import { rendezvousName } from '../../src/providers/shm/names.ts'
import { writeRequest } from '../../src/providers/shm/request.ts'
import type { SlotRequest } from '../../src/providers/shm/request.ts'
import { encodeHello } from '../../src/switch/session/hello.ts'
import * as session from '../../src/switch/session/layout.ts'
import type { SocketAddress } from '../../src/spi/index.ts'
import { eventually } from '../support/waiting.ts'
import { Channel, LIMIT_MS, closeAll, lonelyEventfd, native } from './channel.ts'
import type { HostileServer } from './hostile-server.ts'

export const HOST = '127.0.0.1'
export const RING_SEGMENT_BYTES = layout.RING_SEGMENT_BYTES
/** The hello of an honest session. */
export const HELLO = encodeHello({ regionBytes: layout.REGION_BYTES, maxRingBytes: 1 << 20, features: 0 })

/** Mapped memory of either side. */
export class Memory {
  readonly buffer: ArrayBuffer
  readonly bytes: Uint8Array
  readonly words: Int32Array
  /** The descriptor, where the memory is ours. */
  readonly fd: number

  constructor(buffer: ArrayBuffer, fd = -1) {
    this.buffer = buffer
    this.bytes = new Uint8Array(buffer)
    this.words = new Int32Array(buffer)
    this.fd = fd
  }

  static create(bytes: number): Memory {
    const made = native.createMemory(bytes)
    if (typeof made === 'number') throw new Error(`Cannot make memory: errno ${-made}`)
    return new Memory(made.buffer, made.fd)
  }

  static map(fd: number, bytes: number): Memory {
    const mapped = native.mapMemory(fd, bytes)
    if (typeof mapped === 'number') throw new Error(`Cannot map memory: errno ${-mapped}`)
    return new Memory(mapped)
  }

  release(): void {
    native.unmap(this.buffer)
    if (this.fd >= 0) native.close(this.fd)
  }
}

/** A slot of one side: where its words and bytes lie. */
export interface SlotPart {
  readonly memory: Memory
  readonly word: number
  /** First byte of the session's region. */
  readonly region: number
}

/** One side of a link in the hands of an attacker. */
export class HostilePeer {
  readonly channel: Channel
  readonly own: Memory
  /** The status page: {@link native.Poller} writes the honest ones. */
  readonly status: Memory
  readonly doorbell: number
  readonly ownSlots: Memory[]
  readonly theirSlots: Memory[] = []
  theirDoorbell = -1
  produced = 0
  /** Segments sent so far, the first one included. */
  segments = 1

  private constructor(channel: Channel, doorbell: number) {
    this.channel = channel
    this.own = Memory.create(layout.LINK_SEGMENT_BYTES)
    this.status = Memory.create(layout.STATUS_BYTES)
    this.doorbell = doorbell
    this.ownSlots = [this.own]
    // Always asleep, so that the victim rings whenever we say that we sleep anew.
    this.status.words[layout.STATUS_SLEEPING] = 1
  }

  /** Somebody who has everything an honest peer has and has said nothing yet. */
  static async prepare(name: string): Promise<HostilePeer> {
    const doorbell = await lonelyEventfd()
    // Only now: whoever has knocked and does not speak is sent away after a second.
    return new HostilePeer(Channel.connect(name), doorbell)
  }

  /** The same for who knocked at the door of `server`: quickly, for the victim does not wait long. */
  static async meet(server: HostileServer): Promise<HostilePeer> {
    return new HostilePeer(await server.door.next(), server.takeDoorbell())
  }

  /** Knocks at the listener's door and is let in. */
  static async open(port: number, host = HOST): Promise<HostilePeer> {
    const name = doorName(port, host)
    const peer = await HostilePeer.prepare(name)
    peer.say({ kind: 'open', segmentBytes: layout.LINK_SEGMENT_BYTES, name }, peer.offer)
    await peer.#adopt()
    return peer
  }

  /** Lets in who knocked at the door of `server`. */
  static async welcome(server: HostileServer): Promise<HostilePeer> {
    const peer = await HostilePeer.meet(server)
    await peer.#adopt()
    peer.say({ kind: 'welcome', segmentBytes: layout.LINK_SEGMENT_BYTES }, peer.offer)
    return peer
  }

  /** What goes with OPEN and WELCOME. */
  get offer(): readonly number[] {
    return [this.own.fd, this.doorbell, this.status.fd]
  }

  say(message: LinkMessage, fds: readonly number[] = []): void {
    this.channel.send(encodeMessage(message), fds)
  }

  async #adopt(): Promise<void> {
    const got = await this.channel.next()
    const [segment, doorbell, status] = got === 'end' ? [] : got.fds
    if (got === 'end' || segment === undefined || doorbell === undefined || status === undefined) {
      throw new Error(`Cannot shake hands: ${got === 'end' ? 'the channel ended' : 'no memory came'}`)
    }
    this.theirSlots.push(Memory.map(segment, layout.LINK_SEGMENT_BYTES))
    this.theirDoorbell = doorbell
    closeAll([segment, status])
  }

  /** Adds a segment, honestly numbered. */
  addSegment(use: 'slots' | 'rings'): Memory {
    const bytes = use === 'slots' ? layout.SLOT_SEGMENT_BYTES : RING_SEGMENT_BYTES
    const memory = Memory.create(bytes)
    this.say({ kind: 'segment', index: this.segments, use, bytes }, [memory.fd])
    this.segments += 1
    if (use === 'slots') this.ownSlots.push(memory)
    return memory
  }

  /** Takes the slot segment that the victim sends next. */
  async takeSlots(): Promise<void> {
    const got = await this.channel.next()
    const [fd] = got === 'end' ? [] : got.fds
    if (fd === undefined) throw new Error('Cannot take a segment: none came')
    this.theirSlots.push(Memory.map(fd, layout.SLOT_SEGMENT_BYTES))
    native.close(fd)
  }

  // --- the link's cursors ---------------------------------------------------------------------------------------------

  /** Puts `id` on the notification ring, whatever it is. */
  notify(id: number): void {
    this.own.words[layout.NOTIFY_RING_WORD + (this.produced & layout.NOTIFY_MASK)] = id | 0
    this.setProduced(this.produced + 1)
  }

  /** Puts on the notification ring that we are through with slot `id`. */
  notifyEnd(id: number): void {
    this.notify(id | layout.NOTIFY_END)
  }

  setProduced(cursor: number): void {
    this.produced = cursor
    Atomics.store(this.own.words, layout.NOTIFY_PRODUCED, cursor | 0)
    this.ring()
  }

  /** How far the victim has read our notifications. */
  get consumed(): number {
    return Atomics.load(this.theirs.words, layout.NOTIFY_CONSUMED)
  }

  /** Says that we have read all of the victim's notifications, so that it appends, and rings, again. */
  consume(): void {
    Atomics.store(
      this.own.words,
      layout.NOTIFY_CONSUMED,
      Atomics.load(this.theirs.words, layout.NOTIFY_PRODUCED),
    )
  }

  ring(): void {
    native.ring(this.theirDoorbell)
  }

  /** Makes the victim ring our doorbell at its next notification. */
  sleepAnew(): void {
    Atomics.add(this.status.words, layout.STATUS_EPOCH, 1)
  }

  get theirs(): Memory {
    const [first] = this.theirSlots
    if (first === undefined) throw new Error('Cannot read the victim: no hands were shaken')
    return first
  }

  // --- slots ----------------------------------------------------------------------------------------------------------

  ownSlot(id: number): SlotPart {
    return part(this.ownSlots, id)
  }

  theirSlot(id: number): SlotPart {
    return part(this.theirSlots, id)
  }

  setState(id: number, generation: number, phase: number): void {
    this.setStateWord(id, layout.slotState(generation, phase))
  }

  setStateWord(id: number, word: number): void {
    const slot = this.ownSlot(id)
    Atomics.store(slot.memory.words, slot.word + layout.SLOT_STATE, word)
  }

  /** What the victim says about slot `id`. */
  answer(id: number): { readonly generation: number; readonly phase: number; readonly detail: number } {
    const { memory, word } = this.theirSlot(id)
    const state = Atomics.load(memory.words, word + layout.SLOT_STATE)
    return {
      generation: layout.generationOf(state),
      phase: layout.phaseOf(state),
      detail: memory.words[word + layout.SLOT_DETAIL] ?? 0,
    }
  }

  async answered(id: number, generation: number, phase: number): Promise<void> {
    await eventually(
      () => {
        const answer = this.answer(id)
        return answer.generation === generation && answer.phase === phase
      },
      LIMIT_MS,
      () =>
        `phase ${phase} of generation ${generation} in slot ${id}, not ${JSON.stringify(this.answer(id))}`,
    )
  }

  /** Waits until the victim has seen every notification. */
  async heard(): Promise<void> {
    await eventually(
      () => this.consumed === (this.produced | 0),
      LIMIT_MS,
      () => `the victim to hear: it is at ${this.consumed} of ${this.produced}`,
    )
  }

  /** Acceptor: waits for a request in the first slot; false when it was given up already. */
  async asked(): Promise<boolean> {
    const over = [layout.PHASE_OPEN, layout.PHASE_CLOSED]
    await eventually(
      () => over.includes(this.answer(0).phase),
      LIMIT_MS,
      () => 'a request',
    )
    return this.answer(0).phase === layout.PHASE_OPEN
  }

  /** Lays down a request without announcing it. */
  writeRequest(id: number, request: SlotRequest): void {
    const slot = this.ownSlot(id)
    const at = slot.region + layout.CONNECT_DATA_BYTE
    this.#setRequestBytes(slot, writeRequest(slot.memory.bytes, at, request))
  }

  writeRawRequest(id: number, bytes: Uint8Array, claimedBytes = bytes.length): void {
    const slot = this.ownSlot(id)
    slot.memory.bytes.set(bytes, slot.region + layout.CONNECT_DATA_BYTE)
    this.#setRequestBytes(slot, claimedBytes)
  }

  #setRequestBytes(slot: SlotPart, bytes: number): void {
    slot.memory.words[slot.word + layout.SLOT_DATA_BYTES] = bytes
  }

  /** Asks for a connection in slot `id`. */
  ask(id: number, generation: number, request: SlotRequest): void {
    this.#clear(id)
    this.writeRequest(id, request)
    this.setState(id, generation, layout.PHASE_OPEN)
    this.notify(id)
  }

  #clear(id: number): void {
    const slot = this.ownSlot(id)
    slot.memory.bytes.fill(0, slot.region, slot.region + layout.CONNECT_DATA_BYTE)
  }

  /** Connects as an honest opener does: asks, is accepted, goes through with it. */
  async connect(id: number, generation: number, request: SlotRequest): Promise<HostileSession> {
    this.ask(id, generation, request)
    await this.answered(id, generation, layout.PHASE_ACCEPTED)
    return this.agree(id)
  }

  agree(id: number): HostileSession {
    const end = new HostileSession(this, id)
    end.setFlags(session.FLAG_OPEN)
    return end
  }

  close(): void {
    this.channel.close()
    for (const memory of [...new Set([this.own, this.status, ...this.ownSlots])]) memory.release()
    for (const memory of this.theirSlots) memory.release()
    closeAll([this.doorbell, ...(this.theirDoorbell < 0 ? [] : [this.theirDoorbell])])
  }
}

/** The attacker's end of a connection. */
export class HostileSession {
  readonly peer: HostilePeer
  readonly id: number

  constructor(peer: HostilePeer, id: number) {
    this.peer = peer
    this.id = id
  }

  set(word: number, value: number): void {
    const slot = this.peer.ownSlot(this.id)
    Atomics.store(slot.memory.words, slot.region / 4 + word, value | 0)
  }

  get(word: number): number {
    const slot = this.peer.theirSlot(this.id)
    return Atomics.load(slot.memory.words, slot.region / 4 + word)
  }

  setFlags(flags: number): void {
    this.set(session.FLAGS, flags)
    this.signal()
  }

  get flags(): number {
    return this.get(session.FLAGS)
  }

  signal(): void {
    this.peer.notify(this.id)
  }

  /** Writes into the first ring, which is in the slot; at most what fits before it wraps. */
  write(text: string): void {
    const slot = this.peer.ownSlot(this.id)
    const bytes = Buffer.from(text)
    slot.memory.bytes.set(bytes, slot.region + session.HEADER_BYTES)
    this.set(session.PRODUCED, bytes.length)
    this.signal()
  }

  /** Writes, and waits until the victim has sent all of it back. */
  async echo(text: string): Promise<void> {
    this.write(text)
    await eventually(
      () => this.received === text,
      LIMIT_MS,
      () => `the echo of '${text}', not '${this.received}'`,
    )
  }

  /** What the victim has put into its first ring. */
  get received(): string {
    const slot = this.peer.theirSlot(this.id)
    const from = slot.region + session.HEADER_BYTES
    return Buffer.from(slot.memory.bytes.subarray(from, from + this.get(session.PRODUCED))).toString()
  }

  /** Waits until the victim has taken note that we go through with it; false when it had waited long enough. */
  async agreed(): Promise<boolean> {
    await this.peer.heard()
    return this.peer.answer(this.id).phase === layout.PHASE_ACCEPTED
  }

  async flagged(flag: number): Promise<void> {
    await eventually(
      () => (this.flags & flag) !== 0,
      LIMIT_MS,
      () => `flag ${flag} of the victim, not ${this.flags}`,
    )
  }
}

export function doorName(port: number, host = HOST): string {
  return rendezvousName({ family: host.includes(':') ? 'IPv6' : 'IPv4', address: host, port })
}

/** The request that an honest client of `port` would lay down. */
export function honestRequest(port: number, changes: Partial<SlotRequest> = {}): SlotRequest {
  return {
    listener: doorName(port),
    remote: endpoint(HOST, freshPort()),
    local: endpoint(HOST, port),
    callerData: HELLO,
    ...changes,
  }
}

let lastPort = 20_000

/** A port to claim: below the ones that the kernel gives to real clients, and used by no other test of this process. */
export function freshPort(): number {
  lastPort += 1
  return lastPort
}

export function endpoint(address: string, port: number): SocketAddress {
  return { family: address.includes(':') ? 'IPv6' : 'IPv4', address, port }
}

function part(memories: readonly Memory[], id: number): SlotPart {
  const { group, byte } = layout.slotPlace(id)
  const memory = memories[group]
  if (memory === undefined) throw new RangeError(`Cannot reach slot ${id}: it lies in segment ${group}`)
  return { memory, word: byte / 4, region: byte + layout.SLOT_HEADER_BYTES }
}
