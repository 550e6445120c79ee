import type { Socket } from 'node:net'

const KINDS = ['request', 'accept', 'refuse', 'pend', 'register', 'forget', 'write', 'signal'] as const

/** What one side says to the other: two numbers and some bytes, whose meaning is their kind's. */
export interface Frame {
  readonly kind: (typeof KINDS)[number]
  readonly one: number
  readonly two: number
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
const HEADER_BYTES = 16
/** A peer that announces more in one frame is not one of ours. */
const MAX_DATA_BYTES = 2 << 20

/** Frames over a Unix socket: kind, two numbers and a length, 32 bits each, then as many bytes. */
export class Channel {
  /** It changes as a request becomes a connection. */
  hearer: Hearer
  readonly #socket: Socket
  #buffered: Buffer = Buffer.alloc(0)
  #open = true

  constructor(socket: Socket, hearer: (channel: Channel) => Hearer) {
    this.#socket = socket
    this.hearer = hearer(this)
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk])
      this.#read()
    })
    const gone = (): void => {
      this.#gone()
    }
    socket.on('end', gone).on('close', gone)
    // 'close' follows.
    socket.on('error', () => undefined)
  }

  send(kind: Frame['kind'], one = 0, two = 0, data: Uint8Array = NOTHING): void {
    if (!this.#open) return
    const header = Buffer.alloc(HEADER_BYTES)
    for (const [at, word] of [KINDS.indexOf(kind), one, two, data.length].entries())
      header.writeUInt32LE(word, at * 4)
    // One copy, because memory changes after the call.
    this.#socket.write(Buffer.concat([header, data]))
  }

  /** Closes after everything sent. Nothing is heard any more. */
  close(): void {
    this.#open = false
    this.#socket.end()
  }

  #read(): void {
    while (this.#open && this.#buffered.length >= HEADER_BYTES) {
      const [kind = 0, one = 0, two = 0, length = 0] = new Uint32Array(
        Uint8Array.from(this.#buffered.subarray(0, HEADER_BYTES)).buffer,
      )
      const end = HEADER_BYTES + length
      const name = length > MAX_DATA_BYTES ? undefined : KINDS[kind]
      if (name !== undefined && this.#buffered.length < end) return
      const data = this.#buffered.subarray(HEADER_BYTES, end)
      this.#buffered = this.#buffered.subarray(end)
      if (name === undefined || !this.hearer.hear({ kind: name, one, two, data })) this.#gone()
    }
  }

  #gone(): void {
    if (!this.#open) return
    this.close()
    this.hearer.lost()
  }
}
