import { WSA } from '../../spi/index.ts'
import type { Status, Stream, StreamState } from '../../spi/index.ts'

/** A connection that was lost on its way from process to process: what had been received can be read, then comes a reset. */
export class LostStream implements Stream {
  readonly aborted = true
  readonly unsent = 0
  readonly bytesWritten = 0
  bytesRead = 0
  state: StreamState = 'open'
  #left: Uint8Array

  constructor(received: Uint8Array) {
    this.#left = received
  }

  attach(): void {
    // Everything has happened already.
  }

  write(): number {
    return -WSA.WSAECONNRESET
  }

  shutdown(): void {
    // Nobody is there to hear of it.
  }

  get available(): number {
    return this.#left.length
  }

  read(maxBytes: number): Buffer | undefined {
    const bytes = Buffer.allocUnsafe(Math.min(maxBytes, this.#left.length))
    return this.readInto(bytes, 0, bytes.length) === 0 ? undefined : bytes
  }

  readInto(target: Uint8Array, to: number, maxBytes: number): number {
    const bytes = this.#left.subarray(0, maxBytes)
    target.set(bytes, to)
    this.#left = this.#left.subarray(bytes.length)
    this.bytesRead += bytes.length
    return bytes.length
  }

  readEnd(): 'more' | 'reset' {
    if (this.#left.length > 0) return 'more'
    if (this.state === 'open') this.state = 'reset'
    return 'reset'
  }

  setOption(): Status {
    return 0
  }

  close(): void {
    this.state = 'closed'
  }

  reset(): void {
    this.close()
  }
}
