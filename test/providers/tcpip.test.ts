import assert from 'node:assert/strict'
import net from 'node:net'
import { after, afterEach, describe, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'

import { WSA } from '../../src/spi/index.ts'
import type { HostSocket, SocketAddress, Status, Stream, TcpipArrival } from '../../src/spi/index.ts'
import { tcpip } from '../../src/providers/tcpip/index.ts'
import { deferred, eventually, within } from '../support/waiting.ts'

const provider = tcpip()
/** What a stream reads ahead of its reader, and what it is brought in one piece at most. */
const WINDOW_BYTES = 64 << 10
/** How long anything here may take, in ms: the machine is busy, and a test that waits in vain must say so and end. */
const PATIENCE_MS = 30_000
const LOCAL: SocketAddress = { family: 'IPv4', address: '127.0.0.1', port: 0 }

/** Ends what a test that failed has left; whatever is over already does not mind. */
let leftovers: (() => void)[] = []
afterEach(() => {
  for (const end of leftovers) end()
  leftovers = []
})

// What cannot be ended so keeps the process alive, and would keep whoever waits for it waiting.
after(() => {
  setTimeout(() => {
    console.error('Cannot end: something is still open')
    process.exit(1)
  }, PATIENCE_MS).unref()
})

/** Reads, and waits for what is to be read. */
class Reader {
  readonly stream: Stream
  #told = deferred()
  #writable = deferred()

  constructor(stream: Stream) {
    this.stream = stream
    leftovers.push(() => {
      stream.reset()
    })
    stream.attach({
      readable: () => {
        this.#told.resolve(undefined)
        this.#told = deferred()
      },
      writable: () => {
        this.#writable.resolve(undefined)
        this.#writable = deferred()
      },
    })
  }

  async read(bytes: number): Promise<Buffer> {
    const target = Buffer.alloc(bytes)
    let done = 0
    while (done < bytes) {
      const told = this.#told.promise
      const length = this.stream.readInto(target, done, bytes - done)
      done += length
      if (length === 0 && this.stream.readEnd() !== 'more') break
      if (length === 0) await within(told, PATIENCE_MS, () => `byte ${done} of ${bytes}`)
    }
    return target.subarray(0, done)
  }

  async end(): Promise<'end' | 'reset'> {
    for (;;) {
      const told = this.#told.promise
      while (this.stream.read(1 << 16) !== undefined) continue
      const end = this.stream.readEnd()
      if (end !== 'more') return end
      await within(told, PATIENCE_MS, 'the end of the stream')
    }
  }

  async write(bytes: Buffer): Promise<void> {
    let done = 0
    while (done < bytes.length) {
      const room = this.#writable.promise
      const taken = this.stream.write([bytes], 0, done)
      assert.ok(taken >= 0, `write answers ${taken}`)
      done += taken
      if (done < bytes.length) await within(room, PATIENCE_MS, () => `room for byte ${done}`)
    }
  }
}

interface Listening {
  readonly socket: HostSocket
  readonly local: SocketAddress
  next(): Promise<TcpipArrival>
}

function listen(address = LOCAL): Listening {
  const arrivals: TcpipArrival[] = []
  let told = deferred()
  const socket = provider.socket(address.family, {
    connected() {
      assert.fail('a listener never connects')
    },
    arrived(arrival) {
      leftovers.push(() => {
        arrival.stream.reset()
      })
      arrivals.push(arrival)
      told.resolve(undefined)
    },
  })
  leftovers.push(() => {
    socket.close()
  })
  assert.equal(socket.bind(address), 0)
  assert.equal(socket.listen(8), 0)
  const local = socket.localAddress()
  assert.ok(local.ok)
  return {
    socket,
    local: local.value,
    async next() {
      while (arrivals.length === 0) {
        await within(told.promise, PATIENCE_MS, 'a connection to arrive')
        told = deferred()
      }
      return arrivals.shift()!
    },
  }
}

interface Connecting {
  readonly socket: HostSocket
  readonly outcome: Promise<{ status: Status; stream?: Stream }>
  /** The application has heard of the outcome. */
  isTold(): boolean
}

function connect(destination: SocketAddress, bound?: SocketAddress): Connecting {
  let isTold = false
  const outcome = deferred<{ status: Status; stream?: Stream }>()
  const socket = provider.socket(bound?.family ?? destination.family, {
    connected(status, stream) {
      isTold = true
      outcome.resolve(stream === undefined ? { status } : { status, stream })
    },
    arrived() {
      assert.fail('it does not listen')
    },
  })
  leftovers.push(() => {
    socket.close()
  })
  if (bound !== undefined) assert.equal(socket.bind(bound), 0)
  const status = socket.connect(destination)
  if (status !== 0) outcome.resolve({ status })
  return {
    socket,
    isTold: () => isTold,
    get outcome() {
      return within(outcome.promise, PATIENCE_MS, 'the connect to end')
    },
  }
}

async function pair(): Promise<readonly [Reader, Reader]> {
  const listening = listen()
  const { outcome } = connect(listening.local)
  const { stream } = await outcome
  assert.ok(stream)
  const arrival = await listening.next()
  listening.socket.close()
  return [new Reader(stream), new Reader(arrival.stream)]
}

describe('TCP/IP for applications that are no net programs', () => {
  test('a port chosen at bind is told before connect, and connect leaves from it', async () => {
    const listening = listen()
    const { socket, outcome } = connect(listening.local, { ...LOCAL, address: '0.0.0.0' })
    const local = socket.localAddress()
    assert.ok(local.ok && local.value.port !== 0)
    const reserved = socket.reserve(listening.local)
    assert.deepEqual(reserved, {
      ok: true,
      value: { family: 'IPv4', address: '127.0.0.1', port: local.value.port },
    })
    const { stream } = await outcome
    const arrival = await listening.next()
    assert.equal(arrival.remote.port, local.value.port)
    assert.deepEqual(arrival.local, listening.local)
    stream!.reset()
    arrival.stream.reset()
    listening.socket.close()
  })

  test('a port in use is refused at bind', () => {
    const listening = listen()
    const socket = provider.socket('IPv4', { connected: () => assert.fail(), arrived: () => assert.fail() })
    assert.equal(socket.bind(listening.local), WSA.WSAEADDRINUSE)
    assert.deepEqual(socket.localAddress(), { ok: false, error: WSA.WSAEINVAL })
    socket.close()
    listening.socket.close()
  })

  test('nobody listens: the connect is refused', async () => {
    const listening = listen()
    listening.socket.close()
    const { status } = await connect(listening.local).outcome
    assert.equal(status, WSA.WSAECONNREFUSED)
  })

  test('bytes arrive in order both ways, and each direction ends by itself', async () => {
    const [one, other] = await pair()
    await one.write(Buffer.from('there'))
    one.stream.shutdown()
    assert.equal(one.stream.state, 'draining')
    assert.equal((await other.read(5)).toString(), 'there')
    assert.equal(await other.end(), 'end')
    assert.equal(other.stream.state, 'halfOpen')
    await other.write(Buffer.from('back'))
    other.stream.shutdown()
    assert.equal((await one.read(4)).toString(), 'back')
    assert.equal(await one.end(), 'end')
    assert.deepEqual([one.stream.state, other.stream.state], ['finished', 'finished'])
    assert.equal(one.stream.write([Buffer.from('x')]), -WSA.WSAESHUTDOWN)
    one.stream.close()
    other.stream.close()
  })

  test('a reader that does not read holds the writer back, and loses nothing', async () => {
    const [one, other] = await pair()
    const bytes = Buffer.alloc(16 << 20, 'every byte counts, ')
    const written = one.write(bytes)
    // What the kernel and the window take is far less than what is offered.
    assert.ok(one.stream.bytesWritten < bytes.length)
    assert.ok(one.stream.unsent > 0)
    const ahead = (): boolean => other.stream.available >= WINDOW_BYTES
    await eventually(ahead, PATIENCE_MS, () => `${WINDOW_BYTES} bytes to be read ahead`)
    // Stopped there; and it is not begun again for every byte that is read.
    const seen = other.stream.readInto(Buffer.alloc(1), 0, 1)
    for (let turn = 0; turn < 50; turn++) await setImmediate()
    assert.ok(other.stream.available <= 2 * WINDOW_BYTES, `${other.stream.available} bytes are read ahead`)
    const surplus = other.stream.available - (WINDOW_BYTES - 1)
    assert.equal(other.stream.readInto(Buffer.alloc(surplus), 0, surplus), surplus)
    for (let turn = 0; turn < 50; turn++) await setImmediate()
    assert.equal(other.stream.available, WINDOW_BYTES - 1)
    const back = await other.read(bytes.length - seen - surplus)
    await written
    assert.ok(back.equals(bytes.subarray(seen + surplus)))
    one.stream.reset()
    other.stream.reset()
  })

  test('the memory of a write is the caller’s again at once', async () => {
    const [one, other] = await pair()
    const bytes = Buffer.alloc(8 << 20, 1)
    const taken = one.stream.write([bytes])
    assert.ok(taken > 0 && taken < bytes.length)
    bytes.fill(2)
    const back = await other.read(taken)
    assert.ok(back.every((byte) => byte === 1))
    one.stream.reset()
    other.stream.reset()
  })

  test('a reset is read as one, after what was sent before', async () => {
    const [one, other] = await pair()
    await one.write(Buffer.from('last words'))
    assert.equal((await other.read(10)).toString(), 'last words')
    one.stream.reset()
    assert.equal(await other.end(), 'reset')
    assert.ok(other.stream.aborted)
    assert.equal(other.stream.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
    other.stream.close()
  })

  test('a reset waits for nothing, not even for its own end of stream', async () => {
    const [one, other] = await pair()
    one.stream.shutdown()
    one.stream.reset()
    assert.equal(one.stream.state, 'closed')
    assert.match(await other.end(), /end|reset/)
    other.stream.close()
  })

  test('what a closed connection still had to send arrives', async () => {
    const [one, other] = await pair()
    const bytes = Buffer.alloc(8 << 20, 'x')
    const taken = one.stream.write([bytes])
    assert.ok(one.stream.unsent > 0)
    one.stream.close()
    assert.equal((await other.read(taken)).length, taken)
    assert.equal(await other.end(), 'end')
    other.stream.close()
  })

  test('an end of stream waits for what was written before', async () => {
    const [one, other] = await pair()
    const taken = one.stream.write([Buffer.alloc(8 << 20, 'x')])
    assert.ok(one.stream.unsent > 0)
    one.stream.shutdown()
    assert.equal((await other.read(taken)).length, taken)
    assert.equal(await other.end(), 'end')
    assert.equal(one.stream.state, 'draining')
    one.stream.close()
    other.stream.close()
  })

  test('bytes left unread make a close a reset', async () => {
    const [one, other] = await pair()
    await one.write(Buffer.from('unread'))
    await other.read(1)
    other.stream.close()
    assert.equal(await one.end(), 'reset')
    one.stream.close()
  })

  test('an IPv6 socket shows IPv4 peers as mapped addresses, and reaches them', async () => {
    const listening = listen({ family: 'IPv6', address: '::', port: 0 })
    const destination = { ...LOCAL, port: listening.local.port }
    const { socket, outcome } = connect(destination, { family: 'IPv6', address: '::', port: 0 })
    const reserved = socket.reserve(destination)
    assert.ok(reserved.ok)
    assert.equal(reserved.value.family, 'IPv4')
    const { stream } = await outcome
    const arrival = await listening.next()
    assert.equal(arrival.remote.address, '::ffff:127.0.0.1')
    stream!.reset()
    arrival.stream.reset()
    listening.socket.close()
  })

  test('speaks with node:net', async () => {
    const listening = listen()
    const client = net.connect(listening.local.port, '127.0.0.1')
    leftovers.push(() => {
      client.destroy()
    })
    const reader = new Reader((await listening.next()).stream)
    client.end('hello')
    assert.equal((await reader.read(5)).toString(), 'hello')
    assert.equal(await reader.end(), 'end')
    await reader.write(Buffer.from('bye'))
    reader.stream.shutdown()
    assert.equal(await within(text(client), PATIENCE_MS, 'all that the client gets'), 'bye')
    reader.stream.close()
    listening.socket.close()
  })

  test('a socket closed while it connects is heard of no more', async () => {
    const listening = listen()
    const attempt = connect(listening.local)
    attempt.socket.close()
    // Whether the kernel had accepted it already is its own business; a later connection proves that time has passed.
    const { stream } = await connect(listening.local).outcome
    assert.ok(stream)
    assert.equal(attempt.isTold(), false)
    stream.reset()
    listening.socket.close()
  })
})
