import { Overlapped, WSA, failure, success } from '../../src/spi/index.ts'
import type { ConnectionMemory, MemoryRegion, RegisteredMemory, SanSocket } from '../../src/spi/index.ts'
import { broken, closeForgets, instead } from './mutant.ts'
import type { Case, Mutation } from './mutant.ts'

/** Regions that are private copies: nothing that is written appears anywhere. */
function privateMemory(): Mutation {
  const copies = new Map<SanSocket, ConnectionMemory>()
  const copy = (region: MemoryRegion): MemoryRegion => {
    const bytes = region.bytes.slice()
    return { ...region, bytes, words: new Int32Array(bytes.buffer) }
  }
  return {
    socket: {
      memory(real) {
        const memory = real.memory()
        if (!memory.ok) return memory
        const { send, receive } = memory.value
        const made = copies.get(real) ?? { send: { ...send, ...copy(send) }, receive: copy(receive) }
        copies.set(real, made)
        return success(made)
      },
      rdmaWrite: () => 0,
    },
  }
}

/** Writes that begin at byte 64 appear two writes late; a signal brings all. */
function lateWrites(): Mutation {
  const late: (() => void)[] = []
  const shadows = new Map<SanSocket, RegisteredMemory>()
  return {
    socket: {
      memory(real) {
        const memory = real.memory()
        if (!memory.ok) return memory
        const { send, receive } = memory.value
        const bytes = send.bytes.slice()
        const shadow = shadows.get(real) ?? { ...send, bytes, words: new Int32Array(bytes.buffer) }
        shadows.set(real, shadow)
        return success({ send: shadow, receive })
      },
      rdmaWrite(real, { bytes }, offset, length) {
        const { send } = (real.memory() as { value: ConnectionMemory }).value
        const from = send.offset + offset
        const content = bytes.slice(from, from + length)
        const apply = (): void => {
          send.bytes.set(content, from)
        }
        if (offset !== 64) apply()
        else late.push(apply)
        if (late.length > 2) late.shift()?.()
        return 0
      },
      signal(real) {
        for (const apply of late.splice(0)) apply()
        return real.signal()
      },
    },
  }
}

function seesPeerGone(real: SanSocket): boolean {
  const memory = real.memory()
  return memory.ok && real.rdmaWrite(memory.value.send, 0, 0, null) === WSA.WSAECONNRESET
}

/** Ways to break each clause of a connection, and each test of odd arguments there. */
export const connectionCases: readonly Case[] = [
  broken('CLOSE-1', 'pending operations succeed', () => ({
    upcalls: {
      completeOverlappedRequest: (real, handle, overlapped, status) =>
        real.completeOverlappedRequest(handle, overlapped, instead(WSA.WSA_OPERATION_ABORTED, 0)(status), 0),
    },
  })),
  broken('CLOSE-2', 'closeSocketHandle comes twice', () => ({
    upcalls: {
      closeSocketHandle(real, handle) {
        real.closeSocketHandle(handle)
        return real.closeSocketHandle(handle)
      },
    },
  })),
  broken('CLOSE-2', 'closeSocketHandle comes first', ({ upcalls, handleOf }) => ({
    socket: {
      close(real) {
        const handle = handleOf(real)
        queueMicrotask(() => upcalls().closeSocketHandle(handle))
        return real.close()
      },
    },
    upcalls: { closeSocketHandle: () => 0 },
  })),
  broken('CLOSE-3', 'the end of the peer is a success', () => ({
    upcalls: {
      completeOverlappedRequest: (real, handle, overlapped, status) =>
        real.completeOverlappedRequest(handle, overlapped, instead(WSA.WSAECONNRESET, 0)(status), 0),
    },
  })),
  broken('CLOSE-3', 'the last words are wiped', () => ({
    socket: {
      close(real) {
        const memory = real.memory()
        if (memory.ok) memory.value.send.bytes.fill(0)
        return real.close()
      },
    },
  })),
  broken('CLOSE-4', 'requests are left waiting', () => closeForgets('listen')),
  broken('CLOSE-5', 'the end of the peer closes the socket', () => ({
    upcalls: {
      completeOverlappedRequest(real, handle, overlapped, status, bytes) {
        const answer = real.completeOverlappedRequest(handle, overlapped, status, bytes)
        if (status === WSA.WSAECONNRESET) real.closeSocketHandle(handle)
        return answer
      },
    },
  })),
  broken('MEM-1', 'nothing appears', privateMemory),
  broken('MEM-2', 'the regions go with the peer', () => ({
    socket: { memory: (real) => (seesPeerGone(real) ? failure(WSA.WSAENOTCONN) : real.memory()) },
  })),
  broken('MEM-3', 'a failed registration ends the connection', () => ({
    socket: {
      registerMemory(real, bytes) {
        const registered = real.registerMemory(bytes)
        if (!registered.ok) real.close()
        return registered
      },
    },
  })),
  broken('MEM-4', 'does not check the length', () => ({
    socket: { peerMemory: (real, descriptor) => real.peerMemory(descriptor, 1 << 16) },
  })),
  broken('MEM-4', 'any descriptor will do', () => ({
    socket: {
      peerMemory(real, descriptor, bytes) {
        const memory = real.peerMemory(descriptor, bytes)
        return memory.ok || bytes !== 1 << 16 ? memory : real.peerMemory(1, bytes)
      },
    },
  })),
  broken('RDMA-1', 'pends and never completes', () => ({
    socket: {
      rdmaWrite: (real, memory, offset, length, overlapped) =>
        overlapped === null ? real.rdmaWrite(memory, offset, length, null) : WSA.WSA_IO_PENDING,
    },
  })),
  broken('RDMA-1', 'is done at once and completes too', ({ upcalls, handleOf }) => ({
    socket: {
      rdmaWrite(real, memory, offset, length, overlapped) {
        const status = real.rdmaWrite(memory, offset, length, overlapped)
        const handle = handleOf(real)
        if (overlapped !== null) {
          setImmediate(() => upcalls().completeOverlappedRequest(handle, overlapped, 0, length))
        }
        return status
      },
    },
  })),
  broken('RDMA-2', 'some writes are late', lateWrites),
  broken('RDMA-3', 'writes succeed without a peer', () => ({
    socket: {
      rdmaWrite: (real, memory, offset, length, overlapped) =>
        instead(WSA.WSAECONNRESET, 0)(real.rdmaWrite(memory, offset, length, overlapped)),
    },
  })),
  broken('SIGNAL-1', 'the first signal is lost', () => {
    const signalled = new Set<SanSocket>()
    return {
      socket: {
        signal(real) {
          if (signalled.has(real)) return real.signal()
          signalled.add(real)
          return 0
        },
      },
    }
  }),
  broken('SIGNAL-1', 'a lone signal is lost', () => {
    let signals = 0
    return { socket: { signal: (real) => (++signals === 11 ? 0 : real.signal()) } }
  }),
  broken('RECV-1', 'completes twice', () => ({
    upcalls: {
      completeOverlappedRequest(real, handle, overlapped, status, bytes) {
        real.completeOverlappedRequest(handle, overlapped, status, bytes)
        return real.completeOverlappedRequest(handle, overlapped, status, bytes)
      },
    },
  })),
  broken('RECV-1', 'announces one status and stores another', () => ({
    upcalls: {
      completeOverlappedRequest(real, handle, overlapped, status, bytes) {
        overlapped.begin()
        return real.completeOverlappedRequest(handle, overlapped, status, bytes)
      },
    },
  })),
  broken('RECV-2', 'ends inside the call what it can', () => ({
    socket: {
      receive(real, overlapped) {
        const status = real.receive(overlapped)
        real.getOverlappedResult(overlapped)
        return status
      },
    },
  })),
  broken('RECV-3', 'takes two at a time', () => ({
    socket: {
      receive: (real, overlapped) => instead(WSA.WSAEALREADY, WSA.WSA_IO_PENDING)(real.receive(overlapped)),
    },
  })),
  broken('RECV-3', 'reports the end again and again', () => ({
    socket: {
      receive: (real, overlapped) => instead(WSA.WSAECONNRESET, WSA.WSA_IO_PENDING)(real.receive(overlapped)),
    },
  })),
  broken('RECV-4', 'announces a silent receive', ({ upcalls, handleOf }) => ({
    socket: {
      receive(real, overlapped) {
        const handle = handleOf(real)
        if (overlapped.silent) {
          setImmediate(() => upcalls().completeOverlappedRequest(handle, overlapped, 0, 0))
        }
        return real.receive(overlapped)
      },
    },
  })),
  broken('RECV-4', 'polling never ends it', () => ({
    socket: { getOverlappedResult: () => failure(WSA.WSA_IO_INCOMPLETE) },
  })),
  broken('UP-1', 'signal announces from inside', ({ upcalls, handleOf }) => ({
    socket: {
      signal(real) {
        upcalls().completeOverlappedRequest(handleOf(real), new Overlapped(), 0, 0)
        return real.signal()
      },
    },
  })),
  broken('UP-2', 'announces after the last upcall', () => ({
    upcalls: {
      closeSocketHandle(real, handle) {
        const status = real.closeSocketHandle(handle)
        setImmediate(() => real.completeOverlappedRequest(handle, new Overlapped(), 0, 0))
        return status
      },
    },
  })),
  broken('CLOSE: after close', 'signal thinks it was never connected', () => ({
    socket: { signal: (real) => instead(WSA.WSAENOTSOCK, WSA.WSAENOTCONN)(real.signal()) },
  })),
  broken('CLOSE: both', 'closeSocketHandle is lost', () => ({ upcalls: { closeSocketHandle: () => 0 } })),
  broken('CLOSE: a connecting', 'the socket stays', () => closeForgets('connect')),
  broken('MEM: both', 'old bytes show', () => ({
    socket: {
      memory(real) {
        const memory = real.memory()
        if (memory.ok) memory.value.send.bytes[memory.value.send.offset + 9] = 9
        return memory
      },
    },
  })),
  broken('MEM: without', 'memory has another reason', () => ({
    socket: {
      memory(real) {
        const memory = real.memory()
        return memory.ok ? memory : failure(WSA.WSAEINVAL)
      },
    },
  })),
  broken('MEM: registerMemory', 'gives some other size', () => ({
    socket: { registerMemory: (real) => real.registerMemory(4096) },
  })),
  broken('MEM: deregisterMemory', 'takes anything back', () => ({ socket: { deregisterMemory: () => 0 } })),
  broken('RDMA: refuses', 'writes anywhere', () => ({
    socket: {
      rdmaWrite: (real, memory, offset, length) =>
        instead(WSA.WSAEINVAL, 0)(real.rdmaWrite(memory, offset, length, null)),
    },
  })),
  broken('RDMA: a signal', 'the end overtakes it', () => ({ socket: { signal: () => 0 } })),
  broken('RDMA: signal', 'signals nobody', () => ({
    socket: { signal: (real) => instead(WSA.WSAECONNRESET, 0)(real.signal()) },
  })),
]
