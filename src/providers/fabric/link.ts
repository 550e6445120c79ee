import { WSA, failure, success } from '../../spi/index.ts'
import type { ConnectionRequest, Result, WsaCode } from '../../spi/index.ts'
import type { Clock, Cancel } from '../../base/clock.ts'
import { step } from '../../base/machine.ts'
import type { Fabric, LinkOffer } from '../../native/fabric.ts'
import type { Watcher } from '../../native/shm.ts'
import type { Turns } from '../../native/turns.ts'
import type { ConnectionHost } from './connection.ts'
import { connectCode } from './errno.ts'
import { Exposures } from './exposures.ts'
import { FurtherPool } from './further-pool.ts'
import { decodeHello, decodeRefusal, encodeHello } from './hello.ts'
import { Incoming } from './incoming.ts'
import { takeMessage } from './inbox.ts'
import * as layout from './layout.ts'
import { Heartbeat } from './heartbeat.ts'
import type { Beating } from './heartbeat.ts'
import type { FabricLimits } from './limits.ts'
import { TRANSITIONS } from '../../san/link-state.ts'
import type { LinkEvent, LinkState } from '../../san/link-state.ts'
import * as messages from './messages.ts'
import { Answers, Outbox } from './outbox.ts'
import { Reads } from './reads.ts'
import type { Read } from './reads.ts'
import { Slot } from './slot.ts'
import type { SlotHolder } from './slot.ts'

/** What a link needs of the provider around it. */
export interface LinkHost extends ConnectionHost {
  readonly fabric: Fabric
  readonly turns: Turns
  readonly limits: FabricLimits
  readonly clock: Clock
  /** A connection is asked for. */
  requested(incoming: Incoming): void
  /** A peer does not answer any more. */
  silenced(): void
  /** The link can carry no further connection. */
  linkClosed(link: Link, code: WsaCode): void
}

/**
 * One endpoint between two event loops, shared by all connections that the opener makes to the acceptor's listener. What
 * the peer says is checked before it is used; nonsense ends the link.
 */
export class Link implements Beating {
  readonly role: 'opener' | 'acceptor'
  readonly id: number
  /** The peer's address. */
  readonly address: string
  readonly bytes: Uint8Array
  readonly words: Int32Array
  readonly further: FurtherPool
  /** Further regions that the peer has registered. */
  registrations = 0
  readonly #host: LinkHost
  readonly #fabric: Fabric
  readonly #offer: LinkOffer
  readonly #outbox: Outbox
  /** The application's memory that the peer reads, and the peer's that is read here. */
  readonly exposures: Exposures
  readonly #reads: Reads
  readonly #answers = new Answers()
  readonly #slots: (Slot | undefined)[] = []
  readonly #freeIds: number[] = []
  /** Acceptor: requests without an answer. */
  readonly #asked = new Map<number, Incoming>()
  readonly #openedAt: number
  #held = 0
  #state: LinkState = 'opening'
  #watcher: Watcher | undefined
  #cancelOpening: Cancel | undefined
  #cancelIdle: Cancel | undefined
  readonly #heartbeat: Heartbeat
  #saidGoodbye = false
  /** The peer has said that it ends. */
  peerLeft = false

  /** @param id Of an endpoint that was made but not started. */
  constructor(host: LinkHost, role: Link['role'], id: number, offer: LinkOffer, address: string) {
    this.#host = host
    this.#fabric = host.fabric
    this.role = role
    this.id = id
    this.address = address
    this.#offer = offer
    this.#outbox = new Outbox(host.fabric, id, offer.memory, () => {
      this.#failSoon(WSA.WSAECONNABORTED)
    })
    this.bytes = this.#outbox.bytes
    this.words = new Int32Array(offer.memory)
    this.further = new FurtherPool(this.bytes, this.words)
    this.exposures = new Exposures(host.fabric, id, this.#outbox)
    this.#reads = new Reads(host.fabric, id, this.#outbox, host.turns.schedule)
    this.#heartbeat = new Heartbeat(host.clock, host.limits.heartbeatMs, this)
    this.#openedAt = host.clock.now()
  }

  get state(): LinkState {
    return this.#state
  }

  /** Connections on it, lingering ones included. */
  get held(): number {
    return this.#held
  }

  get mayRegister(): boolean {
    return this.registrations < layout.RINGS_BYTES / layout.PAGE_BYTES
  }

  /** True when it is worth while to wait for it. */
  get promising(): boolean {
    return this.#state === 'up' || this.#host.clock.now() - this.#openedAt < this.#host.limits.patienceMs
  }

  #move(event: LinkEvent): void {
    this.#state = step('link', TRANSITIONS, this.#state, event)
  }

  // --- making it ----------------------------------------------------------------------------------------------------

  /** Connects or accepts; after a failure only {@link fail} is left to do. */
  start(): WsaCode | 0 {
    const { turns, clock, limits } = this.#host
    const status = this.#fabric.start(this.id, encodeHello(this.#offer))
    if (status !== 0) return connectCode(-status)
    this.#watcher = turns.watch(this.#offer.fd, nothing)
    this.#cancelOpening = clock.after(limits.handshakeMs, () => {
      this.fail(WSA.WSAETIMEDOUT)
    })
    this.#heartbeat.start()
    return 0
  }

  /** The peer accepted, or has been told that we did. */
  connected(): void {
    if (this.#state !== 'opening') return
    if (this.role === 'opener') {
      const hello = decodeHello(this.#fabric.peerData(this.id))
      if (typeof hello === 'number') {
        this.fail(hello)
        return
      }
      this.#fabric.setPeer(this.id, hello.address, hello.key)
    }
    this.#move('connected')
    this.#cancelOpening?.()
    this.#outbox.open()
    this.#endWhenIdle()
  }

  /**
   * The endpoint has ended, with what errno the fabric says. It tells a peer that died from a wire that failed no better than
   * that: a stream that had not ended before is cut off.
   */
  endpointEnded(errno: number): void {
    if (this.#state !== 'opening') {
      this.fail(WSA.WSAECONNABORTED)
      return
    }
    const refusal = decodeRefusal(this.#fabric.peerData(this.id))
    this.fail(refusal ?? connectCode(errno))
  }

  // --- messages -----------------------------------------------------------------------------------------------------

  /** Something of this slot is to be sent. */
  send(slot: Slot): void {
    this.#outbox.add(slot)
    if (this.#state === 'up') this.#outbox.flush()
  }

  /** Something has gone: there may be room again. */
  roomMade(): void {
    this.#outbox.flush()
    this.exposures.settle()
  }

  /** Reads what the peer has exposed. */
  read(read: Read): void {
    if (this.lives) this.#reads.add(read)
    else this.#reads.cut(read)
  }

  readDone(number: number): void {
    this.#heartbeat.heard()
    this.#reads.done(number)
  }

  /** A message has arrived in `buffer`. */
  received(buffer: number, length: number): void {
    if (this.#state !== 'opening' && this.#state !== 'up') return
    this.#heartbeat.heard()
    const at = layout.RECEIVED_AT + buffer * layout.MESSAGE_BYTES
    const whole = length >= messages.HEADER_BYTES && length <= layout.MESSAGE_BYTES
    if (!whole || !this.#outbox.credit(this.bytes[at + 2] ?? 0) || !takeMessage(this, at, length)) {
      this.fail(WSA.WSAEFAULT)
      return
    }
    // The message may have ended the link.
    if (!this.lives) return
    if (this.#fabric.receive(this.id, buffer) !== 0) {
      this.fail(WSA.WSAECONNABORTED)
      return
    }
    this.#outbox.owe()
    if (this.#state === 'up') this.#outbox.flush()
  }

  /** It has an endpoint. */
  get lives(): boolean {
    return this.#state === 'opening' || this.#state === 'up'
  }

  // --- what the inbox tells -----------------------------------------------------------------------------------------

  slot(id: number): Slot | undefined {
    return this.#slots[id]
  }

  /** False when the peer may not ask for that slot. */
  asked(id: number, request: ConnectionRequest): boolean {
    const isFree = id < layout.MAX_SLOTS && this.#slots[id] === undefined && !this.#asked.has(id)
    if (this.role !== 'acceptor' || !isFree) return false
    const incoming = new Incoming(this.#host, this, id, request)
    this.#asked.set(id, incoming)
    this.#host.requested(incoming)
    return true
  }

  /** A request was given up before it was answered: agree, so that the opener can use the slot again. */
  withdrawn(id: number): void {
    const incoming = this.#asked.get(id)
    // One that was refused meanwhile is over.
    if (incoming === undefined) return
    this.#asked.delete(id)
    incoming.withdraw()
    this.#answer(messages.END, id, 0)
  }

  /** Where no message can go, others are on their way, and say the same. */
  pinged(): void {
    if (this.#state === 'up') this.#outbox.say(messages.NOTHING)
  }

  left(): void {
    this.peerLeft = true
    // In kind, so that whoever ends knows that all of it has arrived.
    if (!this.#saidGoodbye && this.#state === 'up') this.#outbox.say(messages.GOODBYE)
    this.#failSoon(WSA.WSAECONNRESET)
  }

  // --- slots --------------------------------------------------------------------------------------------------------

  /** Opener: the number of an unused slot; {@link request} follows. */
  takeId(): Result<number> {
    const id = this.#freeIds.pop() ?? this.#slots.length
    return id >= layout.MAX_SLOTS ? failure(WSA.WSAEPROCLIM) : success(id)
  }

  /** Opener: asks for a connection. It is sent once the link is up. */
  request(id: number, holder: SlotHolder, request: ConnectionRequest): Slot {
    return this.#hold(id, holder, messages.REQUEST, messages.encodeRequest(request))
  }

  /** Acceptor: says yes to a request that was not withdrawn; so below. */
  accept(id: number, holder: SlotHolder, calleeData: Uint8Array): Slot {
    this.#asked.delete(id)
    return this.#hold(id, holder, messages.ACCEPTED, calleeData)
  }

  /** Acceptor: says that the answer may take a while. */
  judging(id: number): void {
    this.#answer(messages.JUDGING, id, 0)
  }

  /** Acceptor: says no. */
  refuse(id: number, code: WsaCode): void {
    this.#asked.delete(id)
    this.#answer(messages.REFUSED, id, code)
  }

  #answer(kind: number, id: number, detail: number): void {
    if (!this.lives) return
    if (!this.#answers.add(kind, id, detail)) {
      this.#failSoon(WSA.WSAEFAULT)
      return
    }
    this.#outbox.add(this.#answers)
    if (this.#state === 'up') this.#outbox.flush()
  }

  #hold(id: number, holder: SlotHolder, kind: number, data: Uint8Array): Slot {
    const slot = new Slot(this, id, holder, kind, data)
    this.#slots[id] = slot
    this.#held += 1
    this.#cancelIdle?.()
    this.#cancelIdle = undefined
    return slot
  }

  /** The slot may be used again. */
  free(id: number): void {
    this.#slots[id] = undefined
    this.#held -= 1
    if (this.role === 'opener') this.#freeIds.push(id)
    if (this.#held > 0) return
    this.#releaseWhenUnheld()
    this.#endWhenIdle()
  }

  // A link that the opener does not use is not kept for ever.
  #endWhenIdle(): void {
    if (this.role !== 'opener' || !this.lives || this.#held > 0) return
    this.#cancelIdle = this.#host.clock.after(this.#host.limits.idleLinkMs, () => {
      this.fail(WSA.WSA_OPERATION_ABORTED)
    })
  }

  // --- life ---------------------------------------------------------------------------------------------------------

  beat(): boolean {
    if (this.exposures.beat() && this.#reads.beat()) return true
    this.fail(WSA.WSAECONNABORTED)
    return false
  }

  ask(): boolean {
    if (this.#state !== 'up') return false
    this.#outbox.say(messages.PING)
    return true
  }

  dead(): void {
    this.#host.silenced()
    this.fail(WSA.WSAECONNABORTED)
  }

  /** The process ends: what was written goes out, and the peer is told that nothing follows. */
  sayGoodbye(): void {
    if (this.#saidGoodbye || this.#state !== 'up' || !this.#outbox.isEmpty) return
    this.#saidGoodbye = this.#outbox.say(messages.GOODBYE)
  }

  // Sockets are told in a turn of their own.
  #failSoon(code: WsaCode): void {
    this.#host.turns.schedule(() => {
      this.fail(code)
    })
  }

  /** Ends the link: the peer is gone, broke the protocol, or nobody needs it any more. */
  fail(code: WsaCode): void {
    if (!this.lives) return
    this.#move('failed')
    this.#cancelOpening?.()
    this.#cancelIdle?.()
    this.#heartbeat.stop()
    this.#watcher?.close()
    this.#outbox.close()
    this.#fabric.close(this.id)
    this.exposures.clear()
    for (const incoming of this.#asked.values()) incoming.withdraw()
    this.#asked.clear()
    this.#host.linkClosed(this, code)
    // Each socket hears of it in a turn of its own: what one of them does must not keep it from the others.
    this.#reads.end()
    for (const slot of this.#slots) {
      if (slot === undefined) continue
      this.#host.turns.schedule(() => {
        slot.linkDown(code)
      })
    }
    this.#releaseWhenUnheld()
  }

  #releaseWhenUnheld(): void {
    if (this.#held > 0 || this.#state !== 'down') return
    this.#move('unheld')
    this.#fabric.release(this.id, this.#offer.memory)
  }
}

function nothing(): void {
  // The poller looks for work after every wake-up.
}
