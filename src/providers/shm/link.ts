import { WSA, failure, success } from '../../spi/index.ts'
import type { Result, WsaCode } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import type { Watcher } from '../../native/shm.ts'
import { step } from '../../base/machine.ts'
import { TRANSITIONS } from '../../san/link-state.ts'
import type { LinkEvent, LinkState } from '../../san/link-state.ts'
import type { Bell } from './bell.ts'
import { EAGAIN, EMSGSIZE } from './errno.ts'
import { adoptPeerSide, offerOwnSide } from './handshake.ts'
import * as layout from './layout.ts'
import type { LinkHost } from './link-host.ts'
import { LinkMemory } from './link-memory.ts'
import type { SlotView } from './link-memory.ts'
import { decodeMessage, encodeMessage, rejectionCode } from './messages.ts'
import type { LinkMessage } from './messages.ts'
import { IncomingNotifications, OutgoingNotifications } from './notifications.ts'
import type { NotificationKind } from './notifications.ts'
import { closeAll } from './segments.ts'
import type { Segment } from './segments.ts'
import { SlotTable } from './slot-table.ts'
import type { SlotHolder } from './slot-table.ts'
import type { Peer } from './trust.ts'
import type { Notifiable } from '../../native/turns.ts'

/**
 * The memory and the channel between two event loops, shared by all connections that the opener makes to the acceptor.
 * Each side writes its own segments and reads the peer's; whatever it reads there it checks. The channel passes further
 * segments, and its end of stream says that the peer is gone.
 */
export class Link implements Notifiable {
  readonly role: 'opener' | 'acceptor'
  /** The rendezvous name it was made for. */
  readonly name: string
  /** Opener: requests that the acceptor has not answered yet. */
  unanswered = 0
  /** Entries of the peer's ring about slots that never were. */
  unknownNotifications = 0
  /** The memory in which its slots and rings lie. */
  readonly memory: LinkMemory
  readonly #host: LinkHost
  readonly #fd: number
  readonly #slots: SlotTable
  #peer: Peer
  #isReferred = false
  #watcher: Watcher | undefined
  #state: LinkState = 'opening'
  #index = -1
  /** The segments 0, with the cursors and the notification rings. */
  #own: Segment | undefined
  #theirs: Segment | undefined
  #bell: Bell | undefined
  #outgoing: OutgoingNotifications | undefined
  #incoming: IncomingNotifications | undefined
  /** The other end, where it is in this very loop. */
  #twin: Link | undefined
  #cancelIdle: Cancel | undefined

  constructor(host: LinkHost, role: Link['role'], fd: number, name: string, peer: Peer) {
    this.#host = host
    this.role = role
    this.#fd = fd
    this.name = name
    this.#peer = peer
    this.#slots = new SlotTable(host.limits.maxConnectionsPerLink)
    this.memory = new LinkMemory(host.native, fd, host.budget, host.limits.maxBytesPerLink, () => {
      this.readChannel()
    })
  }

  /** Who is at the other end: for an opener what it was told, where a group answers. */
  get peer(): Peer {
    return this.#peer
  }

  /** True when {@link peer} is what we were told, and not what the kernel says. */
  get isReferred(): boolean {
    return this.#isReferred
  }

  get state(): LinkState {
    return this.#state
  }

  /** Slots in use or lingering. */
  get held(): number {
    return this.#slots.held
  }

  get withinLoop(): boolean {
    return this.#twin !== undefined
  }

  /** What the opener calls the link. */
  get id(): number | undefined {
    return (this.role === 'opener' ? this.#own : this.#theirs)?.words[layout.LINK_ID]
  }

  #move(event: LinkEvent): void {
    this.#state = step('link', TRANSITIONS, this.#state, event)
  }

  /** It has a channel. */
  get #lives(): boolean {
    return this.#state === 'opening' || this.#state === 'up'
  }

  // --- making it ----------------------------------------------------------------------------------------------------

  /**
   * Opener: offers our memory, to this `member` where a group answers. Connections may be asked for at once; the acceptor
   * finds them when it maps us.
   */
  open(member?: number): WsaCode | 0 {
    const segmentBytes = layout.LINK_SEGMENT_BYTES
    return this.#offer({
      kind: 'open',
      segmentBytes,
      name: this.name,
      ...(member !== undefined && { member }),
    })
  }

  /** Acceptor: takes the opener's memory and offers ours. After a failure only {@link fail} is left to do. */
  welcome(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const adopted = this.#adopt(segmentBytes, fds)
    if (adopted !== 0) return adopted
    const status = this.#offer({ kind: 'welcome', segmentBytes: layout.LINK_SEGMENT_BYTES })
    if (status === 0) this.#up()
    return status
  }

  #offer(message: LinkMessage): WsaCode | 0 {
    const own = offerOwnSide(this.#host, this.memory, this.#fd, message)
    if (typeof own === 'number') return own
    this.#own = own
    this.#outgoing = new OutgoingNotifications(own.words)
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.readChannel()
    })
    return 0
  }

  #adopt(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const peer = adoptPeerSide(this.#host.native, this.memory, segmentBytes, fds)
    if (typeof peer === 'number') return peer
    this.#theirs = peer.segment
    this.#bell = peer.bell
    return 0
  }

  #up(): void {
    const own = this.#own
    const theirs = this.#theirs
    if (own === undefined || theirs === undefined) return
    this.#move('connected')
    this.#incoming = new IncomingNotifications(own.words, theirs.words)
    this.#index = this.#host.turns.add(this)
    this.#host.turns.poller.watch(
      this.#index,
      theirs.buffer,
      layout.NOTIFY_PRODUCED * 4,
      own.buffer,
      layout.NOTIFY_CONSUMED * 4,
    )
    // What we asked for before the peer could be rung.
    this.#bell?.ring()
    this.#catchUp()
    this.#closeWhenIdle()
  }

  // --- the channel --------------------------------------------------------------------------------------------------

  /** Takes every message that has arrived. Nothing on the channel waits for long: what is sent is there. */
  readChannel(): void {
    while (this.#lives) {
      const received = this.#host.native.receive(this.#fd)
      if (typeof received === 'number') {
        // Also when no descriptor was left for one that came.
        if (received === -EMSGSIZE) this.fail(WSA.WSAEMFILE)
        else if (received !== -EAGAIN) this.#peerIsGone()
        return
      }
      const message = decodeMessage(received.bytes)
      if (!this.#take(message, received.fds)) {
        this.fail(message === 'version' ? WSA.WSAVERNOTSUPPORTED : WSA.WSAEFAULT)
        return
      }
    }
  }

  #take(message: LinkMessage | 'version' | 'malformed', fds: readonly number[]): boolean {
    if (typeof message === 'object') {
      if (message.kind === 'welcome' && this.role === 'opener' && this.#state === 'opening') {
        if (this.#adopt(message.segmentBytes, fds) !== 0) return false
        this.#up()
        return true
      }
      if (message.kind === 'segment' && this.#state === 'up') return this.memory.accept(message, fds)
      if (message.kind === 'group' && this.role === 'opener' && this.#state === 'up' && fds.length === 0) {
        // Whom we entered was the head; it has the right to let another process speak for it.
        this.#peer = { ...this.#peer, pid: message.processId }
        this.#isReferred = true
        this.#host.regrouped(this, message.member, message.members)
        return true
      }
      if (message.kind === 'reject' && this.role === 'opener' && fds.length === 0) {
        this.fail(rejectionCode(message.code))
        return true
      }
    }
    closeAll(this.#host.native, fds)
    return false
  }

  /** Acceptor: says which member of its group it is. An opener that does not read this spreads less evenly, no more. */
  tellGroup(member: number, members: readonly number[]): void {
    if (this.#state !== 'up') return
    const message = encodeMessage({ kind: 'group', member, processId: process.pid, members })
    this.#host.native.send(this.#fd, message, [])
  }

  // --- notifications ------------------------------------------------------------------------------------------------

  /** Tells the peer to look at slot `id`, or that we are through with it; unless it is about to look anyway. */
  notify(id: number, kind: NotificationKind = 'signal'): void {
    if (this.#outgoing === undefined || !this.#lives) return
    const outcome = this.#outgoing.append(id, kind, this.#theirs?.words)
    if (outcome === 'pending') return
    // An honest peer cannot let the ring fill.
    if (outcome === 'full') this.#failLater()
    else if (this.#twin === undefined) this.#bell?.ring()
    else this.#host.turns.schedule(this.#twin.#dispatchJob)
  }

  dispatchOne(): boolean {
    const incoming = this.#incoming
    const outcome = incoming?.take() ?? 'empty'
    if (incoming === undefined || outcome === 'empty') return false
    if (outcome === 'broken') {
      this.fail(WSA.WSAEFAULT)
      return true
    }
    const { id, kind } = incoming
    const holder = this.#slots.holder(id)
    if (kind === 'signal') holder?.notified()
    else holder?.ended()
    // A holder that has just let go may have made room for a new request in the same slot.
    if (this.#slots.holder(id) !== undefined) return true
    if (this.role === 'acceptor' && id < layout.MAX_CONNECTIONS) this.#host.requested(this, id)
    else if (id >= this.#slots.length) this.unknownNotifications += 1
    return true
  }

  /** Both ends turned out to be in this loop: from now on events keep the order in which they were made. */
  pair(twin: Link): void {
    this.#twin = twin
    this.#catchUp()
  }

  // What was announced before both ends were there and knew each other.
  #catchUp(): void {
    if (this.#twin === undefined || this.#state !== 'up') return
    const step = (): void => {
      if (this.dispatchOne()) this.#host.turns.schedule(step)
    }
    this.#host.turns.schedule(step)
  }

  readonly #dispatchJob = (): void => {
    this.dispatchOne()
  }

  // --- slots --------------------------------------------------------------------------------------------------------

  /** Opener: an unused slot, and our side of it. The caller becomes its holder. */
  takeSlot(holder: SlotHolder): Result<{ readonly id: number; readonly own: SlotView }> {
    const id = this.#slots.unused()
    if (id === undefined) return failure(WSA.WSAEPROCLIM)
    const own = this.memory.ownSlot(id)
    if (own === undefined) return failure(WSA.WSAENOBUFS)
    this.hold(id, holder)
    return success({ id, own })
  }

  hold(id: number, holder: SlotHolder): void {
    this.#slots.hold(id, holder)
    this.#cancelIdle?.()
    this.#cancelIdle = undefined
  }

  /** Another holder goes on with the slot. */
  pass(id: number, holder: SlotHolder): void {
    this.#slots.pass(id, holder)
  }

  isHeld(id: number): boolean {
    return this.#slots.holder(id) !== undefined
  }

  /** False when this request of slot `id` was seen before. */
  noteRequest(id: number, generation: number): boolean {
    return this.#slots.noteRequest(id, generation)
  }

  /** The slot may be used again. */
  free(id: number): void {
    this.#slots.free(id, this.#opens)
    this.#releaseWhenUnheld()
    this.#closeWhenIdle()
  }

  /** Connections can be asked for. */
  get #opens(): boolean {
    return this.role === 'opener' && this.#state === 'up'
  }

  // What its opener does not use, or never has, is not kept for ever.
  #closeWhenIdle(): void {
    if (!this.#opens || this.held > 0) return
    this.#cancelIdle = this.#host.clock.after(this.#host.limits.idleLinkMs, () => {
      this.fail(WSA.WSA_OPERATION_ABORTED)
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Ends the link: the peer is gone, broke the protocol, or nobody needs it any more. */
  fail(code: WsaCode): void {
    if (!this.#lives) return
    this.#move('failed')
    this.#incoming = undefined
    this.#unwatch()
    this.#cancelIdle?.()
    this.#watcher?.close()
    this.memory.stop()
    this.#host.native.close(this.#fd)
    this.#host.linkClosed(this, code)
    // Each socket hears of it in a turn of its own: what one of them does must not keep it from the others.
    for (const id of this.#slots.heldIds) {
      this.#host.turns.schedule(() => {
        this.#slots.holder(id)?.linkDown(code)
      })
    }
    // Whoever was using the memory hears of it first.
    this.#host.turns.schedule(() => {
      this.#releaseWhenUnheld()
    })
  }

  // What the peer has announced is still delivered, each in a turn of its own; then its connections end.
  #peerIsGone(): void {
    this.#watcher?.close()
    let left = layout.NOTIFY_ENTRIES
    const finish = (): void => {
      left -= 1
      if (left > 0 && this.dispatchOne()) this.#host.turns.schedule(finish)
      else this.fail(WSA.WSAECONNRESET)
    }
    this.#host.turns.schedule(finish)
  }

  #releaseWhenUnheld(): void {
    if (this.held > 0 || this.#state !== 'down') return
    this.#move('unheld')
    this.#own = undefined
    this.#theirs = undefined
    this.#outgoing = undefined
    this.#bell?.release()
    this.#bell = undefined
    this.memory.release()
  }

  #unwatch(): void {
    if (this.#index < 0) return
    this.#host.turns.poller.unwatch(this.#index)
    this.#host.turns.remove(this.#index)
    this.#index = -1
  }

  /** From inside a down-call: sockets are told in a turn of their own. */
  #failLater(): void {
    this.#host.turns.schedule(() => {
      this.fail(WSA.WSAEFAULT)
    })
  }
}
