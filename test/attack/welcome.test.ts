/** An acceptor that lies: the client goes on over TCP/IP, with the reason, or loses this one connection. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as layout from '../../src/providers/shm/layout.ts'
import { encodeMessage } from '../../src/providers/shm/messages.ts'
import { WSA } from '../../src/spi/index.ts'
import { encodeHello } from '../../src/switch/session/hello.ts'
import * as session from '../../src/switch/session/layout.ts'
import { closeAll } from './channel.ts'
import { HELLO, HostilePeer, HostileSession, Memory } from './hostile-peer.ts'
import { HostileServer } from './hostile-server.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

type Serve = (server: HostileServer) => Promise<() => void>

/**
 * Lets the victim connect to a server whose rendezvous does `serve`, and expects the connection to go that `way`. On a busy
 * machine the answer may come too late for the victim; then everything is done again.
 */
async function expectWay(
  serve: Serve,
  expected: { readonly way: string; readonly overTcp: number },
): Promise<void> {
  let found = await connectTo(serve)
  for (
    let tries = 1;
    tries < 10 && found.way === 'handshake-timeout' && expected.way !== found.way;
    tries += 1
  ) {
    found = await connectTo(serve)
  }
  assert.deepEqual(found, expected)
}

async function connectTo(serve: Serve): Promise<{ way: string; overTcp: number }> {
  let result = { way: '', overTcp: 0 }
  await scene.survives(async () => {
    const server = await HostileServer.listen()
    const served = serve(server)
    const { key, way } = await scene.victim.connect(server.port)
    if (way !== 'ECONNREFUSED' && way !== 'ECONNRESET') {
      if (way !== 'san') await scene.victim.echo(key)
      await scene.victim.ask('close', { key })
    }
    const clean = await served
    clean()
    result = { way, overTcp: server.overTcp }
    server.close()
  })
  return result
}

/** Answers OPEN with `bytes` and `fds`, or not at all, and stays. */
function answering(
  bytes: Uint8Array | undefined,
  fds: (peer: HostilePeer) => readonly number[] = () => [],
  ends = false,
): Serve {
  return async (server) => {
    const peer = await HostilePeer.meet(server)
    const got = await peer.channel.next()
    if (got !== 'end') closeAll(got.fds)
    if (bytes !== undefined) peer.channel.send(bytes, fds(peer))
    if (ends) peer.channel.close()
    return () => {
      peer.close()
    }
  }
}

const welcome = encodeMessage({ kind: 'welcome', segmentBytes: layout.LINK_SEGMENT_BYTES })

function altered(change: (view: DataView) => void): Uint8Array {
  const bytes = welcome.slice()
  change(new DataView(bytes.buffer))
  return bytes
}

const honest = (peer: HostilePeer): readonly number[] => peer.offer
const WELCOMES: readonly [
  what: string,
  bytes: Uint8Array | undefined,
  fds: (peer: HostilePeer) => readonly number[],
  reason: string,
][] = [
  ['nothing', undefined, () => [], 'handshake-timeout'],
  [
    'another version',
    altered((view) => {
      view.setUint16(4, 2, true)
    }),
    honest,
    'version',
  ],
  [
    'an unknown magic',
    altered((view) => {
      view.setUint32(0, 1, true)
    }),
    honest,
    'peer-malformed',
  ],
  [
    'an unknown kind',
    altered((view) => {
      view.setUint16(6, 9, true)
    }),
    honest,
    'peer-malformed',
  ],
  ['a short WELCOME', welcome.slice(0, 20), honest, 'peer-malformed'],
  ['a long WELCOME', new Uint8Array([...welcome, 0]), honest, 'peer-malformed'],
  ['a WELCOME with no memory', welcome, () => [], 'peer-malformed'],
  [
    'a WELCOME with the wrong memory',
    welcome,
    (peer) => [peer.status.fd, peer.doorbell, peer.status.fd],
    'peer-malformed',
  ],
  [
    'a WELCOME with a channel as doorbell',
    welcome,
    (p) => [p.own.fd, p.channel.fd, p.status.fd],
    'peer-malformed',
  ],
  [
    'a WELCOME of another size',
    altered((view) => {
      view.setUint32(8, 4096, true)
    }),
    honest,
    'peer-malformed',
  ],
  [
    'an OPEN',
    encodeMessage({ kind: 'open', segmentBytes: layout.LINK_SEGMENT_BYTES, name: 'x' }),
    honest,
    'peer-malformed',
  ],
  [
    'a SEGMENT',
    encodeMessage({ kind: 'segment', index: 1, use: 'rings', bytes: 1 << 20 }),
    honest,
    'peer-malformed',
  ],
  ['a REJECT with memory', encodeMessage({ kind: 'reject', code: WSA.WSAEACCES }), honest, 'peer-malformed'],
]

for (const [what, bytes, fds, reason] of WELCOMES) {
  test(`an acceptor that answers with ${what}: TCP/IP, ${reason}`, { timeout: TIMEOUT_MS }, async () => {
    await expectWay(answering(bytes, fds), { way: reason, overTcp: 1 })
  })
}

const REJECTIONS: readonly [code: number, reason: string][] = [
  [WSA.WSAEACCES, 'peer-other-user'],
  [WSA.WSAVERNOTSUPPORTED, 'version'],
  [WSA.WSAEPROCLIM, 'limit'],
  [WSA.WSAENOBUFS, 'resource'],
  [WSA.WSAEFAULT, 'peer-malformed'],
  // Final for a connect, and so not for a rendezvous to say.
  [WSA.WSAECONNREFUSED, 'provider-error'],
  [WSA.WSAECONNRESET, 'provider-error'],
  [WSA.WSAEHOSTUNREACH, 'provider-error'],
  [0, 'provider-error'],
  [1, 'provider-error'],
  [0xffffffff, 'provider-error'],
]

for (const [code, reason] of REJECTIONS) {
  test(`REJECT with code ${code}: TCP/IP, ${reason}`, { timeout: TIMEOUT_MS }, async () => {
    const reject = encodeMessage({ kind: 'reject', code })
    await expectWay(
      answering(reject, () => [], true),
      { way: reason, overTcp: 1 },
    )
  })
}

test(
  'a rendezvous that ends without a word: TCP/IP, peer-not-switched',
  { timeout: TIMEOUT_MS },
  async () => {
    await expectWay(
      answering(undefined, () => [], true),
      { way: 'peer-not-switched', overTcp: 1 },
    )
  },
)

test(
  'a rendezvous that never takes the channel: TCP/IP, handshake-timeout',
  { timeout: TIMEOUT_MS },
  async () => {
    await expectWay(() => Promise.resolve(() => undefined), { way: 'handshake-timeout', overTcp: 1 })
  },
)

/** An acceptor that shakes hands honestly and answers the first request with `answer`. */
function deciding(answer: (peer: HostilePeer) => void): Serve {
  return async (server) => {
    const peer = await HostilePeer.welcome(server)
    if (await peer.asked()) answer(peer)
    return () => {
      peer.close()
    }
  }
}

/** Says `phase` of generation 1 of the first slot, with `detail` and `data`. */
function say(
  peer: HostilePeer,
  phase: number,
  detail = 0,
  data: Uint8Array = HELLO,
  dataBytes = data.length,
): void {
  const slot = peer.ownSlot(0)
  peer.writeRawRequest(0, data, dataBytes)
  slot.memory.words[slot.word + layout.SLOT_DETAIL] = detail
  peer.setState(0, 1, phase)
  peer.notify(0)
}

const ANSWERS: readonly [what: string, answer: (peer: HostilePeer) => void, reason: string][] = [
  [
    'a refusal with an unknown code',
    (peer) => {
      say(peer, layout.PHASE_REFUSED, 77)
    },
    'provider-error',
  ],
  [
    'a refusal with code -1',
    (peer) => {
      say(peer, layout.PHASE_REFUSED, -1)
    },
    'provider-error',
  ],
  [
    'an unknown phase',
    (peer) => {
      say(peer, 7)
    },
    'handshake-timeout',
  ],
  [
    'another generation',
    (peer) => {
      peer.setState(0, 9, layout.PHASE_ACCEPTED)
      peer.notify(0)
    },
    'handshake-timeout',
  ],
  [
    'the notification of slots nobody has',
    (peer) => {
      for (const id of [1, 70, 0xffffffff]) peer.notify(id)
    },
    'handshake-timeout',
  ],
  [
    'no hello',
    (peer) => {
      say(peer, layout.PHASE_ACCEPTED, 0, new Uint8Array(0))
    },
    'peer-malformed',
  ],
  [
    'garbage for a hello',
    (peer) => {
      say(peer, layout.PHASE_ACCEPTED, 0, new Uint8Array(256).fill(255))
    },
    'peer-malformed',
  ],
  [
    'a hello of 4 GiB',
    (peer) => {
      say(peer, layout.PHASE_ACCEPTED, 0, HELLO, -1)
    },
    'peer-malformed',
  ],
  [
    'a hello of another layout',
    (peer) => {
      say(peer, layout.PHASE_ACCEPTED, 0, hello(4096))
    },
    'peer-malformed',
  ],
  [
    'a hello of another version',
    (peer) => {
      say(peer, layout.PHASE_ACCEPTED, 0, newer())
    },
    'version',
  ],
  [
    'a notification cursor out of range',
    (peer) => {
      peer.setProduced(100_000)
    },
    'peer-malformed',
  ],
]

function hello(regionBytes: number): Uint8Array {
  return encodeHello({ regionBytes, maxRingBytes: 1 << 20, features: 0 })
}

function newer(): Uint8Array {
  const bytes = HELLO.slice()
  new DataView(bytes.buffer).setUint16(4, 99, true)
  return bytes
}

for (const [what, answer, reason] of ANSWERS) {
  test(
    `an acceptor that answers a request with ${what}: TCP/IP, ${reason}`,
    { timeout: TIMEOUT_MS },
    async () => {
      await expectWay(deciding(answer), { way: reason, overTcp: 1 })
    },
  )
}

for (const [what, code] of [
  ['refused', 'ECONNREFUSED'],
  ['reset', 'ECONNRESET'],
] as const) {
  test(`${what} by who owns the TCP listener is final`, { timeout: TIMEOUT_MS }, async () => {
    const refuse = deciding((peer) => {
      say(peer, layout.PHASE_REFUSED, WSA[`WSA${code}`])
    })
    await expectWay(refuse, { way: code, overTcp: 0 })
  })
}

/** A connection of the victim to a hostile acceptor. */
async function accepted(): Promise<{ server: HostileServer; peer: HostilePeer; key: string }> {
  for (let tries = 1; ; tries += 1) {
    const server = await HostileServer.listen()
    const connecting = scene.victim.connect(server.port)
    const peer = await HostilePeer.welcome(server)
    if (await peer.asked()) say(peer, layout.PHASE_ACCEPTED)
    const { key, way } = await connecting
    if (way === 'san') return { server, peer, key }
    assert.ok(way === 'handshake-timeout' && tries < 10, way)
    await scene.victim.ask('close', { key })
    peer.close()
    server.close()
  }
}

test(
  'an acceptor that accepts and dies: the connection ends, and the next goes over TCP/IP',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { server, peer, key } = await accepted()
      peer.close()
      server.door.close()
      await scene.victim.ending(key)
      const next = await scene.victim.connect(server.port)
      assert.equal(next.way, 'peer-not-switched')
      await scene.victim.echo(next.key)
      await scene.victim.ask('close', { key: next.key })
      server.close()
    })
  },
)

test(
  'an acceptor that sends its segments out of order loses its connections',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { server, peer, key } = await accepted()
      const memory = Memory.create(1 << 20)
      peer.say({ kind: 'segment', index: 4, use: 'rings', bytes: 1 << 20 }, [memory.fd])
      await scene.victim.ending(key)
      memory.release()
      peer.close()
      server.close()
    })
  },
)

test(
  'an acceptor that never reads: what the client writes waits in bounded memory',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const before = (await scene.victim.state()).shm.bytes
      const { server, peer, key } = await accepted()
      assert.equal((await scene.victim.ask('write', { key, bytes: 64 << 20 }))['taken'], false)
      const { shm } = await scene.victim.state()
      assert.ok(shm.bytes - before <= 2 << 20, `it allocated ${shm.bytes - before} bytes of shared memory`)
      assert.ok(new HostileSession(peer, 0).flags & session.FLAG_BLOCKED)
      await scene.victim.ask('close', { key })
      peer.close()
      server.close()
    })
  },
)
