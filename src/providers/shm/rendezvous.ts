import { WSA } from '../../spi/index.ts'
import type { Status, WsaCode } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import type { ShmNative, Watcher } from '../../native/shm.ts'
import { EADDRINUSE, EAGAIN, EMFILE, ENFILE } from './errno.ts'
import type { LinkHost } from './link-host.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import type { LinkMessage } from './messages.ts'
import { closeAll } from './segments.ts'
import { identifyPeer } from './trust.ts'
import type { Peer } from './trust.ts'

/** Accepted channels that have not said yet what they want; more are closed at once. */
const MAX_UNANSWERED = 64
/** Channels taken in one go, so that a crowd at the door does not stop the loop. */
const MAX_ACCEPTS = 16

/** Somebody who has come in and said what they want. */
export interface Visit {
  readonly fd: number
  readonly peer: Peer
  readonly message: LinkMessage & { kind: 'open' | 'join' }
  readonly fds: readonly number[]
}

/** Deals with a visit: 0 when all of it, descriptors too, has been taken; else why it is sent away. */
export type Reception = (visit: Visit) => WsaCode | 0

/** The listening end of one rendezvous name: hears what whoever comes wants, or sends them away with the reason. */
export class Rendezvous {
  readonly name: string
  readonly #host: LinkHost
  readonly #receive: Reception
  readonly #waiting = new Set<Cancel>()
  #fd = -1
  #watcher: Watcher | undefined

  constructor(host: LinkHost, name: string, receive: Reception) {
    this.#host = host
    this.name = name
    this.#receive = receive
  }

  /** `WSAEADDRNOTAVAIL` when another process holds the name. */
  open(): Status {
    const fd = this.#host.native.listen(this.name)
    if (fd < 0)
      return fd === -EADDRINUSE ? WSA.WSAEADDRNOTAVAIL : fd === -EMFILE ? WSA.WSAEMFILE : WSA.WSAENETDOWN
    this.#fd = fd
    this.#watch()
    return 0
  }

  close(): void {
    this.#watcher?.close()
    if (this.#fd >= 0) this.#host.native.close(this.#fd)
    this.#fd = -1
    for (const cancel of [...this.#waiting]) cancel()
  }

  #accept(): void {
    for (let i = 0; i < MAX_ACCEPTS && this.#fd >= 0; i++) {
      const fd = this.#host.native.accept(this.#fd)
      if (fd === -EMFILE || fd === -ENFILE) {
        this.#rest()
        return
      }
      if (fd < 0) return
      const peer = identifyPeer(this.#host.native, fd)
      if (typeof peer === 'number') reject(this.#host.native, fd, peer)
      else if (this.#waiting.size >= MAX_UNANSWERED) reject(this.#host.native, fd, WSA.WSAEPROCLIM)
      else if (!this.#greet(fd, peer)) this.#await(fd, peer)
    }
  }

  // Who is at the door stays there, and would wake us at once.
  #rest(): void {
    this.#watcher?.close()
    this.#host.clock.after(REST_MS, () => {
      if (this.#fd >= 0) this.#watch()
    })
  }

  #watch(): void {
    this.#watcher = this.#host.turns.watch(this.#fd, () => {
      this.#accept()
    })
  }

  /** Most openers have spoken before they are accepted; the others get a bounded time. */
  #await(fd: number, peer: Peer): void {
    const stop = (): void => {
      watcher.close()
      cancel()
      this.#waiting.delete(giveUp)
    }
    const giveUp = (): void => {
      stop()
      this.#host.native.close(fd)
    }
    const watcher = this.#host.turns.watch(fd, () => {
      // A channel watched twice could be read twice: this one ends before the link starts its own.
      stop()
      if (!this.#greet(fd, peer)) this.#host.native.close(fd)
    })
    const cancel = this.#host.clock.after(this.#host.limits.handshakeMs, giveUp)
    this.#waiting.add(giveUp)
  }

  /** False when the opener has not spoken yet; otherwise `fd` is dealt with. */
  #greet(fd: number, peer: Peer): boolean {
    const { native } = this.#host
    const received = native.receive(fd)
    if (received === -EAGAIN) return false
    if (typeof received === 'number') {
      native.close(fd)
      return true
    }
    const { bytes, fds } = received
    const message = decodeMessage(bytes)
    const wanted = typeof message === 'object' && (message.kind === 'open' || message.kind === 'join')
    let status: WsaCode | 0 = message === 'version' ? WSA.WSAVERNOTSUPPORTED : WSA.WSAEFAULT
    if (wanted && message.name === this.name) status = this.#receive({ fd, peer, message, fds })
    if (status === 0) return true
    closeAll(native, fds)
    reject(native, fd, status)
    return true
  }
}

/** Sends whoever is at the other end away. */
export function reject(native: ShmNative, fd: number, code: WsaCode): void {
  native.send(fd, encodeMessage({ kind: 'reject', code }), [])
  native.close(fd)
}

/** How long nobody is let in after descriptors ran out. */
const REST_MS = 100
