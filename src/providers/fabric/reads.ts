import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import { Fifo } from '../../base/fifo.ts'
import type { Fabric } from '../../native/fabric.ts'
import { resourceCode } from './errno.ts'
import * as layout from './layout.ts'
import { AGAIN } from './outbox.ts'
import type { Outbox, Outgoing } from './outbox.ts'

/** Where the peer says that its application's memory can be read. */
export interface Place {
  readonly bytes: number
  readonly address: bigint
  readonly key: bigint
}

/** The memory that the peer has exposed to one connection: its own words, bounded before they are used. */
export class PeerMemory {
  readonly #places = new Map<number, Place>()

  /** False when the peer may not say that. */
  add(descriptor: number, place: Place): boolean {
    const fits = place.bytes > 0 && place.bytes <= layout.MAX_EXPOSED_BYTES
    if (!fits || this.#places.size >= layout.MAX_EXPOSED || this.#places.has(descriptor)) return false
    this.#places.set(descriptor, place)
    return true
  }

  remove(descriptor: number): boolean {
    return this.#places.delete(descriptor)
  }

  /** `length` bytes at `offset` there; undefined where that is not wholly exposed. */
  find(descriptor: number, offset: number, length: number): Place | undefined {
    const place = this.#places.get(descriptor)
    const isInside = Number.isInteger(offset) && offset >= 0 && offset + length <= (place?.bytes ?? -1)
    if (place === undefined || !isInside) return undefined
    return { bytes: length, address: place.address + BigInt(offset), key: place.key }
  }
}

/** A read of the peer's application memory. `target` is the fabric's until `done` is called. */
export interface Read {
  readonly target: Uint8Array
  readonly from: Place
  done(status: 0 | WsaCode): void
}

/** The reads of all connections on a link; those that do not fit wait their turn. */
export class Reads implements Outgoing {
  queued = false
  readonly #fabric: Fabric
  readonly #link: number
  readonly #outbox: Outbox
  readonly #schedule: (job: () => void) => void
  readonly #waiting = new Fifo<Read>()
  /** By the fabric's numbers. */
  readonly #posted = new Map<number, Read>()
  /** Heartbeats since the last one was done. */
  #beats = 0

  constructor(fabric: Fabric, link: number, outbox: Outbox, schedule: (job: () => void) => void) {
    this.#fabric = fabric
    this.#link = link
    this.#outbox = outbox
    this.#schedule = schedule
  }

  add(read: Read): void {
    this.#waiting.push(read)
    this.#send()
  }

  #send(): void {
    this.#outbox.add(this)
    this.#outbox.flush()
  }

  /** Those that wait for one that is under way keep nobody else from posting. */
  post(): boolean {
    while (this.#posted.size < layout.READS) {
      const read = this.#waiting.peek()
      if (read === undefined) break
      const { target, from } = read
      const number = this.#fabric.read(this.#link, target, from.address, from.key)
      if (number === AGAIN) return false
      this.#waiting.shift()
      if (number >= 0) this.#posted.set(number, read)
      // Its target cannot be registered.
      else
        this.#schedule(() => {
          read.done(resourceCode(-number))
        })
    }
    return true
  }

  /** The peer's bytes are there. */
  done(number: number): void {
    const read = this.#posted.get(number)
    this.#posted.delete(number)
    this.#beats = 0
    read?.done(0)
    if (this.#waiting.length > 0) this.#send()
  }

  /** A heartbeat has passed; false when the peer gives nothing of what it has exposed, and counts as dead. */
  beat(): boolean {
    this.#beats = this.#posted.size === 0 ? 0 : this.#beats + 1
    return this.#beats <= layout.MAX_STALLED_BEATS
  }

  /** The link has ended: the fabric writes nowhere any more. */
  end(): void {
    for (const read of this.#posted.values()) this.cut(read)
    this.#posted.clear()
    for (let read = this.#waiting.shift(); read !== undefined; read = this.#waiting.shift()) this.cut(read)
  }

  /** Nobody is there to read from (READ-4). */
  cut(read: Read): void {
    this.#schedule(() => {
      read.done(WSA.WSAECONNRESET)
    })
  }
}

/** What one connection reads, and what must wait for it: its signals, and its end. */
export class ConnectionReads {
  #count = 0
  readonly #afterwards = new Set<() => void>()

  begin(): boolean {
    if (this.#count >= layout.MAX_EXPOSED) return false
    this.#count += 1
    return true
  }

  end(): void {
    this.#count -= 1
    if (this.#count > 0) return
    const afterwards = [...this.#afterwards]
    this.#afterwards.clear()
    for (const action of afterwards) action()
  }

  /** Once nothing is being read any more, which may be now. */
  after(action: () => void): void {
    if (this.#count === 0) action()
    else this.#afterwards.add(action)
  }
}
