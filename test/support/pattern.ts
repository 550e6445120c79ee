import { Random } from './random.ts'

/** A prime, so that bytes displaced by a power of two, as ring buffers displace them, are never the right ones. */
const PERIOD = 1_048_573

/** The longest piece that {@link Pattern.slice} gives. */
export const MAX_PIECE_BYTES = 1 << 18

const TABLE = table()

function table(): Buffer {
  const random = new Random(0x5ca1ab1e)
  const bytes = Buffer.alloc(PERIOD + MAX_PIECE_BYTES)
  for (let at = 0; at < PERIOD; at += 1) bytes[at] = random.between(0, 255)
  bytes.copy(bytes, PERIOD, 0, MAX_PIECE_BYTES)
  return bytes
}

/** A stream of bytes in which each is known by its position, and which differs from the stream of any other key. */
export class Pattern {
  readonly #shift: number

  constructor(key: number) {
    this.#shift = (key * 7919) % PERIOD
  }

  /** The bytes from `position` on; at most {@link MAX_PIECE_BYTES}. They are shared: nobody may write to them. */
  slice(position: number, length: number): Buffer {
    const from = (this.#shift + position) % PERIOD
    return TABLE.subarray(from, from + length)
  }

  /** A copy of any length. */
  copy(position: number, length: number): Buffer {
    const pieces: Buffer[] = []
    for (let done = 0; done < length; done += MAX_PIECE_BYTES)
      pieces.push(this.slice(position + done, Math.min(MAX_PIECE_BYTES, length - done)))
    return Buffer.concat(pieces)
  }

  /** The first position at which `data`, found at `position`, is not what belongs there; undefined when all of it is. */
  damageIn(data: Buffer, position: number): number | undefined {
    for (let done = 0; done < data.length; done += MAX_PIECE_BYTES) {
      const piece = data.subarray(done, done + MAX_PIECE_BYTES)
      const wanted = this.slice(position + done, piece.length)
      if (!piece.equals(wanted)) return position + done + piece.findIndex((byte, at) => byte !== wanted[at])
    }
    return undefined
  }
}
