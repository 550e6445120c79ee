import type { Status } from '../../spi/index.ts'
import type { TcpBinding, TcpHandle } from './binding.ts'
import { statusOf } from './errnos.ts'

/** Copied and handed to the kernel at a time. */
const PIECE_BYTES = 64 << 10

/** The piece that is being filled; lent to the kernel only while a write of it is under way. */
let scratch: Uint8Array | undefined

/**
 * The sending half of a TCP/IP connection. The kernel takes what it has room for at once; of what it has not, at most one
 * piece waits here, and until it is gone nothing more is taken.
 */
export class Outlet {
  readonly #binding: TcpBinding
  readonly #handle: TcpHandle
  readonly #onDone: (status: Status) => void
  #unsent = 0
  #shutdown: 'no' | 'wanted' | 'underWay' | 'done' = 'no'

  /** @param onDone What waited is gone, or has become hopeless. */
  constructor(binding: TcpBinding, handle: TcpHandle, onDone: (status: Status) => void) {
    this.#binding = binding
    this.#handle = handle
    this.#onDone = onDone
  }

  get unsent(): number {
    return this.#unsent
  }
  /** True while the kernel is asked to end the stream; a reset has to wait for it. */
  get shuttingDown(): boolean {
    return this.#shutdown === 'underWay'
  }

  /** Bytes taken, or a negative errno. */
  write(chunks: readonly Uint8Array[], index: number, offset: number): number {
    let taken = 0
    let at = index
    let from = offset
    while (this.#unsent === 0 && at < chunks.length) {
      const piece = (scratch ??= new Uint8Array(PIECE_BYTES))
      let length = 0
      while (at < chunks.length && length < PIECE_BYTES) {
        const chunk = chunks[at] as Uint8Array
        const part = chunk.subarray(from, from + PIECE_BYTES - length)
        piece.set(part, length)
        length += part.length
        from += part.length
        if (from === chunk.length) {
          at += 1
          from = 0
        }
      }
      if (length === 0) break
      const status = this.#send(piece.subarray(0, length))
      if (status < 0) return taken > 0 ? taken : status
      taken += length
    }
    return taken
  }

  #send(bytes: Uint8Array): number {
    const request = this.#binding.newWrite()
    request.oncomplete = (status) => {
      this.#unsent = 0
      if (this.#shutdown === 'wanted') this.#end()
      this.#onDone(statusOf(status))
    }
    request.buffer = bytes
    const status = this.#handle.writeBuffer(request, bytes)
    if (status < 0) return status
    if (this.#binding.state[this.#binding.wasAsync] !== 0) {
      this.#unsent = bytes.length
      scratch = undefined
    }
    return 0
  }

  /** Ends the stream after what waits. */
  shutdown(): void {
    if (this.#shutdown !== 'no') return
    this.#shutdown = 'wanted'
    if (this.#unsent === 0) this.#end()
  }

  #end(): void {
    const request = this.#binding.newShutdown()
    request.oncomplete = () => {
      this.#shutdown = 'done'
      this.#onDone(0)
    }
    // A peer that has reset leaves nothing to end; reading tells.
    this.#shutdown = this.#handle.shutdown(request) === 0 ? 'underWay' : 'done'
  }
}
