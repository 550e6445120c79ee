/**
 * Liars among several processes at one address: a member or a head that tells openers nonsense about its group, a stranger that
 * wants to join, a head that hands its members rubbish. Connections go on over TCP/IP, with the reason, or are served.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { after, before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../src/base/clock.ts'
import * as layout from '../../src/providers/shm/layout.ts'
import { DEFAULT_LIMITS } from '../../src/providers/shm/limits.ts'
import type { Link } from '../../src/providers/shm/link.ts'
import { MAX_MEMBERS, decodeMessage, encodeMessage } from '../../src/providers/shm/messages.ts'
import type { LinkMessage } from '../../src/providers/shm/messages.ts'
import { drawTicket } from '../../src/providers/shm/moving.ts'
import { groupName, portName, rendezvousName } from '../../src/providers/shm/names.ts'
import { Passages } from '../../src/providers/shm/passages.ts'
import type { PassageHost } from '../../src/providers/shm/passages.ts'
import { findTcpListener, holdsListener } from '../../src/providers/shm/trust.ts'
import { WSA } from '../../src/spi/index.ts'
import { Program } from '../integration/program.ts'
import { beside } from '../support/app.ts'
import { Channel, LIMIT_MS, closeAll, native } from './channel.ts'
import { HOST, HostilePeer, doorName, endpoint } from './hostile-peer.ts'
import { HostileServer } from './hostile-server.ts'
import { rejectionOf } from './rejection.ts'
import { within } from '../support/waiting.ts'
import { Scene } from './victims.ts'

const TIMEOUT_MS = 60_000
const GROUP_HOST = fileURLToPath(new URL('../integration/group-host.js', import.meta.url))
const ALL = Array.from({ length: MAX_MEMBERS }, (_, member) => member)

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

function groupDoor(port: number): string {
  return groupName(endpoint(HOST, port))
}

function group(member: number, members: readonly number[], processId = process.pid): Uint8Array {
  return encodeMessage({ kind: 'group', member, processId, members })
}

// --- openers --------------------------------------------------------------------------------------------------------

/** Lets the victim connect to a group whose head does `lie` once it has welcomed it; answers which way it went. */
async function wayPast(lie: (peer: HostilePeer) => void): Promise<{ way: string; overTcp: number }> {
  let result = { way: '', overTcp: 0 }
  await scene.survives(async () => {
    const server = await HostileServer.listen(groupDoor)
    const met = HostilePeer.welcome(server).then((peer) => {
      lie(peer)
      return peer
    })
    const { key, way } = await scene.victim.connect(server.port)
    if (way !== 'san') await scene.victim.echo(key)
    await scene.victim.ask('close', { key })
    result = { way, overTcp: server.overTcp }
    const peer = await met
    peer.close()
    server.close()
  })
  return result
}

async function expectWay(lie: (peer: HostilePeer) => void, way: string): Promise<void> {
  let found = await wayPast(lie)
  // On a busy machine the lie comes too late for the victim.
  for (let tries = 1; tries < 10 && found.way === 'handshake-timeout' && way !== found.way; tries += 1)
    found = await wayPast(lie)
  assert.deepEqual(found, { way, overTcp: 1 })
}

const LIES: Readonly<Record<string, readonly [lie: (peer: HostilePeer) => void, way: string]>> = {
  'says nothing of its group': [() => undefined, 'handshake-timeout'],
  'says that nobody is there': [
    (peer) => {
      peer.channel.send(group(0, []))
    },
    'peer-malformed',
  ],
  'is no member of its own group': [
    (peer) => {
      peer.channel.send(group(3, [1, 2]))
    },
    'peer-malformed',
  ],
  'speaks of a member beyond the last': [
    (peer) => {
      const bytes = group(0, [0])
      new DataView(bytes.buffer).setUint32(8, MAX_MEMBERS, true)
      peer.channel.send(bytes)
    },
    'peer-malformed',
  ],
  'sends a short list': [
    (peer) => {
      peer.channel.send(group(0, [0]).subarray(0, 55))
    },
    'peer-malformed',
  ],
  'sends a long list': [
    (peer) => {
      peer.channel.send(new Uint8Array([...group(0, [0]), 1]))
    },
    'peer-malformed',
  ],
  'sends descriptors with the list': [
    (peer) => {
      peer.channel.send(group(0, [0]), [peer.own.fd, peer.doorbell])
    },
    'peer-malformed',
  ],
  'hands the opener on': [
    (peer) => {
      peer.say({ kind: 'forward', segmentBytes: layout.LINK_SEGMENT_BYTES }, [peer.channel.fd, ...peer.offer])
    },
    'peer-malformed',
  ],
  'changes its mind a thousand times': [
    (peer) => {
      for (let i = 0; i < 1000; i += 1) {
        try {
          peer.channel.send(i % 2 === 0 ? group(0, [0]) : group(255, ALL, i))
        } catch {
          // The channel is full: the victim has yet to read.
          return
        }
      }
    },
    'handshake-timeout',
  ],
  'says that it is the victim itself': [
    (peer) => {
      peer.channel.send(group(0, [0], scene.victim.app.pid))
    },
    'handshake-timeout',
  ],
}

for (const [what, [lie, way]] of Object.entries(LIES)) {
  test(`a member that ${what} costs one connection its switch`, { timeout: TIMEOUT_MS }, async () => {
    await expectWay(lie, way)
  })
}

test(
  'a head that names 256 members, and is each of them itself, gets one link for a connect, and none of them is left',
  { timeout: TIMEOUT_MS },
  async () => {
    const CONNECTS = 5
    await scene.survives(async () => {
      const server = await HostileServer.listen(groupDoor)
      const { links } = (await scene.victim.state()).shm
      const peers: HostilePeer[] = []
      let member = 0
      for (let i = 0; i < CONNECTS; i += 1) {
        const met = HostilePeer.welcome(server)
          .then((peer) => {
            peers.push(peer)
            peer.channel.send(group((member += 1), ALL))
          })
          // A connect that goes to a member we have a link for opens none.
          .catch(() => undefined)
        const { key, way } = await scene.victim.connect(server.port)
        assert.equal(way, 'handshake-timeout')
        await scene.victim.ask('close', { key })
        await met
        await server.prepare()
      }
      const after = (await scene.victim.state()).shm.links
      assert.ok(after - links <= CONNECTS, `${after - links} links for ${CONNECTS} connects`)
      for (const peer of peers) peer.close()
      server.close()
    })
  },
)

test('a link whose peer only says that it is that process does not see the secret of a connection that moves', async () => {
  const connected: string[] = []
  const link = { role: 'opener', state: 'up', isReferred: true, peer: { pid: process.pid, uid: 0 } }
  const host = {
    clock: systemClock,
    limits: { ...DEFAULT_LIMITS, moveMs: 20 },
    links: [link as unknown as Link],
    mayLink: () => true,
    turns: { schedule: setImmediate },
    native: {
      listen: () => -98, // EADDRINUSE: nobody can call us
      connect: (name: string) => {
        connected.push(name)
        return 999
      },
      peerCredentials: () => ({ pid: process.pid + 1, uid: process.getuid?.() }),
      close: () => undefined,
    },
  } as unknown as PassageHost
  const passage = { processId: process.pid, peerPid: process.pid, ticket: drawTicket() }
  const knock = async (): Promise<unknown> =>
    new Promise((resolve) => {
      new Passages(host).knock(passage, new Set(), resolve)
    })
  assert.deepEqual(await knock(), { ok: false, error: WSA.WSAEINVALIDPROVIDER })
  assert.deepEqual(connected, [passage.ticket.name])
  Object.assign(link, { isReferred: false })
  assert.deepEqual(await knock(), { ok: true, value: link })
})

// --- heads ----------------------------------------------------------------------------------------------------------

test(
  'a stranger that wants to join a listener is refused, whatever it says it holds',
  { timeout: TIMEOUT_MS },
  async () => {
    await scene.survives(async () => {
      const name = doorName(scene.port)
      const server = await HostileServer.listen()
      const claims = [undefined, 0, 1, server.descriptor, 3, 1000, 2 ** 31, 2 ** 32 - 2]
      for (const descriptor of claims) {
        const channel = Channel.connect(name)
        channel.send(encodeMessage({ kind: 'join', name, ...(descriptor !== undefined && { descriptor }) }))
        assert.equal(await rejectionOf(channel), WSA.WSAEACCES, `descriptor ${String(descriptor)}`)
        channel.close()
      }
      server.close()
    })
  },
)

for (const way of ['round robin', 'server sent']) {
  test(`a stranger that wants to join a group (${way}) is refused`, { timeout: TIMEOUT_MS }, async (t) => {
    const host = new Program(GROUP_HOST, { args: ['host'], test: t })
    await host.event('ready')
    const { port } = await host.ask('start', { way, count: 1 })
    const address = endpoint(HOST, port as number)
    const found = findTcpListener(native, address)
    assert.ok(typeof found === 'object')
    const doors = [groupName(address), rendezvousName(address), portName(address, found.cookie)]
    const server = await HostileServer.listen()
    let refused = 0
    for (const name of doors) {
      const fd = native.connect(name)
      if (fd < 0) continue
      native.close(fd)
      for (const descriptor of [undefined, server.descriptor, 0, 2 ** 31]) {
        const channel = Channel.connect(name)
        channel.send(encodeMessage({ kind: 'join', name, ...(descriptor !== undefined && { descriptor }) }))
        assert.equal(await rejectionOf(channel), WSA.WSAEACCES, `${name}, descriptor ${String(descriptor)}`)
        channel.close()
        refused += 1
      }
    }
    assert.ok(refused > 0, 'there is a door')
    server.close()
  })
}

test('who says that it holds a listener is believed where the kernel says so, too', async () => {
  const [one, other] = [await HostileServer.listen(), await HostileServer.listen()]
  const address = endpoint(HOST, one.port)
  assert.ok(holdsListener(native, process.pid, one.descriptor, address))
  for (const descriptor of [other.descriptor, 0, -1, 1e6]) {
    assert.ok(!holdsListener(native, process.pid, descriptor, address), `descriptor ${String(descriptor)}`)
  }
  assert.ok(!holdsListener(native, process.ppid, one.descriptor, address), 'another process')
  assert.ok(!holdsListener(native, 2 ** 22 + 1, one.descriptor, address), 'no process')
  one.close()
  assert.ok(!holdsListener(native, process.pid, other.descriptor, address), 'nobody listens there any more')
  other.close()
})

test('an opener that speaks of a group ends its link', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const peer = await HostilePeer.open(scene.port)
    peer.channel.send(group(0, ALL))
    await within(peer.channel.ended(), LIMIT_MS, 'the end of the link')
    peer.close()
  })
})

const NO_JOIN: Readonly<Record<string, (channel: Channel, name: string) => void>> = {
  'a FORWARD': (channel) => {
    channel.send(encodeMessage({ kind: 'forward', segmentBytes: layout.LINK_SEGMENT_BYTES }))
  },
  'a GROUP': (channel) => {
    channel.send(group(0, ALL))
  },
  'a JOIN for another name': (channel) => {
    channel.send(encodeMessage({ kind: 'join', name: 'sockswitch/1/elsewhere' }))
  },
  'a JOIN with descriptors': (channel, name) => {
    channel.send(encodeMessage({ kind: 'join', name }), [channel.fd, channel.fd])
  },
}

for (const [what, say] of Object.entries(NO_JOIN)) {
  test(`${what} at a listener's door is refused`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      const name = doorName(scene.port)
      const channel = Channel.connect(name)
      say(channel, name)
      const refusals: readonly unknown[] = [WSA.WSAEFAULT, WSA.WSAEACCES]
      assert.ok(refusals.includes(await rejectionOf(channel)))
      channel.close()
    })
  })
}

test('many that want to join at once are refused one by one', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const name = doorName(scene.port)
    for (let round = 0; round < 5; round += 1) {
      const channels = Array.from({ length: 40 }, () => Channel.connect(name))
      for (const channel of channels) channel.send(encodeMessage({ kind: 'join', name, descriptor: 7 }))
      for (const channel of channels) {
        assert.equal(await rejectionOf(channel), WSA.WSAEACCES)
        channel.close()
      }
    }
  })
})

// --- members --------------------------------------------------------------------------------------------------------

interface Member {
  readonly channel: Channel
  readonly server: HostileServer
  /** What it said on its channel first. */
  readonly join: LinkMessage
}

/** A process that listens on a descriptor of ours and wants to join the group whose head we are. */
async function member(t: TestContext): Promise<Member> {
  const server = await HostileServer.listen(groupDoor)
  const child = spawn(
    process.execPath,
    [
      '--require',
      new URL('../../register.cjs', import.meta.url).pathname,
      beside(import.meta.url, '../integration/group-host'),
      'member',
      'descriptor',
      String(server.port),
    ],
    { stdio: ['ignore', 'ignore', 'inherit', server.descriptor, 'ipc'] },
  )
  t.after(async () => {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    server.close()
  })
  const channel = await server.door.next()
  const got = await channel.next()
  assert.ok(got !== 'end')
  const join = decodeMessage(got.bytes)
  assert.ok(typeof join === 'object')
  return { channel, server, join }
}

test(
  'a member of a group asks its head to be let in, and nothing else',
  { timeout: TIMEOUT_MS },
  async (t) => {
    const { channel, join } = await member(t)
    assert.equal(join.kind, 'join')
    channel.close()
  },
)

const RUBBISH: Readonly<Record<string, (channel: Channel) => void>> = {
  'an opener before it was let in': (channel) => {
    channel.send(encodeMessage({ kind: 'forward', segmentBytes: layout.LINK_SEGMENT_BYTES }), [
      channel.fd,
      channel.fd,
      channel.fd,
      channel.fd,
    ])
  },
  'an opener without memory': (channel) => {
    channel.send(group(1, [1]))
    channel.send(encodeMessage({ kind: 'forward', segmentBytes: layout.LINK_SEGMENT_BYTES }), [channel.fd])
  },
  'a list with descriptors': (channel) => {
    channel.send(group(1, [1]), [channel.fd])
  },
  'a message of another version': (channel) => {
    const bytes = group(1, [1])
    new DataView(bytes.buffer).setUint16(4, 99, true)
    channel.send(bytes)
  },
  'an OPEN': (channel) => {
    channel.send(encodeMessage({ kind: 'open', segmentBytes: layout.LINK_SEGMENT_BYTES, name: 'x' }))
  },
}

for (const [what, say] of Object.entries(RUBBISH)) {
  test(`a head that gives its member ${what} loses it`, { timeout: TIMEOUT_MS }, async (t) => {
    const { channel } = await member(t)
    say(channel)
    await within(channel.ended(), LIMIT_MS, 'the member to leave')
    channel.close()
  })
}

test('a head that hands its member what is no opener does so in vain', { timeout: TIMEOUT_MS }, async (t) => {
  const { channel } = await member(t)
  channel.send(group(1, [1]))
  const file = openSync('/dev/null', 'r')
  for (const segmentBytes of [layout.LINK_SEGMENT_BYTES, 0, 2 ** 32 - 1]) {
    channel.send(encodeMessage({ kind: 'forward', segmentBytes }), [file, file, file, file])
    channel.send(encodeMessage({ kind: 'forward', segmentBytes }), [channel.fd, file, file, file])
  }
  // It still listens to us, until we say something that no head says.
  channel.send(encodeMessage({ kind: 'welcome', segmentBytes: 0 }))
  await within(channel.ended(), LIMIT_MS, 'the member to leave')
  closeAll([file])
  channel.close()
})
