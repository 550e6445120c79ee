import { WSA } from '../../spi/index.ts'
import type { Status } from '../../spi/index.ts'
import { bytesFrom } from '../../base/chunks.ts'
import type { LargeDone } from './block-sender.ts'
import type { Halves } from './halves.ts'
import * as layout from './layout.ts'
import type { Life } from './life.ts'

/** The writing side of a session: what its writes answer, and when one that was cut short may go on. */
export class Writing {
  readonly #life: Life
  readonly #halves: Halves
  /** `spent`: a write went to a peer that had closed; the next one fails, as after the reset it would provoke. */
  #writer: 'free' | 'blocked' | 'spent' = 'free'

  constructor(life: Life, halves: Halves) {
    this.#life = life
    this.#halves = halves
  }

  write(chunks: readonly Uint8Array[], index: number, offset: number): number {
    const wanted = bytesFrom(chunks, index, offset)
    return (
      this.#refusal(wanted) ?? this.#wrote(this.#halves.sender.write(chunks, index, offset, wanted), wanted)
    )
  }

  writeUrgent(bytes: Uint8Array): number {
    return this.#refusal(bytes.length) ?? this.#wrote(this.#halves.sender.writeUrgent(bytes), bytes.length)
  }

  sendLarge(bytes: Uint8Array, done: LargeDone): Status {
    const { sender, receiver } = this.#halves
    if (!this.#life.canWrite) return this.#ended()
    if (this.#life.isOver(receiver.flags)) return WSA.WSAECONNRESET
    if (this.#life.moving !== 'running') return WSA.WSAEALREADY
    const status = this.#halves.openBlocks().send(bytes, sender.produced, done)
    if (status !== 0) return status
    this.#life.bytesWritten += bytes.length
    sender.announce()
    return 0
  }

  shutdown(): void {
    if (!this.#life.canWrite) return
    this.#halves.sender.raise(layout.FLAG_END)
    this.#life.move('localEnd')
  }

  /** Whether a writer that was cut short is to try again. */
  get isWaitedFor(): boolean {
    return this.#writer === 'blocked' && this.mayGoOn
  }

  /** Whether a write would take something, or has become hopeless. */
  get mayGoOn(): boolean {
    if (this.#life.state === 'closed') return false
    const { sender, receiver } = this.#halves
    return !this.#life.canWrite || this.#life.isOver(receiver.flags) || sender.hasRoom || sender.broken
  }

  #ended(): Status {
    return this.#life.state === 'reset' ? WSA.WSAECONNRESET : WSA.WSAESHUTDOWN
  }

  /** Why nothing can be written now, or what a write to a closed peer answers. */
  #refusal(wanted: number): number | undefined {
    if (!this.#life.canWrite) return -this.#ended()
    const { flags } = this.#halves.receiver
    if (this.#life.isOver(flags)) return this.#writeToClosed(flags, wanted)
    if (this.#life.moving === 'running') return undefined
    this.#writer = 'blocked'
    return 0
  }

  #wrote(taken: number, wanted: number): number {
    if (this.#halves.sender.broken) return this.#life.violated()
    this.#writer = taken < wanted ? 'blocked' : 'free'
    this.#life.bytesWritten += taken
    return taken
  }

  // The kernel takes the first write after the peer has closed, as far as its buffer goes, and fails what comes after the
  // reset that it provokes.
  #writeToClosed(flags: number, length: number): number {
    if (this.#life.wasCut(flags)) {
      // A reset after the peer's end is a broken pipe, one out of the blue is a reset.
      return (flags & layout.FLAG_END) !== 0 ? -WSA.WSAESHUTDOWN : -WSA.WSAECONNRESET
    }
    if (this.#writer !== 'free' || length > this.#halves.sendBufferBytes) return -WSA.WSAESHUTDOWN
    this.#writer = 'spent'
    this.#life.bytesWritten += length
    return length
  }
}
