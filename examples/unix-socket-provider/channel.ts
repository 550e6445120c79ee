import type { Socket } from 'node:net'

const KINDS = ['request', 'accept', 'refuse', 'pend', 'write', 'signal'] as const

/** What one side says to the other: a number and some bytes, whose meaning is their kind's. */
export interface Frame {
  readonly kind: (typeof KINDS)[number]
  readonly number: number
  readonly data: Uint8Array
}

/** Who hears what the other side says. */
export interface Hearer {
  /** False for what makes no sense: the channel ends. */
  hear(frame: Frame): boolean
  /** The other side is gone; nothing follows. */
  lost(): void
}

const NOTHING = new Uint8Array()
const HEADER_BYTES = 12
/** A peer that announces more in one frame is not one of ours. */
const MAX_DATA_BYTES = 1 << 16

/** Frames over a Unix socket: kind, number and length, 32 bits each, then as many bytes. */
export class Channel {
  /** It changes as a request becomes a connection. */
  hearer: Hearer | undefined
  readonly #socket: Socket
  #buffered: Buffer = Buffer.alloc(0)
  #open = true

  constructor(socket: Socket, hearer?: Hearer) {
    this.#socket = socket
    this.hearer = hearer
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk])
      this.#read()
    })
    socket.on('end', () => socket.destroy())
    socket.on('close', () => {
      this.#gone()
    })
    // 'close' follows.
    socket.on('error', () => undefined)
  }

  send(kind: Frame['kind'], number = 0, data: Uint8Array = NOTHING): void {
    if (!this.#open) return
    const header = Uint32Array.of(KINDS.indexOf(kind), number, data.length)
    // One copy, because memory changes after the call.
    this.#socket.write(Buffer.concat([new Uint8Array(header.buffer), data]))
  }

  /** Closes after everything sent. Nothing is heard any more. */
  close(): void {
    this.#open = false
    this.#socket.end()
  }

  #read(): void {
    while (this.#open && this.#buffered.length >= HEADER_BYTES) {
      const kind = KINDS[this.#buffered.readUInt32LE(0)]
      const number = this.#buffered.readUInt32LE(4)
      const end = HEADER_BYTES + this.#buffered.readUInt32LE(8)
      const isSense = kind !== undefined && end <= HEADER_BYTES + MAX_DATA_BYTES
      if (isSense && this.#buffered.length < end) return
      const data = this.#buffered.subarray(HEADER_BYTES, end)
      this.#buffered = this.#buffered.subarray(end)
      if (!isSense || this.hearer?.hear({ kind, number, data }) !== true) this.#gone()
    }
  }

  #gone(): void {
    if (!this.#open) return
    this.close()
    this.hearer?.lost()
  }
}
