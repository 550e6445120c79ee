import { WSA, failure, success } from '../../src/spi/index.ts'
import { broken, instead } from './mutant.ts'
import type { Case } from './mutant.ts'

/** Nothing waits for reads, which take their time. */
const readsLater: Case['mutation'] = ({ upcalls, handleOf }) => ({
  socket: {
    rdmaRead(real, descriptor, offset, target, overlapped) {
      if (overlapped === null) return WSA.WSAEWOULDBLOCK
      overlapped.begin()
      setTimeout(() => {
        const status = real.rdmaRead?.(descriptor, offset, target, null) ?? 0
        overlapped.end(status === WSA.WSAENOTSOCK ? WSA.WSA_OPERATION_ABORTED : status, target.length)
        upcalls().completeOverlappedRequest(handleOf(real), overlapped, status, target.length)
      }, 20)
      return WSA.WSA_IO_PENDING
    },
  },
})

/** Ways to break each clause about memory of the application. */
export const rdmaCases: readonly Case[] = [
  broken('EXPOSE-1', 'whatever is exposed can be read', () => ({
    socket: {
      registerRdmaMemory: (real, memory) =>
        real.registerRdmaMemory?.(memory, 'readWrite') ?? failure(WSA.WSAEOPNOTSUPP),
    },
  })),
  broken('EXPOSE-2', 'memory stays exposed', () => ({ socket: { deregisterRdmaMemory: () => 0 } })),
  broken('EXPOSE-3', 'nothing can be exposed', () => ({
    socket: {
      registerRdmaMemory: (real, memory, access) =>
        memory.length === 0
          ? success(1)
          : (real.registerRdmaMemory?.(memory, access) ?? failure(WSA.WSAEOPNOTSUPP)),
    },
  })),
  broken('EXPOSE-4', 'any descriptor can be deregistered', () => ({
    socket: {
      deregisterRdmaMemory(real, descriptor) {
        real.deregisterRdmaMemory?.(descriptor)
        return 0
      },
    },
  })),
  broken('READ-1', 'a read without an operation does nothing', () => ({
    socket: {
      rdmaRead: (real, descriptor, offset, target, overlapped) =>
        overlapped === null ? 0 : (real.rdmaRead?.(descriptor, offset, target, overlapped) ?? 0),
    },
  })),
  broken('READ-2', 'a read before the memory begins at it', () => ({
    socket: {
      rdmaRead: (real, descriptor, offset, target, overlapped) =>
        real.rdmaRead?.(descriptor, offset < 0 ? 0 : offset, target, overlapped) ?? 0,
    },
  })),
  broken('READ-3', 'signals overtake reads', readsLater),
  broken('READ-4', 'a read without a connection succeeds', () => ({
    socket: {
      rdmaRead: (real, descriptor, offset, target, overlapped) =>
        instead(WSA.WSAENOTCONN, 0)(real.rdmaRead?.(descriptor, offset, target, overlapped) ?? 0),
    },
  })),
  broken('READ-5', 'a read ends after the handle', readsLater),
  broken('CACHE-1', 'nothing is evicted', () => ({ provider: { evict: () => 0 } })),
]
