import { WSA, failure, success } from '../../spi/index.ts'
import type { Result, WsaCode } from '../../spi/index.ts'
import type { Clock, Cancel } from '../../base/clock.ts'
import type { ShmNative, Watcher } from '../../native/shm.ts'
import { codeOf } from './errno.ts'
import * as layout from './layout.ts'
import type { ShmLimits } from './limits.ts'
import { LinkMemory } from './link-memory.ts'
import type { SlotView } from './link-memory.ts'
import { decodeMessage, encodeMessage, rejectionCode } from './messages.ts'
import type { LinkMessage } from './messages.ts'
import { IncomingNotifications, OutgoingNotifications } from './notifications.ts'
import type { NotificationKind } from './notifications.ts'
import { closeAll } from './segments.ts'
import type { ByteBudget, Segment } from './segments.ts'
import type { Peer } from './trust.ts'
import type { Notifiable, Turns } from '../../native/turns.ts'

/** What a link tells the socket that holds one of its slots. */
export interface SlotHolder {
  /** The peer has signalled, or answered a request. */
  notified(): void
  /** The peer says that it is through with the slot. */
  ended(): void
  /** The peer is gone, and with it the link; the memory stays until the slot is freed. */
  linkDown(code: WsaCode): void
}

/** What a link needs of the provider around it. */
export interface LinkHost {
  readonly native: ShmNative
  readonly turns: Turns
  readonly limits: ShmLimits
  readonly clock: Clock
  readonly budget: ByteBudget
  /** A slot without a holder was notified: a request, or the end of one nobody took. */
  requested(link: Link, id: number): void
  /** The link can carry no further connection. */
  linkClosed(link: Link, code: WsaCode): void
  /** The acceptor says which member of its group it is, and which there are. */
  regrouped(link: Link, member: number, members: readonly number[]): void
}

type LinkState = 'opening' | 'up' | 'down' | 'released'

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
  readonly #host: LinkHost
  readonly #fd: number
  readonly #memory: LinkMemory
  readonly #holders: (SlotHolder | undefined)[] = []
  readonly #freeIds: number[] = []
  /** Acceptor: the generation of the last request seen in each slot; each is taken once, however often it is announced. */
  readonly #requests: number[] = []
  #peer: Peer
  #watcher: Watcher | undefined
  #state: LinkState = 'opening'
  #index = -1
  /** The segments 0, with the cursors and the notification rings. */
  #own: Segment | undefined
  #theirs: Segment | undefined
  #peerStatus: Int32Array<ArrayBuffer> | undefined
  #doorbell = -1
  #rungEpoch = 0
  #outgoing: OutgoingNotifications | undefined
  #incoming: IncomingNotifications | undefined
  #held = 0
  /** The other end, where it is in this very loop. */
  #twin: Link | undefined
  #cancelIdle: Cancel | undefined
  #unknownNotifications = 0
  constructor(host: LinkHost, role: Link['role'], fd: number, name: string, peer: Peer) {
    this.#host = host
    this.role = role
    this.#fd = fd
    this.name = name
    this.#peer = peer
    this.#memory = new LinkMemory(host.native, fd, host.budget, host.limits.maxBytesPerLink, () => {
      this.readChannel()
    })
  }

  /** Who is at the other end: for an opener what it was told, where a group answers. */
  get peer(): Peer {
    return this.#peer
  }

  get state(): LinkState {
    return this.#state
  }

  /** Slots in use or lingering. */
  get held(): number {
    return this.#held
  }

  get unknownNotifications(): number {
    return this.#unknownNotifications
  }

  get withinLoop(): boolean {
    return this.#twin !== undefined
  }

  /** What the opener calls the link. */
  get id(): number | undefined {
    return (this.role === 'opener' ? this.#own : this.#theirs)?.words[layout.LINK_ID]
  }

  /** The memory in which its slots and rings lie. */
  get memory(): LinkMemory {
    return this.#memory
  }

  // --- making it ----------------------------------------------------------------------------------------------------

  /**
   * Opener: offers our memory, to this `member` where a group answers. Connections may be asked for at once; the acceptor
   * finds them when it maps us.
   */
  open(member?: number): WsaCode | 0 {
    const segmentBytes = layout.LINK_SEGMENT_BYTES
    const status = this.#offer({ kind: 'open', segmentBytes, name: this.name, ...(member !== undefined && { member }) })
    if (status !== 0) return status
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.readChannel()
    })
    return 0
  }

  /** Acceptor: takes the opener's memory and offers ours. After a failure only {@link fail} is left to do. */
  welcome(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const adopted = this.#adopt(segmentBytes, fds)
    if (adopted !== 0) return adopted
    const status = this.#offer({ kind: 'welcome', segmentBytes: layout.LINK_SEGMENT_BYTES })
    if (status !== 0) return status
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.readChannel()
    })
    this.#up()
    return 0
  }

  #offer(message: LinkMessage): WsaCode | 0 {
    const { native, turns } = this.#host
    const created = this.#memory.create()
    if (!created.ok) return created.error
    const { fd, segment } = created.value
    this.#own = segment
    this.#outgoing = new OutgoingNotifications(segment.words)
    if (this.role === 'opener') segment.words[layout.LINK_ID] = Math.floor(Math.random() * 2 ** 31)
    const sent = native.send(this.#fd, encodeMessage(message), [fd, turns.poller.doorbell, turns.poller.statusFd])
    native.close(fd)
    return sent === 0 ? 0 : codeOf(sent)
  }

  /** Maps what the peer offers, after checking all of it. Closes `fds`, but the doorbell when it is good. */
  #adopt(segmentBytes: number, fds: readonly number[]): WsaCode | 0 {
    const { native } = this.#host
    const [segmentFd, doorbell, statusFd] = fds
    const complete = fds.length === 3 && segmentFd !== undefined && doorbell !== undefined && statusFd !== undefined
    if (!complete || segmentBytes !== layout.LINK_SEGMENT_BYTES || !native.isDoorbell(doorbell)) {
      closeAll(native, fds)
      return WSA.WSAEFAULT
    }
    this.#doorbell = doorbell
    const segment = this.#memory.adopt(segmentFd)
    const status = native.mapMemory(statusFd, layout.STATUS_BYTES)
    closeAll(native, [segmentFd, statusFd])
    if (typeof status !== 'number') this.#peerStatus = new Int32Array(status)
    if (typeof segment === 'number') return segment
    this.#theirs = segment
    return typeof status === 'number' ? codeOf(status) : 0
  }

  #up(): void {
    const own = this.#own
    const theirs = this.#theirs
    if (own === undefined || theirs === undefined) return
    this.#state = 'up'
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
    this.#ring()
    this.#catchUp()
  }

  // --- the channel --------------------------------------------------------------------------------------------------

  /** Takes every message that has arrived. Nothing on the channel waits for long: what is sent is there. */
  readChannel(): void {
    while (this.#state === 'opening' || this.#state === 'up') {
      const received = this.#host.native.receive(this.#fd)
      if (typeof received === 'number') {
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
      if (message.kind === 'segment' && this.#state === 'up') return this.#memory.accept(message, fds)
      if (message.kind === 'group' && this.role === 'opener' && this.#state === 'up' && fds.length === 0) {
        // Whom we entered was the head; it has the right to let another process speak for it.
        this.#peer = { ...this.#peer, pid: message.processId }
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
    if (this.#state === 'up') this.#host.native.send(this.#fd, encodeMessage({ kind: 'group', member, processId: process.pid, members }), [])
  }

  // --- notifications ------------------------------------------------------------------------------------------------

  /** Tells the peer to look at slot `id`, or that we are through with it; unless it is about to look anyway. */
  notify(id: number, kind: NotificationKind = 'signal'): void {
    if (this.#outgoing === undefined || this.#state === 'down' || this.#state === 'released') return
    const outcome = this.#outgoing.append(id, kind, this.#theirs?.words)
    if (outcome === 'pending') return
    // An honest peer cannot let the ring fill.
    if (outcome === 'full') this.#failLater()
    else if (this.#twin === undefined) this.#ring()
    else this.#host.turns.schedule(this.#twin.#dispatchJob)
  }

  #ring(): void {
    const status = this.#peerStatus
    if (status === undefined || Atomics.load(status, layout.STATUS_SLEEPING) === 0) return
    const epoch = Atomics.load(status, layout.STATUS_EPOCH)
    if (epoch === this.#rungEpoch) return
    this.#rungEpoch = epoch
    this.#host.native.ring(this.#doorbell)
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
    const holder = this.#holders[id]
    if (kind === 'signal') holder?.notified()
    else holder?.ended()
    // A holder that has just let go may have made room for a new request in the same slot.
    if (this.#holders[id] !== undefined) return true
    if (this.role === 'acceptor' && id < this.#host.limits.maxConnectionsPerLink) this.#host.requested(this, id)
    else if (id >= this.#holders.length) this.#unknownNotifications += 1
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
    const id = this.#freeIds.pop() ?? this.#holders.length
    if (id >= this.#host.limits.maxConnectionsPerLink) return failure(WSA.WSAEPROCLIM)
    const own = this.#memory.ownSlot(id)
    if (own === undefined) return failure(WSA.WSAENOBUFS)
    this.hold(id, holder)
    return success({ id, own })
  }

  hold(id: number, holder: SlotHolder): void {
    this.#holders[id] = holder
    this.#held += 1
    this.#cancelIdle?.()
    this.#cancelIdle = undefined
  }

  /** Another holder goes on with the slot. */
  pass(id: number, holder: SlotHolder): void {
    this.#holders[id] = holder
  }

  isHeld(id: number): boolean {
    return this.#holders[id] !== undefined
  }

  /** False when this request of slot `id` was seen before. */
  noteRequest(id: number, generation: number): boolean {
    if (this.#requests[id] === generation) return false
    this.#requests[id] = generation
    return true
  }

  /** The slot may be used again. */
  free(id: number): void {
    this.#holders[id] = undefined
    this.#held -= 1
    if (this.role === 'opener' && this.#state === 'up') this.#freeIds.push(id)
    if (this.#held > 0) return
    this.#releaseWhenUnheld()
    if (this.role === 'opener' && this.#state === 'up') this.#closeWhenIdle()
  }

  #closeWhenIdle(): void {
    this.#cancelIdle = this.#host.clock.after(this.#host.limits.idleLinkMs, () => {
      if (this.#held === 0) this.fail(WSA.WSA_OPERATION_ABORTED)
    })
  }

  // --- the end ------------------------------------------------------------------------------------------------------

  /** Ends the link: the peer is gone, broke the protocol, or nobody needs it any more. */
  fail(code: WsaCode): void {
    if (this.#state === 'down' || this.#state === 'released') return
    this.#state = 'down'
    this.#incoming = undefined
    this.#unwatch()
    this.#cancelIdle?.()
    this.#watcher?.close()
    this.#memory.stop()
    this.#host.native.close(this.#fd)
    this.#host.linkClosed(this, code)
    // Each socket hears of it in a turn of its own: what one of them does must not keep it from the others.
    for (const [id, holder] of this.#holders.entries()) {
      if (holder === undefined) continue
      this.#host.turns.schedule(() => {
        this.#holders[id]?.linkDown(code)
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
    if (this.#held === 0 && this.#state === 'down') this.#release()
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

  #release(): void {
    this.#state = 'released'
    const { native } = this.#host
    this.#own = undefined
    this.#theirs = undefined
    this.#outgoing = undefined
    if (this.#peerStatus !== undefined) native.unmap(this.#peerStatus.buffer)
    this.#peerStatus = undefined
    if (this.#doorbell >= 0) native.close(this.#doorbell)
    this.#memory.release()
  }
}

const EAGAIN = 11
/** Also when there was no descriptor left for one that came. */
const EMSGSIZE = 90
