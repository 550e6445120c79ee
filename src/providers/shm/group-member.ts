import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import type { Watcher } from '../../native/shm.ts'
import { acceptLink } from './accept-link.ts'
import { EAGAIN, EMSGSIZE } from './errno.ts'
import type { GroupHost } from './group-head.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import type { LinkMessage } from './messages.ts'
import { closeAll } from './segments.ts'
import { identifyPeer } from './trust.ts'

export interface MemberEvents {
  /** The head lets us in. */
  admitted(): void
  /** It does not, or it is gone; the channel is closed. */
  ended(why: 'refused' | 'headGone'): void
}

/** A member of a group: takes the openers that the head gives it. */
export class GroupMember {
  readonly #host: GroupHost
  readonly #name: string
  readonly #fd: number
  readonly #names: readonly string[]
  readonly #events: MemberEvents
  #watcher: Watcher | undefined
  #place: (LinkMessage & { kind: 'group' }) | undefined

  /**
   * @param fd A channel to the head's rendezvous.
   * @param name What openers ask for.
   * @param names Under which names openers have come to us.
   */
  constructor(host: GroupHost, fd: number, name: string, names: readonly string[], events: MemberEvents) {
    this.#host = host
    this.#fd = fd
    this.#name = name
    this.#names = names
    this.#events = events
  }

  /** Asks to be let in; `at` is the rendezvous that was entered. */
  join(at: string, descriptor: number | undefined): WsaCode | 0 {
    const message = encodeMessage({ kind: 'join', name: at, ...(descriptor !== undefined && { descriptor }) })
    if (this.#host.native.send(this.#fd, message, []) !== 0) return WSA.WSAENETDOWN
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.#read()
    })
    return 0
  }

  close(): void {
    if (this.#watcher === undefined) return
    this.#watcher.close()
    this.#watcher = undefined
    this.#host.native.close(this.#fd)
  }

  #read(): void {
    while (this.#watcher !== undefined) {
      const received = this.#host.native.receive(this.#fd)
      if (received === -EAGAIN) return
      if (typeof received === 'number') {
        // EMSGSIZE: no descriptor was left for one that came; that opener stays on TCP/IP.
        if (received === -EMSGSIZE) continue
        this.#end('headGone')
        return
      }
      const message = decodeMessage(received.bytes)
      if (typeof message === 'object' && this.#take(message, received.fds)) continue
      closeAll(this.#host.native, received.fds)
      this.#end('refused')
    }
  }

  #take(message: LinkMessage, fds: readonly number[]): boolean {
    if (message.kind === 'forward' && this.#place !== undefined && fds.length === 4) {
      this.#welcome(message.segmentBytes, fds)
      return true
    }
    if (message.kind !== 'group' || fds.length > 0) return false
    const first = this.#place === undefined
    this.#place = message
    if (first) this.#events.admitted()
    for (const link of this.#host.linksAt(this.#names)) link.tellGroup(message.member, message.members)
    return true
  }

  #welcome(segmentBytes: number, [fd = -1, ...fds]: readonly number[]): void {
    const peer = identifyPeer(this.#host.native, fd)
    if (typeof peer === 'number') {
      closeAll(this.#host.native, [fd, ...fds])
      return
    }
    const link = acceptLink(this.#host, this.#name, { fd, peer, fds }, segmentBytes)
    const place = this.#place
    if (place !== undefined) link?.tellGroup(place.member, place.members)
  }

  #end(why: 'refused' | 'headGone'): void {
    this.close()
    this.#events.ended(why)
  }
}
