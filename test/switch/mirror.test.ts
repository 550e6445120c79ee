import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { WSA, failure, success } from '../../src/spi/index.ts'
import type { MemoryRegion, RegisteredMemory, Result, Status } from '../../src/spi/index.ts'
import { Session } from '../../src/switch/session/session.ts'
import { settle } from './fake-clock.ts'
import { FakeSocket, guarded } from './fake-socket.ts'
import { LIMITS, OUR_HELLO } from './host.ts'
import { End } from './session-end.ts'

/** One end of a connection between hosts: what is written here appears there by `rdmaWrite`, and by nothing else. */
class MirroredSocket extends FakeSocket {
  peer: MirroredSocket = this
  readonly #mirrors = new Map<number, MemoryRegion>()
  #isSignalled = false
  signals = 0

  constructor() {
    super(LIMITS)
    this.#mirrors.set(0, this.receiveRegion)
  }

  override registerMemory(bytes: number): Result<RegisteredMemory> {
    const registered = super.registerMemory(bytes)
    if (registered.ok) this.peer.#mirrors.set(registered.value.descriptor, guarded(bytes))
    return registered
  }

  override peerMemory(descriptor: number, bytes: number): Result<MemoryRegion> {
    const mirror = this.#mirrors.get(descriptor)
    return mirror?.length === bytes ? success(mirror) : failure(WSA.WSAEFAULT)
  }

  override rdmaWrite(memory: RegisteredMemory, offset: number, length: number): Status {
    const status = super.rdmaWrite(memory, offset, length)
    const target = this.peer.#mirrors.get(memory.descriptor)
    assert.ok(target !== undefined)
    const from = memory.offset + offset
    target.bytes.set(memory.bytes.subarray(from, from + length), target.offset + offset)
    return status
  }

  override signal(): Status {
    this.allow()
    const { peer } = this
    this.signals += 1
    peer.#isSignalled = true
    setImmediate(() => {
      if (!peer.#isSignalled) return
      peer.#isSignalled = false
      peer.complete(0)
    })
    return super.signal()
  }
}

async function mirroredPair(
  maxRingBytes: number,
): Promise<{ readonly one: End; readonly other: End; readonly otherSocket: MirroredSocket }> {
  const sockets = [new MirroredSocket(), new MirroredSocket()] as const
  sockets[0].peer = sockets[1]
  sockets[1].peer = sockets[0]
  const [one, other] = sockets.map((socket, at) => {
    const memory = { send: socket.send, receive: socket.receiveRegion }
    const role = at === 0 ? 'acceptor' : 'initiator'
    return new End(
      new Session({ socket, memory, limits: LIMITS, peerHello: { ...OUR_HELLO, maxRingBytes }, role }),
    )
  })
  await settle()
  assert.ok(one !== undefined && other !== undefined)
  assert.equal(one.session.state, 'open')
  return { one, other, otherSocket: sockets[1] }
}

describe('memory that is not shared but mirrored', () => {
  for (const maxRingBytes of [0, 1 << 20]) {
    test(`WSD-XFER-5 carries everything, in rings of up to ${Math.max(maxRingBytes, 1024)} bytes`, async () => {
      const { one, other } = await mirroredPair(maxRingBytes)
      const sent = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 31 + (i >> 9)) & 255))
      const heard: Buffer[] = []
      let offset = 0
      let left = 2000
      while (offset < sent.length && left > 0) {
        offset += one.session.write([sent.subarray(offset, offset + 700)])
        // The writer goes on when it is told, as a program would; the reader reads when it is told.
        await settle(2)
        heard.push(other.readAll())
        await settle(2)
        left -= 1
      }
      heard.push(other.readAll())
      assert.ok(Buffer.concat(heard).equals(sent), `${Buffer.concat(heard).length} of ${sent.length} bytes`)
    })
  }

  test('WSD-XFER-5 a reader that was ahead of the writer still gives it credit', async () => {
    const { one, other } = await mirroredPair(0)
    assert.equal(one.session.write([Buffer.alloc(1024)]), 1024)
    await settle()
    assert.equal(other.readAll().length, 1024)
    await settle()
    const taken = one.session.write([Buffer.alloc(10)])
    await settle()
    assert.ok(taken === 10 || one.writableCalls > 0, 'the writer waits for ever')
  })

  test('WSD-XFER-5 a waiting writer is told of room a few times for each ring, however small the reads are', async () => {
    const { one, other, otherSocket } = await mirroredPair(0)
    const before = otherSocket.signals
    assert.equal(one.session.write([Buffer.alloc(5000)]), 1024)
    await settle(2)
    for (let read = 0; read < 1024; read += 16) assert.equal(other.session.read(16)?.length, 16)
    const told = otherSocket.signals - before
    assert.ok(told >= 1 && told <= 3, `${told} signals for one ring`)
    await settle(2)
    assert.ok(one.writableCalls > 0, 'the writer waits for ever')
  })
})
