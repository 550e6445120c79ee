import type { ConnectionMemory, ProviderLimits, RdmaLimits, SanSocket } from '../../spi/index.ts'
import { BlockSender } from './block-sender.ts'
import { FEATURE_RDMA_READ } from './hello.ts'
import type { Hello } from './hello.ts'
import * as layout from './layout.ts'
import type { PackedSession, Unread } from './packed.ts'
import { Receiver } from './receiver.ts'
import { Sender } from './sender.ts'

/** A session that its provider tells of nothing any more: its peer is gone. */
export interface Orphan {
  /** The provider ends, and takes its memory away. */
  providerEnded(): void
}

/** What a session is made from. */
export interface SessionParts {
  readonly socket: SanSocket
  readonly memory: ConnectionMemory
  readonly limits: ProviderLimits
  readonly peerHello: Hello
  readonly role: 'initiator' | 'acceptor'
  /** Where the session puts itself down once its provider tells it of nothing any more, until it closes. */
  readonly orphans?: Set<Orphan>
  /** Where both streams begin, for tests: cursors wrap at 2³², and nobody wants to send so much. 0 unless said otherwise. */
  readonly firstCursor?: number
  /** What another process has packed: the session goes on where it stood. */
  readonly resumed?: PackedSession
}

/**
 * The two halves of a session over its connection's memory, and the large blocks beside them. While the session stands still,
 * because either end moves, reads are answered out of memory of our own; then it goes on over the same memory, or new one.
 */
export class Halves {
  readonly #socket: SanSocket
  readonly #pieceBytes: number
  /** What either side may ever announce. */
  readonly #peerRingBytes: number
  readonly #ownRingBytes: number
  readonly #rdma: RdmaLimits | undefined
  readonly #onFetched: () => void
  #memory: ConnectionMemory
  #sender: Sender
  #receiver: Receiver
  /** The receiver of the connection, while another gives out what was put by. */
  #standing: Receiver | undefined
  /** Made for the first large send. */
  #blocks: BlockSender | undefined
  /** How large sends may be; undefined where our provider cannot expose memory or the peer's cannot read it. */
  readonly large: RdmaLimits | undefined
  /** What a write can take without anybody reading. */
  readonly sendBufferBytes: number

  /** @param onFetched Told when a large block that could not be read at once can be read. */
  constructor(
    { socket, memory, limits, peerHello, resumed, firstCursor = 0 }: SessionParts,
    onFetched: () => void,
  ) {
    this.#socket = socket
    this.#memory = memory
    this.#pieceBytes = limits.pieceBytes
    this.#peerRingBytes = peerHello.maxRingBytes
    this.#ownRingBytes = Math.min(limits.maxMemoryBytes, peerHello.maxRingBytes)
    this.#rdma = limits.rdma
    this.#onFetched = onFetched
    this.large = (peerHello.features & FEATURE_RDMA_READ) === 0 ? undefined : limits.rdma
    this.sendBufferBytes = Math.max(this.#ownRingBytes, limits.regionBytes)
    this.#sender = this.#senderFrom(resumed?.sent ?? firstCursor)
    this.#receiver = this.#receiverOver(memory, resumed?.received ?? firstCursor)
  }

  get sender(): Sender {
    return this.#sender
  }
  get receiver(): Receiver {
    return this.#receiver
  }
  get blocks(): BlockSender | undefined {
    return this.#blocks
  }

  /** Where large sends begin. */
  openBlocks(): BlockSender {
    return (this.#blocks ??= new BlockSender(this.#socket, this.#memory, this.large))
  }

  /** A large send of ours has not been read to its end. */
  get isExposed(): boolean {
    return this.#blocks?.pending === true
  }

  /** A large send of either side is under way. */
  get isBusy(): boolean {
    return this.isExposed || this.#receiver.hasBlock
  }

  // --- standing still -----------------------------------------------------------------------------------------------

  /** Reads are answered out of memory of our own. */
  get standsStill(): boolean {
    return this.#standing !== undefined
  }

  /** Puts by whatever is unread: the peer may have its memory back. False when it broke the protocol. */
  stand(): boolean {
    const unread = this.#receiver.takeAll()
    if (unread !== undefined) this.putBy(unread, this.#receiver.flags & ~layout.FLAG_BLOCKED)
    return unread !== undefined
  }

  /** From here on reads are answered out of memory of our own, with the peer's `flags`. */
  putBy(unread: Unread, flags: number): void {
    const { taken } = this.#receiver
    this.#standing = this.#receiver
    this.#receiver = this.#receiverOver(privateMemory(flags, taken), taken, unread)
  }

  /** The cursor of the next byte to receive. */
  get taken(): number {
    return this.#receiver.taken
  }

  /** Takes out what is left of what was put by. */
  takeAll(): Unread {
    return this.#receiver.takeAll() ?? NOTHING
  }

  /** Reading goes on where it stood. */
  goOn(): void {
    const unread = this.#receiver.takeAll()
    if (this.#standing === undefined || unread === undefined) return
    this.#standing.putBack(unread)
    this.#receiver = this.#standing
    this.#standing = undefined
  }

  /** Reading and writing go on over new memory. */
  rejoin(memory: ConnectionMemory): void {
    const unread = this.#receiver.takeAll()
    const { flags, produced } = this.#sender
    this.#memory = memory
    this.#standing = undefined
    this.#blocks = undefined
    this.#receiver = this.#receiverOver(memory, this.#receiver.taken, unread)
    this.#sender = this.#senderFrom(produced)
    this.#sender.notice(flags & STANDING_FLAGS, 0)
  }

  #senderFrom(cursor: number): Sender {
    return new Sender(this.#socket, this.#memory, this.#ownRingBytes, this.#pieceBytes, cursor)
  }

  #receiverOver(memory: ConnectionMemory, firstCursor: number, before?: Unread): Receiver {
    return new Receiver({
      socket: this.#socket,
      memory,
      maxRingBytes: this.#peerRingBytes,
      firstCursor,
      rdma: this.#rdma,
      onFetched: this.#onFetched,
      before,
    })
  }
}

/** What was said to one owner of the other end, and its next one is told again. */
const STANDING_FLAGS = layout.FLAG_OPEN | layout.FLAG_END | layout.FLAG_CLOSED | layout.FLAG_ABORT

/** A header that says what the peer's said, and nothing more. */
function privateMemory(flags: number, produced: number): ConnectionMemory {
  const region = (): ConnectionMemory['receive'] => {
    const bytes = new Uint8Array(layout.MIN_REGION_BYTES)
    return { bytes, words: new Int32Array(bytes.buffer), offset: 0, length: bytes.length }
  }
  const receive = region()
  receive.words[layout.FLAGS] = flags
  receive.words[layout.PRODUCED] = produced
  return { send: { ...region(), descriptor: 0 }, receive }
}

const NOTHING: Unread = { bytes: new Uint8Array(), inline: false }
