import type { SlotHolder } from './slot-table.ts'
import type { FurtherPiece } from './link-memory.ts'
import type { Slot } from './slot.ts'

/** Holds a slot after our end: it and our memory wait until the peer is through with them. */
class Lingering implements SlotHolder {
  readonly #slot: Slot
  readonly #further: readonly FurtherPiece[]

  constructor(slot: Slot, further: readonly FurtherPiece[]) {
    this.#slot = slot
    this.#further = further
  }

  notified(): void {
    // The opener may be using the slot for its next request already.
    this.#look()
  }
  ended(): void {
    this.#look()
  }
  linkDown(): void {
    this.#look()
  }

  #look(): void {
    if (this.#slot.peerIsThrough) release(this.#slot, this.#further)
  }
}

/** Gives a slot that has ended on our side back as soon as the peer is through with it, and with it what was registered. */
export function linger(slot: Slot, further: readonly FurtherPiece[] = []): void {
  if (slot.peerIsThrough) release(slot, further)
  else slot.link.pass(slot.id, new Lingering(slot, further))
}

function release(slot: Slot, further: readonly FurtherPiece[]): void {
  slot.settle()
  for (const { piece } of further) slot.link.memory.give(piece)
  slot.link.free(slot.id)
}
