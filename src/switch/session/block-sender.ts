import { WSA } from '../../spi/index.ts'
import type { ConnectionMemory, RdmaLimits, SanSocket, Status, WsaCode } from '../../spi/index.ts'
import * as layout from './layout.ts'

/** How a large send ended: 0 once the peer has read all of it. */
export type LargeDone = (status: 0 | WsaCode) => void

interface Pending {
  readonly descriptor: number
  readonly done: LargeDone
}

/**
 * Announces large blocks: memory of the application, exposed to the peer, which reads it from there. One at a time.
 *
 * @source WSD-LARGE-R1, -R2, -R5, -1E, -4E
 */
export class BlockSender {
  readonly #socket: SanSocket
  readonly #memory: ConnectionMemory
  readonly #word: number
  readonly #peerWord: number
  readonly #limits: RdmaLimits | undefined
  #number = 0
  #pending: Pending | undefined

  /** @param limits Of our provider; undefined when it cannot expose, or the peer's cannot read. */
  constructor(socket: SanSocket, memory: ConnectionMemory, limits: RdmaLimits | undefined) {
    this.#socket = socket
    this.#memory = memory
    this.#word = memory.send.offset / 4
    this.#peerWord = memory.receive.offset / 4
    this.#limits = limits
  }

  /** True while the peer has not read all of the last block. */
  get pending(): boolean {
    return this.#pending !== undefined && !this.#isTaken
  }

  get #isTaken(): boolean {
    return Atomics.load(this.#memory.receive.words, this.#peerWord + layout.BLOCK_TAKEN) === this.#number
  }

  /** Sends of more than this many bytes may go as blocks; infinitely many where none may. */
  get thresholdBytes(): number {
    return this.#limits?.thresholdBytes ?? Infinity
  }

  /**
   * Exposes `bytes` and announces them before the byte at cursor `at`. Anything but 0: nothing has happened.
   */
  send(bytes: Uint8Array, at: number, done: LargeDone): Status {
    if (bytes.length <= this.thresholdBytes) return WSA.WSAEOPNOTSUPP
    if (this.#pending !== undefined) return WSA.WSAEALREADY
    const registered = this.#socket.registerRdmaMemory?.(bytes, 'read')
    if (registered?.ok !== true) return registered?.error ?? WSA.WSAEOPNOTSUPP
    this.#pending = { descriptor: registered.value, done }
    this.#number = (this.#number + 1) | 0
    const { words } = this.#memory.send
    words[this.#word + layout.BLOCK_AT] = at
    words[this.#word + layout.BLOCK_BYTES] = bytes.length
    words[this.#word + layout.BLOCK_DESCRIPTOR] = registered.value
    Atomics.store(words, this.#word + layout.BLOCK, this.#number)
    Atomics.add(words, this.#word + layout.NEWS, 1)
    return 0
  }

  /** Ends the send when the peer has read all of it, and the memory is ours again (EXPOSE-4). */
  settle(): void {
    if (this.#pending === undefined || !this.#isTaken) return
    if (this.#takeBack() === 0) this.#end(0)
  }

  /** The connection is over: ends the send. While the peer reads there it stays exposed, until the socket closes. */
  fail(code: WsaCode): void {
    if (this.#pending === undefined) return
    this.#takeBack()
    this.#end(this.#isTaken ? 0 : code)
  }

  #takeBack(): Status {
    return this.#socket.deregisterRdmaMemory?.(this.#pending?.descriptor ?? 0) ?? 0
  }

  #end(status: 0 | WsaCode): void {
    const pending = this.#pending
    this.#pending = undefined
    pending?.done(status)
  }
}
