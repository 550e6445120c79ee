import { WSA, success } from '../../src/spi/index.ts'
import type { SanSocket } from '../../src/spi/index.ts'
import { broken, instead } from './mutant.ts'
import type { Case } from './mutant.ts'

/** Ways to break each clause about connections that move to another process. */
export const duplicatingCases: readonly Case[] = [
  broken('DUP-1', 'a socket that was left is a socket without a connection', () => ({
    socket: { signal: (real) => instead(WSA.WSAEINVAL, WSA.WSAENOTCONN)(real.signal()) },
  })),
  broken('DUP-2', 'the value is for any process', () => ({
    socket: { duplicate: (real) => real.duplicate(process.pid) },
  })),
  broken('DUP-3', 'the new socket is never told', () => ({
    socket: { eventSelect: (real, event, mask) => real.eventSelect(mask === 0 ? event : null, 0) },
  })),
  broken('DUP-4', 'what the old owner wrote shows again', () => {
    const old = new Map<SanSocket, boolean>()
    return {
      socket: {
        memory(real) {
          const memory = real.memory()
          if (memory.ok && !old.has(real)) {
            old.set(real, true)
            memory.value.send.bytes.fill(7, memory.value.send.offset, memory.value.send.offset + 16)
          }
          return memory
        },
      },
    }
  }),
  broken('DUP-5', 'nobody is told', () => ({ socket: { duplicate: () => success(new Uint8Array(16)) } })),
]
