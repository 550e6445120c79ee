import type { WsaCode } from '../../spi/index.ts'

/** What a link tells whoever holds one of its slots. */
export interface SlotHolder {
  /** The peer has signalled, or answered a request. */
  notified(): void
  /** The peer says that it is through with the slot. */
  ended(): void
  /** The peer is gone, and with it the link; the memory stays until the slot is freed. */
  linkDown(code: WsaCode): void
}

/** Who holds which slot of a link. */
export class SlotTable {
  readonly #max: number
  readonly #holders: (SlotHolder | undefined)[] = []
  readonly #freeIds: number[] = []
  /** Acceptor: the generation of the last request seen in each slot; each is taken once, however often it is announced. */
  readonly #requests: number[] = []
  #held = 0

  constructor(max: number) {
    this.#max = max
  }

  /** Slots in use or lingering. */
  get held(): number {
    return this.#held
  }

  /** Opener: the number of an unused slot; {@link hold} follows. Undefined when all are in use. */
  unused(): number | undefined {
    const id = this.#freeIds.at(-1) ?? this.#holders.length
    return id < this.#max ? id : undefined
  }

  hold(id: number, holder: SlotHolder): void {
    if (this.#freeIds.at(-1) === id) this.#freeIds.pop()
    this.#holders[id] = holder
    this.#held += 1
  }

  /** Another holder goes on with the slot. */
  pass(id: number, holder: SlotHolder): void {
    this.#holders[id] = holder
  }

  /** @param reusable Opener: it may be used for another request. */
  free(id: number, reusable: boolean): void {
    this.#holders[id] = undefined
    this.#held -= 1
    if (reusable) this.#freeIds.push(id)
  }

  holder(id: number): SlotHolder | undefined {
    return this.#holders[id]
  }

  /** Numbers below it have been in use. */
  get length(): number {
    return this.#holders.length
  }

  /** Slots that somebody holds. */
  get heldIds(): number[] {
    const ids: number[] = []
    for (const [id, holder] of this.#holders.entries()) if (holder !== undefined) ids.push(id)
    return ids
  }

  /** False when this request of slot `id` was seen before. */
  noteRequest(id: number, generation: number): boolean {
    if (this.#requests[id] === generation) return false
    this.#requests[id] = generation
    return true
  }
}
