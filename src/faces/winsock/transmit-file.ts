import { Overlapped, WSA } from '../../spi/index.ts'
import type { Status } from '../../spi/index.ts'
import type { Completion } from './completion.ts'
import type { Sending } from './sending.ts'

/** A file to read from; a `FileHandle` of `node:fs/promises` is one. */
export interface FileSource {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>
}

/** What of the file is to be sent, in bytes. */
export interface Stretch {
  readonly offset: number
  readonly length: number
}

const PIECE_BYTES = 64 << 10

/** Sends a stretch of a file in pieces; the operation ends when the last was taken, or with what went wrong. */
export class TransmitFile {
  readonly overlapped: Overlapped
  readonly #sending: Sending
  readonly #completion: Completion
  readonly #file: FileSource
  readonly #stretch: Stretch
  readonly #over: (me: TransmitFile) => void
  readonly #buffer: Uint8Array
  #piece: Overlapped | undefined
  #done = 0
  #ended = false

  /** @param over Told once, when the operation ends. */
  constructor(
    sending: Sending,
    completion: Completion,
    file: FileSource,
    stretch: Stretch,
    overlapped: Overlapped,
    over: (me: TransmitFile) => void,
  ) {
    this.overlapped = overlapped
    this.#sending = sending
    this.#completion = completion
    this.#file = file
    this.#stretch = stretch
    this.#over = over
    this.#buffer = new Uint8Array(Math.min(PIECE_BYTES, Math.max(1, stretch.length)))
  }

  start(): void {
    this.overlapped.begin()
    this.#read()
  }

  #read(): void {
    const { offset, length } = this.#stretch
    if (this.#done >= length) {
      this.#end(0)
      return
    }
    const wanted = Math.min(this.#buffer.length, length - this.#done)
    this.#file.read(this.#buffer, 0, wanted, offset + this.#done).then(
      ({ bytesRead }) => {
        if (bytesRead === 0) this.#end(0)
        else if (!this.#ended) this.#send(bytesRead)
      },
      () => {
        this.#end(WSA.WSAEFAULT)
      },
    )
  }

  #send(bytes: number): void {
    const piece = new Overlapped({
      completed: (status) => {
        this.#piece = undefined
        this.#done += bytes
        if (status !== 0) this.#end(status)
        else if (!this.#ended) this.#read()
      },
    })
    this.#piece = piece
    const started = this.#sending.send([this.#buffer.subarray(0, bytes)], 0, piece)
    if (!started.ok && started.error !== WSA.WSA_IO_PENDING) this.#end(started.error)
  }

  /** Takes it back. What of it was taken is on its way. */
  cancel(): void {
    if (this.#piece !== undefined) this.#sending.cancel(this.#piece)
    this.#end(WSA.WSA_OPERATION_ABORTED)
  }

  #end(status: Status): void {
    if (this.#ended) return
    this.#ended = true
    this.#over(this)
    this.#completion.end(this.overlapped, status, status === 0 ? this.#done : 0)
  }
}
