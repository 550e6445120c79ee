/**
 * The two halves of a session against a peer that lies at the worst moment: from inside the call that tells it something,
 * where a real one would need luck. In a thread, because what is asked is whether the call returns.
 */
import { parentPort, workerData } from 'node:worker_threads'
import type { MemoryRegion, RegisteredMemory, SanSocket } from '../../src/spi/index.ts'
import * as session from '../../src/switch/session/layout.ts'
import { Receiver } from '../../src/switch/session/receiver.ts'
import { Sender } from '../../src/switch/session/sender.ts'
import { REGION_BYTES } from '../../src/providers/shm/layout.ts'

const MAX_RING_BYTES = 64 << 10
const PIECE_BYTES = 16 << 10

function region(bytes: number): MemoryRegion {
  const buffer = new ArrayBuffer(bytes)
  return { bytes: new Uint8Array(buffer), words: new Int32Array(buffer), offset: 0, length: bytes }
}

const send: RegisteredMemory = { ...region(REGION_BYTES), descriptor: 0 }
const receive = region(REGION_BYTES)

/** A socket whose peer does `onSignal` at each signal and `onAdopt` when its ring is looked up. */
function socketWith(onSignal: () => void, onAdopt: () => void): SanSocket {
  const made = (bytes: number) => ({ ok: true, value: { ...region(bytes), descriptor: 1 } })
  return {
    registerMemory: made,
    deregisterMemory: () => 0,
    peerMemory(_: number, bytes: number) {
      onAdopt()
      return made(bytes)
    },
    rdmaWrite: () => 0,
    signal() {
      onSignal()
      return 0
    },
  } as unknown as SanSocket
}

/** Writes to a peer that says it reads the new ring while it has not finished the one before. */
function writeToEarlyAdopter(): object {
  const first = Buffer.from('not read yet')
  let soon = false
  const lie = (): void => {
    const produced = send.words[session.PRODUCED] ?? 0
    if (produced === first.length + MAX_RING_BYTES - PIECE_BYTES) soon = true
    else if (soon) receive.words[session.ADOPTED_GENERATION] = send.words[session.RING_GENERATION] ?? 0
  }
  const sender = new Sender(
    socketWith(lie, () => undefined),
    { send, receive },
    MAX_RING_BYTES,
    PIECE_BYTES,
  )
  sender.write([first], 0, 0, first.length)
  const much = Buffer.alloc(4 * MAX_RING_BYTES)
  return { returned: sender.write([much], 0, 0, much.length) }
}

/** Reads from a peer that announces another ring whenever one is adopted, always with bytes behind it. */
function readFromEndlessAnnouncer(): object {
  const announce = (): void => {
    receive.words[session.RING_GENERATION] = (receive.words[session.RING_GENERATION] ?? 0) + 1
  }
  receive.words[session.RING_BYTES] = MAX_RING_BYTES
  receive.words[session.PRODUCED] = 1000
  announce()
  const receiver = new Receiver({
    socket: socketWith(() => undefined, announce),
    memory: { send, receive },
    maxRingBytes: MAX_RING_BYTES,
    firstCursor: 0,
    rdma: undefined,
    onFetched: () => undefined,
  })
  // The look-up comes after the generation is read, so that each adopted ring is old news.
  return { returned: receiver.readInto(new Uint8Array(MAX_RING_BYTES), 0, MAX_RING_BYTES) }
}

parentPort?.postMessage(workerData === 'write' ? writeToEarlyAdopter() : readFromEndlessAnnouncer())
