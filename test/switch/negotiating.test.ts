import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { MAX_CONNECT_DATA_BYTES, WSA } from '../../src/spi/index.ts'
import type { Accepted, SanSocket, Verdict } from '../../src/spi/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { encodeHello, readHello } from '../../src/switch/session/hello.ts'
import * as layout from '../../src/switch/session/layout.ts'
import { settle } from './fake-clock.ts'
import { watched } from './session-pair.ts'
import { CLIENT, HELLO, Host, LIMITS, NEGOTIATION_TIMEOUT_MS, RawPeer, SERVER } from './host.ts'

/** A hello like ours that says something else in its fields. */
function hello(change: {
  version?: number
  regionBytes?: number
  maxRingBytes?: number
  features?: number
}): Uint8Array {
  const bytes = encodeHello({
    regionBytes: change.regionBytes ?? LIMITS.regionBytes,
    maxRingBytes: change.maxRingBytes ?? LIMITS.maxMemoryBytes,
    features: change.features ?? 0,
  })
  if (change.version !== undefined) new DataView(bytes.buffer).setUint16(4, change.version, true)
  return bytes
}

/** A hello of another version may be of another length. */
const NEWER = Buffer.concat([hello({ version: layout.SESSION_VERSION + 1 }), Buffer.alloc(200)])

const MALFORMED: readonly (readonly [string, Uint8Array])[] = [
  ['empty', new Uint8Array()],
  ['short', HELLO.subarray(0, 5)],
  ['cut', HELLO.subarray(0, HELLO.length - 1)],
  ['too long', Buffer.concat([HELLO, Buffer.alloc(1)])],
  ['with another magic', Buffer.from(HELLO).fill(0, 0, 1)],
  ['with other regions', hello({ regionBytes: LIMITS.regionBytes + 64 })],
  ['as long as connect data can be', new Uint8Array(MAX_CONNECT_DATA_BYTES)],
]

describe('the initiator', () => {
  test('WSD-NEG-1 WSD-NEG-2 RACE-13 posts its receive before it says that the connection is open', async () => {
    const host = new Host()
    host.listen(SERVER)
    host.connect(SERVER)
    await settle()
    const initiator = host.journal.entries.filter(
      ({ socket, direction }) => socket === 2 && direction === 'down',
    )
    const names = initiator.map(({ name }) => name)
    assert.ok(names.includes('receive') && names.includes('signal'))
    assert.ok(names.indexOf('receive') < names.indexOf('rdmaWrite'))
    assert.ok(names.indexOf('receive') < names.indexOf('signal'))
  })

  test('WSD-NEG-3 WSD-NEG-4 WSD-NEG-11 says in at most 256 bytes what the acceptor needs to know', () => {
    assert.ok(HELLO.length <= MAX_CONNECT_DATA_BYTES)
    assert.deepEqual(readHello(HELLO, LIMITS.regionBytes), {
      regionBytes: LIMITS.regionBytes,
      maxRingBytes: LIMITS.maxMemoryBytes,
      features: 0,
    })
  })

  test('WSD-NEG-13 an acceptor of another version is left to TCP/IP: not final', async () => {
    for (const calleeData of [NEWER, hello({ version: 0 })]) {
      const { host, attempt } = await connectTo({ decision: 'CF_ACCEPT', calleeData })
      assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'version', status: 0 })
      assert.equal(host.journal.count('san.close'), 1)
    }
  })

  test('WSD-NEG-13 one that rejects our version is left to TCP/IP: not final', async () => {
    const { attempt } = await connectTo({ decision: 'CF_REJECT', error: WSA.WSAVERNOTSUPPORTED })
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'version', status: 0 })
  })

  for (const [what, calleeData] of MALFORMED) {
    test(`WSD-NEG-13 an answer ${what} is left to TCP/IP, and nothing is sent to its author`, async () => {
      const { host, attempt, accepted } = await connectTo({ decision: 'CF_ACCEPT', calleeData })
      assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-malformed', status: 0 })
      assert.equal(host.journal.count('san.rdmaWrite') + host.journal.count('san.signal'), 0)
      assert.ok(accepted !== undefined)
      assert.equal(word(accepted.socket, layout.FLAGS), 0)
    })
  }

  test('WSD-NEG-13 features nobody knows yet do no harm', async () => {
    const { attempt } = await connectTo({
      decision: 'CF_ACCEPT',
      calleeData: hello({ features: 0xffffffff }),
    })
    assert.equal(attempt.outcome.kind, 'san')
  })
})

describe('the acceptor', () => {
  test('RACE-28 that fails once it has answered resets: the initiator sees no end of a stream that nobody sent', async () => {
    const host = new Host()
    const raw = new RawPeer(host.network).listen(SERVER, () => ({ decision: 'CF_ACCEPT', calleeData: HELLO }))
    const attempt = host.connect(SERVER)
    await settle()
    raw.accepted[0]!.socket.close()
    await settle()
    assert.equal(attempt.end.hear().then, 'reset')
  })

  test('WSD-NEG-8 WSD-NEG-9 has posted its receive by the time the initiator can answer', async () => {
    const host = new Host()
    host.listen(SERVER)
    host.connect(SERVER)
    await settle()
    const posted = host.journal.entries.findIndex(({ name, socket }) => name === 'receive' && socket === 3)
    const opened = host.journal.entries.findIndex(({ name, socket }) => name === 'signal' && socket === 2)
    assert.ok(posted >= 0 && posted < opened)
  })

  test('WSD-NEG-5 WSD-NEG-7 RACE-14 may be slow to post its receive: what the initiator said waits for it', async () => {
    const host = new Host()
    const raw = new RawPeer(host.network).listen(SERVER, () => ({ decision: 'CF_ACCEPT', calleeData: HELLO }))
    const attempt = host.connect(SERVER)
    await settle()
    assert.equal(attempt.outcome.kind, 'san')
    const { socket } = raw.accepted[0]!
    const { overlapped, ends } = watched()
    assert.equal(socket.receive(overlapped), WSA.WSA_IO_PENDING)
    await settle()
    assert.deepEqual(ends, [[0, 0]])
    assert.equal(word(socket, layout.FLAGS), layout.FLAG_OPEN)
  })

  test('WSD-NEG-9 answers with a hello of its own', async () => {
    const host = new Host()
    host.listen(SERVER)
    const client = new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    assert.deepEqual(client.socket.calleeData(), HELLO)
  })

  for (const [what, callerData, status] of [
    ['of a later version', NEWER, WSA.WSAVERNOTSUPPORTED],
    ['of an earlier version', hello({ version: 0 }), WSA.WSAVERNOTSUPPORTED],
    ...MALFORMED.map(([name, bytes]) => [name, bytes, WSA.WSAEFAULT] as const),
  ] as const) {
    test(`WSD-NEG-13 refuses a hello ${what}, in a way that is not final`, async () => {
      const host = new Host()
      const listening = host.listen(SERVER)
      const client = new RawPeer(host.network).connect(SERVER, callerData)
      await settle()
      assert.equal(client.status, status)
      assert.equal(host.journal.count('san^createSocketHandle'), 1)
      assert.equal(listening.arrivals.length, 0)
    })
  }

  test('WSD-NEG-14 drops a connection that its initiator never confirms, without a word to the application', async () => {
    const { host, listening, client } = await unconfirmed()
    host.clock.advance(NEGOTIATION_TIMEOUT_MS - 1)
    assert.equal(host.journal.count('san.close'), 0)
    host.clock.advance(1)
    assert.equal(host.journal.count('san.close'), 1)
    confirm(client.socket)
    await settle()
    assert.equal(listening.arrivals.length, 0)
    assert.equal(host.switch.stats.accepts, 0)
    assert.equal(host.clock.pending, 0)
  })

  test('WSD-NEG-14 keeps one that was confirmed in time, though nobody has looked yet', async () => {
    const { host, listening, client } = await unconfirmed()
    say(client.socket)
    host.clock.advance(10 * NEGOTIATION_TIMEOUT_MS)
    assert.equal(listening.arrivals.length, 1)
    assert.equal(host.journal.count('san.close'), 0)
    client.socket.signal()
    await settle()
    assert.equal(listening.arrivals.length, 1)
  })

  test('WSD-NEG-14 drops it at once when the initiator has closed', async () => {
    const { host, listening, client } = await unconfirmed()
    client.socket.close()
    await settle()
    assert.equal(host.journal.count('san.close'), 1)
    assert.equal(listening.arrivals.length, 0)
    assert.equal(host.clock.pending, 0)
  })

  test('WSD-NEG-14 a signal that confirms nothing changes nothing', async () => {
    const { host, listening, client } = await unconfirmed()
    client.socket.signal()
    await settle()
    assert.equal(listening.arrivals.length, 0)
    assert.equal(host.journal.count('san.close'), 0)
    confirm(client.socket)
    await settle()
    assert.equal(listening.arrivals.length, 1)
  })

  test('WSD-NEG-12 RACE-15 what was sent with the confirmation is there when the application gets the connection', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    let arrivedBefore: number | undefined
    host.connect(SERVER, {
      onOutcome: ({ end }) => {
        arrivedBefore = listening.arrivals.length
        end.say('early')
        end.session.close()
      },
    })
    await settle()
    assert.equal(arrivedBefore, 0)
    assert.deepEqual(listening.ends[0]?.hear(), { text: 'early', then: 'end' })
  })

  test('WSD-NEG-10 neither side has to make room first: a full ring may be written at once', async () => {
    const host = new Host()
    const listening = host.listen(SERVER)
    const attempt = host.connect(SERVER)
    await settle()
    const block = Buffer.alloc(1024, 'x')
    for (const end of [attempt.end, listening.ends[0]!])
      assert.equal(end.session.write([block]), block.length)
    for (const end of [attempt.end, listening.ends[0]!]) assert.deepEqual(end.readAll(), block)
  })

  async function unconfirmed() {
    const host = new Host()
    const listening = host.listen(SERVER)
    const client = new RawPeer(host.network).connect(SERVER, HELLO)
    await settle()
    assert.equal(client.status, 0)
    return { host, listening, client }
  }
})

async function connectTo(verdict: Verdict) {
  const network = new LoopbackNetwork()
  const host = new Host({ network })
  const raw = new RawPeer(network).listen(SERVER, () => verdict)
  const attempt = host.connect(SERVER, { local: CLIENT })
  await settle()
  const accepted: Accepted | undefined = raw.accepted[0]
  return { host, attempt, accepted }
}

/** Says what an initiator says once the connection stands, without drawing attention to it. */
function say(socket: SanSocket): void {
  const memory = socket.memory()
  if (!memory.ok) return
  const { words, offset } = memory.value.send
  words[offset / 4 + layout.FLAGS] = layout.FLAG_OPEN
}

function confirm(socket: SanSocket): void {
  say(socket)
  socket.signal()
}

/** A word of what the peer of `socket` has said. */
function word(socket: SanSocket, index: number): number | undefined {
  const memory = socket.memory()
  assert.ok(memory.ok)
  const { words, offset } = memory.value.receive
  return words[offset / 4 + index]
}
