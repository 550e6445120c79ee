// A byte stream that both ends can compute: byte n is pattern[n % PERIOD].

/**
 * 64 times a prime. A stream of power-of-two writes (from 64 bytes) then has only 1021 different writes, which can be
 * cut in advance; and a write that is lost, repeated or swapped shows, because no power of two is a multiple of it.
 */
const PERIOD = 64 * 1021

function createPattern(length: number): Buffer {
  const pattern = Buffer.allocUnsafeSlow(length)
  let state = 0x2545f491
  for (let at = 0; at < Math.min(length, PERIOD); at += 1) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    pattern[at] = state & 0xff
  }
  for (let at = PERIOD; at < length; at *= 2) pattern.copy(pattern, at, 0, at)
  return pattern
}

/** Cuts the stream into writes of one size. */
export class PatternWriter {
  readonly #pieces: Buffer[]
  #next = 0

  constructor(writeBytes: number) {
    const pattern = createPattern(PERIOD + writeBytes)
    const count = PERIOD / greatestCommonDivisor(PERIOD, writeBytes)
    this.#pieces = Array.from({ length: count }, (_, index) => {
      const at = (index * writeBytes) % PERIOD
      return pattern.subarray(at, at + writeBytes)
    })
  }

  take(): Buffer {
    const piece = this.#pieces[this.#next]!
    this.#next = (this.#next + 1) % this.#pieces.length
    return piece
  }
}

/** Compares a stream with the pattern, whatever the pieces it arrives in: one memcmp per piece. */
export class PatternReader {
  bytes = 0
  firstWrongByte: number | null = null
  readonly #pattern = createPattern(PERIOD * 2)

  read(chunk: Uint8Array): void {
    for (let from = 0; from < chunk.length; from += PERIOD) {
      const to = Math.min(from + PERIOD, chunk.length)
      const at = (this.bytes + from) % PERIOD
      const same = this.#pattern.compare(chunk, from, to, at, at + to - from) === 0
      if (!same) this.firstWrongByte ??= this.#locate(chunk, from, to, at)
    }
    this.bytes += chunk.length
  }

  #locate(chunk: Uint8Array, from: number, to: number, at: number): number {
    let wrong = from
    while (wrong < to && chunk[wrong] === this.#pattern[at + wrong - from]) wrong += 1
    return this.bytes + wrong
  }
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}
