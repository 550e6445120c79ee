/** An opener that lies at the door: whatever it says, the server goes on and keeps nothing of it. */
import assert from 'node:assert/strict'
import { openSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { LINK_SEGMENT_BYTES, STATUS_BYTES } from '../../src/providers/shm/layout.ts'
import { encodeMessage } from '../../src/providers/shm/messages.ts'
import { WSA } from '../../src/spi/index.ts'
import { censusOf } from '../support/census.ts'
import { eventually, within } from '../support/waiting.ts'
import { Channel, LIMIT_MS, closeAll, native } from './channel.ts'
import { HostilePeer, Memory, doorName } from './hostile-peer.ts'
import { rejectionOf } from './rejection.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000
/** What `MAX_UNANSWERED` of the rendezvous is. */
const MAX_UNANSWERED = 64
const HANDSHAKE_MS = 1000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** Sends `bytes` with what an honest OPEN carries; tells what came back. */
async function knock(bytes: Uint8Array, changes: (peer: HostilePeer) => readonly number[] = (p) => p.offer) {
  const peer = await HostilePeer.prepare(doorName(scene.port))
  peer.channel.send(bytes, changes(peer))
  const answer = await rejectionOf(peer.channel)
  peer.close()
  return answer
}

function open(name = doorName(scene.port), segmentBytes = LINK_SEGMENT_BYTES): Uint8Array {
  return encodeMessage({ kind: 'open', segmentBytes, name })
}

/** OPEN with one of its fields overwritten. */
function altered(change: (view: DataView) => void): Uint8Array {
  const bytes = open()
  change(new DataView(bytes.buffer))
  return bytes
}

const MESSAGES: readonly [what: string, bytes: () => Uint8Array, code: number][] = [
  [
    'an unknown magic',
    () =>
      altered((view) => {
        view.setUint32(0, 0x12345678, true)
      }),
    WSA.WSAEFAULT,
  ],
  [
    'another version',
    () =>
      altered((view) => {
        view.setUint16(4, 999, true)
      }),
    WSA.WSAVERNOTSUPPORTED,
  ],
  [
    'an unknown kind',
    () =>
      altered((view) => {
        view.setUint16(6, 77, true)
      }),
    WSA.WSAEFAULT,
  ],
  ['a segment of 0 bytes', () => open(undefined, 0), WSA.WSAEFAULT],
  ['a segment of 4 GiB - 1', () => open(undefined, 0xffffffff), WSA.WSAEFAULT],
  ['the name of another listener', () => open('sockswitch/1/127.0.0.1:1'), WSA.WSAEFAULT],
  ['no name', () => open(''), WSA.WSAEFAULT],
  ['a name that is too long', () => open('n'.repeat(97)), WSA.WSAEFAULT],
  [
    'a name of broken UTF-8',
    () => {
      const bytes = open()
      bytes.fill(0xff, 24)
      return bytes
    },
    WSA.WSAEFAULT,
  ],
  ['a single byte', () => new Uint8Array(1), WSA.WSAEFAULT],
  ['half a message', () => open().slice(0, 23), WSA.WSAEFAULT],
  ['1024 zero bytes', () => new Uint8Array(1024), WSA.WSAEFAULT],
  ['WELCOME', () => encodeMessage({ kind: 'welcome', segmentBytes: LINK_SEGMENT_BYTES }), WSA.WSAEFAULT],
  ['REJECT', () => encodeMessage({ kind: 'reject', code: 0 }), WSA.WSAEFAULT],
  ['SEGMENT', () => encodeMessage({ kind: 'segment', index: 0, use: 'slots', bytes: 4096 }), WSA.WSAEFAULT],
]

for (const [what, bytes, code] of MESSAGES) {
  test(`pitfall 4: ${what} instead of OPEN is refused whole`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      assert.equal(await knock(bytes()), code)
    })
  })
}

const DESCRIPTORS: readonly [what: string, fds: (peer: HostilePeer) => readonly number[]][] = [
  ['no descriptors', () => []],
  ['one descriptor', ({ own }) => [own.fd]],
  ['two descriptors', ({ own, doorbell }) => [own.fd, doorbell]],
  ['four descriptors', ({ own, doorbell, status }) => [own.fd, doorbell, status.fd, own.fd]],
  ['descriptors in another order', ({ own, doorbell, status }) => [doorbell, own.fd, status.fd]],
  ['a doorbell that is memory', ({ own, status }) => [own.fd, status.fd, status.fd]],
  ['a doorbell that is a socket', ({ own, status, channel }) => [own.fd, channel.fd, status.fd]],
  ['a status page as large as a segment', ({ own, doorbell }) => [own.fd, doorbell, own.fd]],
  ['a segment as small as a status page', ({ doorbell, status }) => [status.fd, doorbell, status.fd]],
]

for (const [what, fds] of DESCRIPTORS) {
  test(`OPEN with ${what} is refused`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      assert.equal(await knock(open(), fds), WSA.WSAEFAULT)
    })
  })
}

test(
  'OPEN with files of other kinds for each of its descriptors is refused',
  { timeout: TIMEOUT_MS },
  async () => {
    const files = [
      openSync('/dev/null', 'r+'),
      openSync('/proc/self/stat', 'r'),
      openSync(import.meta.filename, 'r'),
    ]
    await scene.survives(async () => {
      for (const file of files) {
        assert.equal(
          await knock(open(), ({ doorbell, status }) => [file, doorbell, status.fd]),
          WSA.WSAEFAULT,
        )
        assert.equal(await knock(open(), ({ own, status }) => [own.fd, file, status.fd]), WSA.WSAEFAULT)
        assert.equal(await knock(open(), ({ own, doorbell }) => [own.fd, doorbell, file]), WSA.WSAEFAULT)
      }
    })
    closeAll(files)
  },
)

test('a pipe as doorbell, which a write could block on, is refused', { timeout: TIMEOUT_MS }, async () => {
  const pair = native.socketPair()
  assert.ok(typeof pair !== 'number')
  await scene.survives(async () => {
    assert.equal(await knock(open(), ({ own, status }) => [own.fd, pair[0], status.fd]), WSA.WSAEFAULT)
  })
  closeAll(pair)
})

test('an empty packet, with and without descriptors, ends the channel', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const empty = Channel.connect(doorName(scene.port))
    empty.send(new Uint8Array(0))
    await empty.ended()
    empty.close()
    const memory = Memory.create(STATUS_BYTES)
    assert.equal(await knock(new Uint8Array(0), () => [memory.fd, memory.fd]), WSA.WSAEFAULT)
    memory.release()
  })
})

test('messages after WELCOME that no opener may send end the link', { timeout: TIMEOUT_MS }, async () => {
  const lies: ((peer: HostilePeer) => void)[] = [
    (peer) => {
      peer.say({ kind: 'reject', code: WSA.WSAECONNREFUSED })
    },
    (peer) => {
      peer.say({ kind: 'welcome', segmentBytes: LINK_SEGMENT_BYTES }, peer.offer)
    },
    (peer) => {
      peer.channel.send(open(), peer.offer)
    },
    (peer) => {
      peer.channel.send(new Uint8Array(24))
    },
    (peer) => {
      peer.channel.send(new Uint8Array(0), peer.offer)
    },
    (peer) => {
      peer.channel.send(new Uint8Array(0))
    },
  ]
  await scene.survives(async () => {
    for (const lie of lies) {
      const peer = await HostilePeer.open(scene.port)
      lie(peer)
      await peer.channel.ended()
      peer.close()
    }
  })
})

test(
  'SEGMENT with a wrong index, size, kind or descriptor ends the link',
  { timeout: TIMEOUT_MS },
  async () => {
    const bytes = 1 << 20
    const lies: ((peer: HostilePeer, memory: Memory) => void)[] = [
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 0, use: 'rings', bytes }, [fd])
      },
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 2, use: 'rings', bytes }, [fd])
      },
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 0xffffffff, use: 'rings', bytes }, [fd])
      },
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 1, use: 'rings', bytes: bytes * 2 }, [fd])
      },
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 1, use: 'slots', bytes }, [fd])
      },
      (peer, { fd }) => {
        peer.say({ kind: 'segment', index: 1, use: 'rings', bytes }, [fd, fd])
      },
      (peer) => {
        peer.say({ kind: 'segment', index: 1, use: 'rings', bytes })
      },
      (peer) => {
        peer.say({ kind: 'segment', index: 1, use: 'rings', bytes }, [peer.status.fd])
      },
      (peer) => {
        peer.say({ kind: 'segment', index: 1, use: 'rings', bytes }, [peer.doorbell])
      },
      (peer, { fd }) => {
        const message = encodeMessage({ kind: 'segment', index: 1, use: 'rings', bytes })
        new DataView(message.buffer).setUint32(16, 9, true)
        peer.channel.send(message, [fd])
      },
    ]
    const memory = Memory.create(bytes)
    await scene.survives(async () => {
      for (const lie of lies) {
        const peer = await HostilePeer.open(scene.port)
        lie(peer, memory)
        await peer.channel.ended()
        peer.close()
      }
    })
    memory.release()
  },
)

test(
  'segments beyond the bytes of a link end it, and their memory goes',
  { timeout: TIMEOUT_MS },
  async () => {
    const memory = Memory.create(1 << 20)
    await scene.survives(async () => {
      const peer = await HostilePeer.open(scene.port)
      const over = peer.channel.ended()
      for (let index = 1; index <= 256; index += 1) {
        // One memory, named again and again: it is the mappings that are counted.
        const message = encodeMessage({ kind: 'segment', index, use: 'rings', bytes: 1 << 20 })
        if (native.send(peer.channel.fd, message, [memory.fd]) !== 0) await new Promise(setImmediate)
      }
      await within(over, LIMIT_MS, 'the end of the link')
      peer.close()
    })
    memory.release()
  },
)

test('requirement: silent channels are bounded in number and time', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const asked = performance.now()
    const silent = Array.from({ length: MAX_UNANSWERED }, () => Channel.connect(doorName(scene.port)))
    const surplus = Channel.connect(doorName(scene.port))
    assert.equal(await rejectionOf(surplus), WSA.WSAEPROCLIM)
    surplus.close()
    await Promise.all(silent.map((channel) => channel.ended()))
    const took = performance.now() - asked
    assert.ok(took >= HANDSHAKE_MS * 0.9, `they were not given their time, but ${took} ms`)
    for (const channel of silent) channel.close()
  })
})

test('a channel that ends without a word is forgotten', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    for (let knocked = 0; knocked < 200;) {
      const fd = native.connect(doorName(scene.port))
      if (fd < 0) await new Promise(setImmediate)
      else knocked += 1
      if (fd >= 0) native.close(fd)
    }
  })
})

test('a peer that ends right after OPEN leaves nothing', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    for (let i = 0; i < 20; i += 1) {
      const peer = await HostilePeer.prepare(doorName(scene.port))
      peer.channel.send(open(), peer.offer)
      peer.close()
    }
  })
})

test('pitfall 11: descriptors of a refused OPEN are closed at once', { timeout: TIMEOUT_MS }, async () => {
  const counted = censusOf(scene.victim.app.pid)
  const peers: HostilePeer[] = []
  for (let i = 0; i < 30; i += 1) {
    const peer = await HostilePeer.prepare(doorName(scene.port))
    peer.channel.send(encodeMessage({ kind: 'reject', code: 1 }), [...peer.offer, peer.own.fd])
    peers.push(peer)
  }
  for (const peer of peers) await rejectionOf(peer.channel)
  // The attackers still hold their ends: the victim must not need their death to let go.
  await eventually(
    () =>
      (censusOf(scene.victim.app.pid).descriptors['eventfd'] ?? 0) <= (counted.descriptors['eventfd'] ?? 0),
    LIMIT_MS,
    () => `the eventfds of refused peers to go: ${JSON.stringify(censusOf(scene.victim.app.pid))}`,
  )
  await scene.victim.nothingLeft(counted)
  for (const peer of peers) peer.close()
})

test(
  'an honest hand works beside all that: the helper itself is sound',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const { peer, end, from } = await scene.hostile()
      end.write('hello')
      await eventually(
        () => end.received === 'hello',
        LIMIT_MS,
        () => `an echo, not '${end.received}'`,
      )
      peer.close()
      assert.equal(await scene.victim.departure(from), 'ECONNRESET')
    })
  },
)
