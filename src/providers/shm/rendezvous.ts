import { WSA } from '../../spi/index.ts'
import type { Status } from '../../spi/index.ts'
import type { Cancel } from '../../base/clock.ts'
import type { Watcher } from '../../native/shm.ts'
import { Link } from './link.ts'
import type { LinkHost } from './link.ts'
import { decodeMessage, encodeMessage } from './messages.ts'
import { identifyPeer } from './trust.ts'
import type { Peer } from './trust.ts'

/** Accepted channels that have not said yet what they want; more are closed at once. */
const MAX_UNANSWERED = 64
/** Channels taken in one go, so that a crowd at the door does not stop the loop. */
const MAX_ACCEPTS = 16

/** The listening end of one rendezvous name: turns whoever comes into a link, or sends it away with the reason. */
export class Rendezvous {
  readonly name: string
  readonly #host: LinkHost
  readonly #onLink: (link: Link) => void
  readonly #mayLink: () => boolean
  readonly #waiting = new Set<Cancel>()
  #fd = -1
  #watcher: Watcher | undefined

  constructor(host: LinkHost, name: string, mayLink: () => boolean, onLink: (link: Link) => void) {
    this.#host = host
    this.name = name
    this.#mayLink = mayLink
    this.#onLink = onLink
  }

  /** `WSAEADDRNOTAVAIL` when another process holds the name. */
  open(): Status {
    const fd = this.#host.native.listen(this.name)
    if (fd < 0) return fd === -EADDRINUSE ? WSA.WSAEADDRNOTAVAIL : fd === -EMFILE ? WSA.WSAEMFILE : WSA.WSAENETDOWN
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
      if (typeof peer === 'number') this.#reject(fd, peer)
      else if (this.#waiting.size >= MAX_UNANSWERED) this.#reject(fd, WSA.WSAEPROCLIM)
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
    const message = decodeMessage(received.bytes)
    if (typeof message !== 'object' || message.kind !== 'open' || message.name !== this.name) {
      for (const extra of received.fds) native.close(extra)
      this.#reject(fd, message === 'version' ? WSA.WSAVERNOTSUPPORTED : WSA.WSAEFAULT)
      return true
    }
    if (!this.#mayLink()) {
      for (const extra of received.fds) native.close(extra)
      this.#reject(fd, WSA.WSAEPROCLIM)
      return true
    }
    const link = new Link(this.#host, 'acceptor', fd, this.name, peer)
    const status = link.welcome(message.segmentBytes, received.fds)
    if (status === 0) this.#onLink(link)
    else this.#reject(fd, status, link)
    return true
  }

  #reject(fd: number, code: number, link?: Link): void {
    this.#host.native.send(fd, encodeMessage({ kind: 'reject', code }), [])
    if (link === undefined) this.#host.native.close(fd)
    else link.fail(WSA.WSA_OPERATION_ABORTED)
  }
}

const EAGAIN = 11
const EADDRINUSE = 98
const ENFILE = 23
const EMFILE = 24
/** How long nobody is let in after descriptors ran out. */
const REST_MS = 100
