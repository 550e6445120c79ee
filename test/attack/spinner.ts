/**
 * A hostile peer that changes a word of its memory as fast as it can for as long as it lives.
 * `spinner.js PORT FROM generation|produced|flags`: the victim's port, and the port to claim.
 */
import { say } from '../support/app-side.ts'
import * as session from '../../src/switch/session/layout.ts'
import { HOST, HostilePeer, RING_SEGMENT_BYTES, endpoint, honestRequest } from './hostile-peer.ts'

const WORDS = { generation: session.RING_GENERATION, produced: session.PRODUCED, flags: session.FLAGS }

const [port, from] = process.argv.slice(2, 4).map(Number) as [number, number]
const word = process.argv[4] as keyof typeof WORDS
const peer = await HostilePeer.open(port)
const end = await peer.connect(0, 1, honestRequest(port, { remote: endpoint(HOST, from) }))
announceRing()
say({ spinning: word })
const { memory, region } = peer.ownSlot(end.id)
const at = region / 4 + WORDS[word]
end.signal()
for (;;) {
  for (let turn = 0; turn < 1_000_000; turn += 1) Atomics.add(memory.words, at, 1)
  // The victim may have looked and found nothing wrong: make it look again.
  if (peer.consumed === peer.produced) end.signal()
}

/** A valid announcement, and bytes that lie behind it. */
function announceRing(): void {
  peer.addSegment('rings')
  end.set(session.RING_DESCRIPTOR, 1 << 16)
  end.set(session.RING_BYTES, RING_SEGMENT_BYTES)
  end.set(session.RING_START, 0)
  end.set(session.RING_GENERATION, 1)
  end.set(session.PRODUCED, 1000)
}
