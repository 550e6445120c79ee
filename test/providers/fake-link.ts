import * as layout from '../../src/providers/shm/layout.ts'
import type { Link } from '../../src/providers/shm/link.ts'
import type { SlotHolder } from '../../src/providers/shm/slot-table.ts'
import { success } from '../../src/spi/index.ts'

/** More than a slot, so that a length that is believed is seen. */
const SEGMENT_BYTES = 16 * layout.SLOT_BYTES
export const GENERATION = 1

function segment() {
  const buffer = new ArrayBuffer(SEGMENT_BYTES)
  return { buffer, bytes: new Uint8Array(buffer).fill(7), words: new Int32Array(buffer) }
}

/** A link of which only slot 0 exists: our side of it, and the peer's, which the test writes. */
export function slotOf(role: Link['role']) {
  const own = { segment: segment(), byte: 0 }
  const peer = { segment: segment(), byte: 0 }
  own.segment.words.fill(0)
  const link = {
    role,
    name: 'x',
    peer: { pid: 1, uid: 0 },
    state: 'up',
    unanswered: 0,
    held: false,
    holder: undefined as SlotHolder | undefined,
    /** What was given back: memory by its number, and slots. */
    given: [] as (number | 'slot')[],
    isHeld: () => link.held,
    hold: (_: number, holder: SlotHolder) => (link.holder = holder),
    pass: (_: number, holder: SlotHolder) => (link.holder = holder),
    takeSlot(holder: SlotHolder) {
      link.holder = holder
      return success({ id: 0, own })
    },
    free() {
      link.holder = undefined
      link.given.push('slot')
    },
    notify: () => undefined,
    memory: {
      ownSlot: () => own,
      peerSlot: () => peer,
      take: (bytes: number) => success({ piece: bytes }),
      give: (piece: number) => link.given.push(piece),
    },
  }
  const peerSays = (phase: number, generation = GENERATION): void => {
    peer.segment.words[layout.SLOT_STATE] = layout.slotState(generation, phase)
  }
  const place = { link: link as unknown as Link, id: 0, generation: GENERATION }
  return {
    link,
    place,
    own: own.segment.words,
    peer: peer.segment.words,
    ownSide: own,
    peerSegment: peer.segment,
    peerSays,
  }
}
