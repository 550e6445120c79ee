/**
 * Writes through a sender whose peer says that it reads the new ring while it has not finished the old one. The peer acts
 * from inside `signal`, which is when a real one would hear.
 */
import { parentPort } from 'node:worker_threads'
import type { MemoryRegion, RegisteredMemory, SanSocket } from '../../src/spi/index.ts'
import * as session from '../../src/switch/session/layout.ts'
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
const FIRST = Buffer.from('not read yet')

const socket = {
  registerMemory: (bytes: number) => ({ ok: true, value: { ...region(bytes), descriptor: 1 } }),
  deregisterMemory: () => 0,
  rdmaWrite: () => 0,
  signal() {
    const produced = send.words[session.PRODUCED] ?? 0
    if (produced === FIRST.length + MAX_RING_BYTES - PIECE_BYTES) lieSoon = true
    else if (lieSoon) receive.words[session.ADOPTED_GENERATION] = send.words[session.RING_GENERATION] ?? 0
    return 0
  },
} as unknown as SanSocket
let lieSoon = false

const sender = new Sender(socket, { send, receive }, MAX_RING_BYTES, PIECE_BYTES)
sender.write([FIRST], 0, 0)
const taken = sender.write([Buffer.alloc(4 * MAX_RING_BYTES)], 0, 0)
parentPort?.postMessage({ taken, broken: sender.broken })
