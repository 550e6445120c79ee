import assert from 'node:assert/strict'

import { Overlapped, WSA } from '../../src/spi/index.ts'
import type { RegisteredMemory, SanSocket, SocketAddress } from '../../src/spi/index.ts'
import { nameOf, valueOf } from '../winsock/pair.ts'
import { hear, patternOf } from './party.ts'
import type { Party, Scenarios } from './party.ts'
import { connectBare, listenBare } from './wire.ts'
import type { Wire } from './wire.ts'

const BYTES = 1 << 16

/** What a party says of its memory to the other. */
interface Offered {
  /** A further region of its sending side. */
  readonly region: number
  /** Application memory, by the access it is exposed with; undefined where the provider exposes none. */
  readonly readable: number | undefined
  readonly writable: number | undefined
}

/** Reads 16 bytes of application memory of the peer: how it ended, and whether anything moved. */
async function read(socket: SanSocket, descriptor: number, offset = 0): Promise<string> {
  const target = new Uint8Array(16).fill(0xee)
  const overlapped = new Overlapped()
  let status = socket.rdmaRead?.(descriptor, offset, target, overlapped) ?? WSA.WSAEOPNOTSUPP
  while (status === WSA.WSA_IO_PENDING) {
    await new Promise((resolve) => setImmediate(resolve))
    const result = socket.getOverlappedResult(overlapped)
    status = result.ok ? 0 : result.error === WSA.WSA_IO_INCOMPLETE ? WSA.WSA_IO_PENDING : result.error
  }
  const moved = target.some((byte) => byte !== 0xee)
  assert.equal(moved, status === 0, 'a refused read has moved something')
  return nameOf(status)
}

function socketOf({ session }: Wire): SanSocket {
  return session.socket
}

/** Registers a region and application memory at `socket`. */
function offer(socket: SanSocket): {
  readonly offered: Offered
  readonly region: RegisteredMemory
  readonly memory: Uint8Array
} {
  const region = valueOf(socket.registerMemory(BYTES))
  const memory = new Uint8Array(patternOf(0, BYTES))
  const expose = (access: 'read' | 'write'): number | undefined => {
    const exposed = socket.registerRdmaMemory?.(memory, access)
    return exposed?.ok === true ? exposed.value : undefined
  }
  const offered = { region: region.descriptor, readable: expose('read'), writable: expose('write') }
  return { offered, region, memory }
}

export const MEMORY: Scenarios = [
  {
    title:
      'D24 WSD-MEM-5 WSD-CACHE-8 the peer reaches what is registered for it, as it is registered, and nothing else',
    server: async (party) => {
      const listener = listenBare(party, party.own)
      const wires = [await listener.next(), await listener.next()] as const
      const socket = socketOf(wires[0])
      const { offered, region } = offer(socket)
      assert.equal(offered.readable !== undefined, party.carrier === 'loopback')
      await wires[0].write(Buffer.from('x'))
      party.line.tell(offered)
      assert.equal(await hear(party), 'reached')
      assert.equal(socket.deregisterMemory(region), 0)
      for (const descriptor of [offered.readable, offered.writable]) {
        if (descriptor !== undefined) assert.equal(socket.deregisterRdmaMemory?.(descriptor), 0)
      }
      await wires[0].write(Buffer.from('y'))
      party.line.tell('taken back')
      assert.equal(await hear(party), 'not reached')
    },
    client: async (party) => {
      const address = await hear<SocketAddress>(party)
      // Another computer is another peer to the server.
      const wires = [
        await connectBare(party.own, address),
        await connectBare(party.computer(), address),
      ] as const
      const [socket, other] = wires.map(socketOf) as [SanSocket, SanSocket]
      const { region, readable, writable } = await hear<Offered>(party)
      await wires[0].read(1)
      const reached = valueOf(socket.peerMemory(region, BYTES))
      assert.ok(reached.length >= BYTES)
      // Out of range, and by a peer it is not for. Shared memory checks against the segment of the link, which holds the rings
      // of all connections to this peer, is mapped read-only and was never anybody else's.
      const beyond = party.carrier === 'shm' ? 2 ** 31 : BYTES * 4
      assert.equal(nameOf(socket.peerMemory(region, beyond)), 'WSAEFAULT')
      assert.equal(nameOf(socket.peerMemory(region, -BYTES)), 'WSAEFAULT')
      assert.equal(nameOf(other.peerMemory(region, BYTES)), 'WSAEFAULT')
      if (readable !== undefined && writable !== undefined) {
        assert.equal(await read(socket, readable), 'success')
        assert.equal(await read(socket, readable, BYTES - 8), 'WSAEFAULT')
        assert.equal(await read(socket, writable), 'WSAEFAULT')
        assert.equal(await read(other, readable), 'WSAEFAULT')
      }
      party.line.tell('reached')
      assert.equal(await hear(party), 'taken back')
      await wires[0].read(1)
      // Over shared memory the bytes can be looked at as long as the link stands; they are nobody's.
      if (party.carrier === 'loopback') assert.equal(nameOf(socket.peerMemory(region, BYTES)), 'WSAEFAULT')
      if (readable !== undefined) assert.equal(await read(socket, readable), 'WSAEFAULT')
      party.line.tell('not reached')
    },
  },

  {
    title:
      'D25 WSD-CACHE-1 to -6, -8 to -10 RACE-38 memory used again is found in the cache; given away it is evicted from every provider',
    server: async (party) => {
      const wire = await listenBare(party, party.own).next()
      assert.ok((await wire.read(4 * BYTES)).equals(Buffer.concat([1, 2].map(() => patternOf(0, 2 * BYTES)))))
      await wire.write(Buffer.from('all'))
      await wire.end()
      wire.session.close()
    },
    client: async (party) => {
      await cacheAndEvict(party)
    },
  },
]

async function cacheAndEvict(party: Party): Promise<void> {
  const { own } = party
  const second = party.computer()
  own.switch.add(second.raw)
  const wire = await connectBare(own, await hear<SocketAddress>(party))
  const memory = patternOf(0, 2 * BYTES)
  for (let i = 0; i < 2; i++) {
    const status = await wire.sendLarge(memory)
    if (status !== 0) await wire.write(memory)
  }
  assert.equal(String(await wire.read(3)), 'all')
  const pinned = [own.raw, second.raw].map((raw) =>
    'pinned' in raw ? (raw.pinned as { pins: number; hits: number }) : undefined,
  )
  if (party.carrier === 'loopback') {
    assert.deepEqual([pinned[0]?.pins, pinned[0]?.hits], [1, 1])
    own.switch.evict(memory)
    assert.equal(own.raw.evict?.(memory), WSA.WSAEINVAL, 'it was still cached')
  } else {
    // Nothing of the application is registered, so nothing can be cached or found stale.
    assert.equal(own.journal.count('san.registerRdmaMemory'), 0)
    own.switch.evict(memory)
  }
  wire.session.shutdown()
  await wire.end()
  wire.session.close()
}
