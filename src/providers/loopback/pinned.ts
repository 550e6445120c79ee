/** A stretch of the application's memory. */
export interface Stretch {
  readonly buffer: ArrayBufferLike
  readonly from: number
  readonly to: number
}

function stretchOf(memory: Uint8Array): Stretch {
  return { buffer: memory.buffer, from: memory.byteOffset, to: memory.byteOffset + memory.byteLength }
}

/** Stretches that stay pinned although nobody has them registered. */
const CACHED_AT_MOST = 64

/**
 * The provider's cache of registrations. A real one pins pages and makes them known to its adapter, which is dear, and
 * therefore leaves it so when the application is done with a buffer it will soon use again; here pinning is a note. The key is
 * the range of memory (WSD-CACHE-3): in JavaScript that is a buffer and a place in it.
 */
export class PinnedMemory {
  /** Oldest first. */
  readonly #pinned: Stretch[] = []
  /** How often memory had to be pinned, and how often it was found pinned. */
  pins = 0
  hits = 0

  pin(memory: Uint8Array): void {
    const wanted = stretchOf(memory)
    const at = this.#pinned.findIndex((each) => isWithin(wanted, each))
    const [found] = at < 0 ? [] : this.#pinned.splice(at, 1)
    if (found === undefined) this.pins += 1
    else this.hits += 1
    this.#pinned.push(found ?? wanted)
    if (this.#pinned.length > CACHED_AT_MOST) this.#pinned.shift()
  }

  /** Forgets whatever overlaps `memory`; false when nothing did. */
  evict(memory: Uint8Array): boolean {
    const gone = stretchOf(memory)
    const before = this.#pinned.length
    for (let at = before - 1; at >= 0; at--) {
      const each = this.#pinned[at]
      if (each !== undefined && overlap(each, gone)) this.#pinned.splice(at, 1)
    }
    return this.#pinned.length < before
  }
}

function isWithin(one: Stretch, other: Stretch): boolean {
  return one.buffer === other.buffer && one.from >= other.from && one.to <= other.to
}

function overlap(one: Stretch, other: Stretch): boolean {
  return one.buffer === other.buffer && one.from < other.to && other.from < one.to
}
