import { WSA, failure, success } from '../../spi/index.ts'
import type {
  AddressFamily,
  ConnectionRequest,
  Result,
  SocketAddress,
  Status,
  WsaCode,
} from '../../spi/index.ts'
import type { Attempt, ConnectionOwner } from '../../san/index.ts'
import type { Cancel } from '../../base/clock.ts'
import { ShmConnection } from './connection.ts'
import type { ConnectionHost } from './connection.ts'
import { linger } from './lingering.ts'
import type { Link } from './link.ts'
import type { SlotHolder } from './slot-table.ts'
import type { Passage } from './moving.ts'
import type { Passages } from './passages.ts'
import type { SlotRequest } from './request.ts'
import type { Routes } from './routes.ts'
import { Slot } from './slot.ts'

/** What an attempt needs of the provider around it. */
export interface AttemptHost extends ConnectionHost {
  /** Which connects go where. */
  readonly routes: Routes
  /** Where the peers of connections that move wait. */
  readonly passages: Pick<Passages, 'knock' | 'expect'>
}

/** Asks over a link for a connection, and holds the slot until there is an answer. */
abstract class Asking implements Attempt, SlotHolder {
  protected readonly host: AttemptHost
  protected readonly owner: ConnectionOwner
  protected slot: Slot | undefined
  /** Answered, or given up. */
  protected isOver = false

  constructor(host: AttemptHost, owner: ConnectionOwner) {
    this.host = host
    this.owner = owner
  }

  /** The acceptor has refused, or is gone. */
  protected abstract refused(slot: Slot, code: WsaCode): void
  abstract linkDown(code: WsaCode): void

  /** Sends the request; 0 when it is under way. */
  protected askOver(link: Link, request: SlotRequest): Status {
    if (!this.host.connections.take()) return WSA.WSAEPROCLIM
    const taken = link.takeSlot(this)
    if (!taken.ok) {
      this.host.connections.give()
      return taken.error
    }
    this.slot = Slot.request(link, taken.value.id, taken.value.own, request)
    return 0
  }

  notified(): void {
    this.#lookAtAnswer()
  }
  ended(): void {
    this.#lookAtAnswer()
  }

  #lookAtAnswer(): void {
    const { slot } = this
    const answer = slot?.answer()
    if (slot === undefined || answer === undefined) return
    slot.settle()
    if (answer.kind === 'accepted') {
      this.isOver = true
      const connection = new ShmConnection(this.host, this.owner, slot)
      slot.link.pass(slot.id, connection)
      this.owner.accepted(connection, answer.calleeData)
    } else if (answer.kind === 'judging') {
      this.owner.judging()
    } else {
      this.refused(slot, answer.code)
    }
  }

  /** The slot goes back at once: whoever refused is through with it. */
  protected giveBack(slot: Slot): void {
    this.slot = undefined
    slot.end(true)
    slot.settle()
    slot.link.free(slot.id)
    this.host.connections.give()
  }

  protected fail(code: WsaCode): void {
    this.isOver = true
    if (this.slot !== undefined) this.giveBack(this.slot)
    this.owner.refused(code)
  }

  close(): void {
    this.isOver = true
    const { slot } = this
    if (slot === undefined) return
    slot.end()
    linger(slot)
    this.host.connections.give()
  }
}

/** Members of a group that one connect asks; after that TCP/IP finds one with room. */
const MAX_TRIES = 3

/** A connect: of several listeners at the address another may have room, or still be there. */
export class Connect extends Asking {
  readonly #request: ConnectionRequest
  #tries = 0

  static begin(host: AttemptHost, owner: ConnectionOwner, request: ConnectionRequest): Result<Connect> {
    const connect = new Connect(host, owner, request)
    const status = connect.#ask()
    return status === 0 ? success(connect) : failure(status)
  }

  private constructor(host: AttemptHost, owner: ConnectionOwner, request: ConnectionRequest) {
    super(host, owner)
    this.#request = request
  }

  /** Sends the request to whoever listens there; 0 when it is under way. */
  #ask(): Status {
    this.#tries += 1
    const way = this.host.routes.linkTo(this.#request.local, (late) => {
      if (this.isOver) return
      const status = late.ok ? this.#over(late.value) : late.error
      if (status !== 0) this.fail(status)
    })
    if (way === 'later') return 0
    return way.ok ? this.#over(way.value) : way.error
  }

  #over(link: Link): Status {
    return this.askOver(link, { listener: link.name, ...this.#request })
  }

  protected refused(slot: Slot, code: WsaCode): void {
    const destination = this.#request.local
    // Nobody listens there any more: the next connect looks for the listener afresh.
    if (code === WSA.WSAETIMEDOUT) this.host.routes.forget(destination, slot.link)
    const elsewhere = code === WSA.WSAETIMEDOUT || code === WSA.WSAEPROCLIM
    let ended: Status = code
    if (elsewhere && this.#tries < MAX_TRIES && this.host.routes.hasOthers(destination)) {
      this.giveBack(slot)
      ended = this.#ask()
    }
    if (ended !== 0) this.fail(ended)
  }

  linkDown(code: WsaCode): void {
    if (this.slot !== undefined) this.refused(this.slot, code === WSA.WSAECONNRESET ? WSA.WSAETIMEDOUT : code)
  }
}

/** Takes over the connection that another process has left: finds its peer, which waits under the name on the ticket. */
export class TakeOver extends Asking {
  readonly #request: SlotRequest
  readonly #passage: Passage
  /** Links to other event loops of that process. */
  readonly #tried = new Set<Link>()
  #stopKnocking: Cancel

  constructor(host: AttemptHost, owner: ConnectionOwner, passage: Passage, family: AddressFamily) {
    super(host, owner)
    const { name, secret } = passage.ticket
    const anywhere = NOWHERE[family]
    this.#request = { listener: name, remote: anywhere, local: anywhere, callerData: secret }
    this.#passage = passage
    this.#stopKnocking = this.#knock()
  }

  #knock(): Cancel {
    return this.host.passages.knock(this.#passage, this.#tried, (opened) => {
      const status = opened.ok ? this.askOver(opened.value, this.#request) : opened.error
      if (opened.ok) this.#tried.add(opened.value)
      if (status !== 0) this.fail(status)
    })
  }

  protected refused(slot: Slot, code: WsaCode): void {
    if (code !== WSA.WSAETIMEDOUT) {
      this.fail(code)
      return
    }
    // Nobody waits under that name in this loop, or it is slow to let us in.
    this.giveBack(slot)
    this.#stopKnocking = this.#knock()
  }

  linkDown(code: WsaCode): void {
    if (this.slot !== undefined) this.refused(this.slot, code)
  }

  override close(): void {
    this.#stopKnocking()
    super.close()
  }
}

/** A connection that moves keeps its addresses; the request for it needs some. */
const NOWHERE: Readonly<Record<AddressFamily, SocketAddress>> = {
  IPv4: { family: 'IPv4', address: '127.0.0.1', port: 1 },
  IPv6: { family: 'IPv6', address: '::1', port: 1 },
}
