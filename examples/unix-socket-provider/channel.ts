import type { Socket } from 'node:net'

/** What one side says to the other. Numbers are 32 bits wide, little endian. */
export type Frame =
  /** The opener asks: JSON of addresses, and the caller's data. */
  | { readonly kind: 'request'; readonly head: string; readonly data: Uint8Array }
  | { readonly kind: 'accept'; readonly data: Uint8Array }
  | { readonly kind: 'refuse'; readonly code: number }
  /** The acceptor's application wants to think about it. */
  | { readonly kind: 'pend' }
  /** The sender has registered further memory. */
  | { readonly kind: 'register'; readonly descriptor: number; readonly bytes: number }
  /** It has given that back. */
  | { readonly kind: 'forget'; readonly descriptor: number }
  /** A range of the sender's memory as it is now. */
  | {
      readonly kind: 'write'
      readonly descriptor: number
      readonly offset: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'signal' }

const KINDS = ['request', 'accept', 'refuse', 'pend', 'register', 'forget', 'write', 'signal'] as const
const HEADER_BYTES = 16
/** A peer that announces more in one frame is not one of ours. */
const MAX_DATA_BYTES = 2 << 20

/** Frames over a Unix socket: kind, two numbers, a length, then as many bytes. */
export class Channel {
  readonly #socket: Socket
  #buffered: Buffer = Buffer.alloc(0)
  #gone = false

  /** @param onGone Called once when the other end is closed, or talks nonsense; after every frame before it. */
  constructor(socket: Socket, onFrame: (frame: Frame) => void, onGone: () => void) {
    this.#socket = socket
    const gone = (): void => {
      if (this.#gone) return
      this.#gone = true
      socket.end()
      onGone()
    }
    socket.on('data', (chunk: Buffer) => {
      this.#buffered = Buffer.concat([this.#buffered, chunk])
      for (let frame = this.#next(); frame !== undefined && !this.#gone; frame = this.#next()) {
        if (frame === 'nonsense') gone()
        else onFrame(frame)
      }
    })
    socket.on('end', gone).on('close', gone)
    // 'close' follows.
    socket.on('error', () => undefined)
  }

  send(frame: Frame): void {
    const header = Buffer.alloc(HEADER_BYTES)
    const data = 'data' in frame ? frame.data : new Uint8Array()
    const head = frame.kind === 'request' ? Buffer.from(frame.head) : Buffer.alloc(0)
    const [one, two] = numbersOf(frame, head.length)
    header.writeUInt32LE(KINDS.indexOf(frame.kind), 0)
    header.writeUInt32LE(one, 4)
    header.writeUInt32LE(two, 8)
    header.writeUInt32LE(head.length + data.length, 12)
    // One copy, because memory changes after the call.
    this.#socket.write(Buffer.concat([header, head, data]))
  }

  /** Closes after everything sent. Nothing is heard any more. */
  close(): void {
    this.#gone = true
    this.#socket.end()
  }

  #next(): Frame | 'nonsense' | undefined {
    if (this.#buffered.length < HEADER_BYTES) return undefined
    const [kind, one, two, length] = [0, 4, 8, 12].map((at) => this.#buffered.readUInt32LE(at)) as [
      number,
      number,
      number,
      number,
    ]
    if (length > MAX_DATA_BYTES) return 'nonsense'
    const end = HEADER_BYTES + length
    if (this.#buffered.length < end) return undefined
    const data = this.#buffered.subarray(HEADER_BYTES, end)
    this.#buffered = this.#buffered.subarray(end)
    return frameOf(KINDS[kind], one, two, data)
  }
}

function numbersOf(frame: Frame, headBytes: number): readonly [number, number] {
  switch (frame.kind) {
    case 'request':
      return [headBytes, 0]
    case 'refuse':
      return [frame.code, 0]
    case 'register':
      return [frame.descriptor, frame.bytes]
    case 'forget':
      return [frame.descriptor, 0]
    case 'write':
      return [frame.descriptor, frame.offset]
    default:
      return [0, 0]
  }
}

function frameOf(
  kind: Frame['kind'] | undefined,
  one: number,
  two: number,
  data: Buffer,
): Frame | 'nonsense' {
  switch (kind) {
    case undefined:
      return 'nonsense'
    case 'request':
      return { kind, head: data.toString('utf8', 0, one), data: data.subarray(one) }
    case 'accept':
      return { kind, data }
    case 'refuse':
      return { kind, code: one }
    case 'register':
      return { kind, descriptor: one, bytes: two }
    case 'forget':
      return { kind, descriptor: one }
    case 'write':
      return { kind, descriptor: one, offset: two, data }
    default:
      return { kind }
  }
}
