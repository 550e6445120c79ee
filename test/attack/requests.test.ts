/** Requests for connections that no honest opener makes: refused, and the link goes on. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as layout from '../../src/providers/shm/layout.ts'
import { writeRequest } from '../../src/providers/shm/request.ts'
import type { SlotRequest } from '../../src/providers/shm/request.ts'
import { WSA } from '../../src/spi/index.ts'
import { encodeHello } from '../../src/switch/session/hello.ts'
import { Random } from '../support/random.ts'
import { eventually } from '../support/waiting.ts'
import { LIMIT_MS } from './channel.ts'
import { HELLO, HOST, HostilePeer, doorName, endpoint, freshPort, honestRequest } from './hostile-peer.ts'
import { Scene, Victim } from './victims.ts'

const TIMEOUT_MS = 60_000

let scene: Scene
before(async () => {
  scene = await Scene.set()
})
after(async () => {
  await scene.end()
})

/** With which code the victim refuses what `lay` lays down in the first slot; 0 when it accepts. */
async function verdictOn(peer: HostilePeer, generation: number, lay: () => void): Promise<number> {
  lay()
  peer.setState(0, generation, layout.PHASE_OPEN)
  peer.notify(0)
  await eventually(
    () => {
      const { generation: answered, phase } = peer.answer(0)
      return answered === generation && phase !== layout.PHASE_FREE && phase !== layout.PHASE_CLOSED
    },
    LIMIT_MS,
    () => `an answer, not ${JSON.stringify(peer.answer(0))}`,
  )
  const { phase, detail } = peer.answer(0)
  return phase === layout.PHASE_ACCEPTED ? 0 : detail
}

type Changes = Partial<SlotRequest>
const port = (): number => scene.port
const REQUESTS: readonly [what: string, changes: () => Changes, code: number][] = [
  ['from an address of another host', () => ({ remote: endpoint('192.0.2.1', 40_000) }), WSA.WSAEACCES],
  [
    'from an IPv6 address of another host',
    () => ({ remote: endpoint('2001:db8::1', 40_000) }),
    WSA.WSAEACCES,
  ],
  ['from the wildcard', () => ({ remote: endpoint('0.0.0.0', 40_000) }), WSA.WSAEACCES],
  ['from the IPv6 wildcard', () => ({ remote: endpoint('::', 40_000) }), WSA.WSAEACCES],
  ['from a broadcast address', () => ({ remote: endpoint('255.255.255.255', 40_000) }), WSA.WSAEACCES],
  ['from port 0', () => ({ remote: endpoint(HOST, 0) }), WSA.WSAEACCES],
  ['from an address of the other family', () => ({ remote: endpoint('::1', 40_000) }), WSA.WSAEACCES],
  [
    'from an IPv4 address in IPv6 clothes',
    () => ({ remote: endpoint('::ffff:127.0.0.1', 40_000) }),
    WSA.WSAEACCES,
  ],
  ['from an address with a zone', () => ({ remote: endpoint('::1%lo', 40_000) }), WSA.WSAEFAULT],
  ['to another port', () => ({ local: endpoint(HOST, port() - 1) }), WSA.WSAETIMEDOUT],
  ['to port 0', () => ({ local: endpoint(HOST, 0) }), WSA.WSAETIMEDOUT],
  ['to another address of this host', () => ({ local: endpoint('127.0.0.2', port()) }), WSA.WSAETIMEDOUT],
  ['to the wildcard', () => ({ local: endpoint('0.0.0.0', port()) }), WSA.WSAETIMEDOUT],
  ['to an address of the other family', () => ({ local: endpoint('::1', port()) }), WSA.WSAETIMEDOUT],
  ['to a listener that is not there', () => ({ listener: doorName(1) }), WSA.WSAETIMEDOUT],
  ['to no listener', () => ({ listener: '' }), WSA.WSAETIMEDOUT],
  ['to a property of an object', () => ({ listener: '__proto__' }), WSA.WSAETIMEDOUT],
  ['without a hello', () => ({ callerData: new Uint8Array(0) }), WSA.WSAEFAULT],
  ['with 257 bytes of hello', () => ({ callerData: new Uint8Array(257) }), WSA.WSAEFAULT],
  ['with a hello of other regions', () => ({ callerData: hello({ regionBytes: 8192 }) }), WSA.WSAEFAULT],
  ['with a hello that goes on', () => ({ callerData: new Uint8Array([...HELLO, 1]) }), WSA.WSAEFAULT],
  ['from no address', () => ({ remote: endpoint('', 40_000) }), WSA.WSAEFAULT],
  ['from a name', () => ({ remote: endpoint('localhost', 40_000) }), WSA.WSAEFAULT],
  ['from four numbers too large', () => ({ remote: endpoint('127.0.0.999', 40_000) }), WSA.WSAEFAULT],
  ['from 200 letters', () => ({ remote: endpoint('a'.repeat(200), 40_000) }), WSA.WSAEFAULT],
]

function hello(changes: { regionBytes?: number; maxRingBytes?: number }): Uint8Array {
  return encodeHello({ regionBytes: layout.REGION_BYTES, maxRingBytes: 1 << 20, features: 0, ...changes })
}

for (const [what, changes, code] of REQUESTS) {
  test(`a request ${what} is refused`, { timeout: TIMEOUT_MS }, async () => {
    await scene.survives(async () => {
      const peer = await HostilePeer.open(port())
      try {
        assert.equal(
          await verdictOn(peer, 1, () => {
            peer.writeRequest(0, honestRequest(port(), changes()))
          }),
          code,
        )
      } finally {
        peer.close()
      }
    })
  })
}

test('a request of a newer session is refused with the version', { timeout: TIMEOUT_MS }, async () => {
  await scene.survives(async () => {
    const peer = await HostilePeer.open(port())
    const callerData = HELLO.slice()
    new DataView(callerData.buffer).setUint16(4, 2, true)
    const code = await verdictOn(peer, 1, () => {
      peer.writeRequest(0, honestRequest(port(), { callerData }))
    })
    assert.equal(code, WSA.WSAVERNOTSUPPORTED)
    peer.close()
  })
})

for (const maxRingBytes of [0, 1, 0xffffffff, 12345]) {
  test(
    `a hello that promises rings of ${maxRingBytes} bytes is made the best of`,
    { timeout: TIMEOUT_MS },
    async () => {
      await scene.survives(async () => {
        const peer = await HostilePeer.open(port())
        const from = freshPort()
        const remote = endpoint(HOST, from)
        const end = await peer.connect(
          0,
          1,
          honestRequest(port(), { remote, callerData: hello({ maxRingBytes }) }),
        )
        await scene.victim.arrival(from)
        end.write('small talk')
        await eventually(
          () => end.received === 'small talk',
          LIMIT_MS,
          () => `an echo, not '${end.received}'`,
        )
        await scene.victim.ask('flood', { port: from })
        await scene.leave(peer, from)
      })
    },
  )
}

test(
  'pitfall 4: whatever bytes lie where a request should be, the link goes on',
  { timeout: TIMEOUT_MS },
  async () => {
    const random = new Random(4)
    await scene.survives(async () => {
      const peer = await HostilePeer.open(port())
      const template = new Uint8Array(960)
      const length = writeRequest(template, 0, honestRequest(port()))
      for (let generation = 1; generation <= 300; generation += 1) {
        const bytes = template.slice(0, random.chance(0.5) ? length : random.between(0, 960))
        for (let hits = random.between(1, 4); hits > 0 && bytes.length > 0; hits -= 1) {
          bytes[random.between(0, bytes.length - 1)] = random.between(0, 255)
        }
        const claimed = random.chance(0.2) ? random.pick([0, 961, 1216, 0x7fffffff, -1]) : bytes.length
        const verdict = await verdictOn(peer, generation, () => {
          peer.writeRawRequest(0, bytes, claimed)
        })
        // Some stay valid; they are given up, and the slot comes back.
        if (verdict === 0) {
          peer.setState(0, generation, layout.PHASE_CLOSED)
          peer.notify(0)
          await peer.answered(0, generation, layout.PHASE_CLOSED)
        }
      }
      peer.close()
    })
  },
)

test(
  'a wildcard listener takes no request for an address that is not of this host',
  { timeout: TIMEOUT_MS },
  async () => {
    const wild = await scene.victim.listen('0.0.0.0')
    await scene.survives(async () => {
      const peer = await HostilePeer.open(wild, '0.0.0.0')
      const changes = { listener: doorName(wild, '0.0.0.0'), local: endpoint('192.0.2.7', wild) }
      const code = await verdictOn(peer, 1, () => {
        peer.writeRequest(0, honestRequest(wild, changes))
      })
      peer.close()
      assert.notEqual(code, 0, 'it was accepted, and the application was told that 192.0.2.7 is its address')
    })
    await scene.victim.ask('unlisten', { port: wild })
  },
)

test(
  'a link to one listener serves the others of the process, as TCP would',
  { timeout: TIMEOUT_MS },
  async () => {
    const other = await scene.victim.listen()
    await scene.survives(async () => {
      const peer = await HostilePeer.open(port())
      const from = freshPort()
      await peer.connect(0, 1, honestRequest(other, { remote: endpoint(HOST, from) }))
      await scene.victim.arrival(from)
      await scene.leave(peer, from)
    })
    await scene.victim.ask('unlisten', { port: other })
  },
)

const notRoot = process.getuid?.() === 0 ? 'root may use port 1023; see other-users.test.ts' : false
test(
  'a request from port 1023 by a user who may not use it is refused',
  { timeout: TIMEOUT_MS, skip: notRoot },
  async () => {
    const victim = await Victim.start()
    const at = await victim.listen()
    const peer = await HostilePeer.open(at)
    const changes = { remote: endpoint(HOST, 1023) }
    assert.equal(
      await verdictOn(peer, 1, () => {
        peer.writeRequest(0, honestRequest(at, changes))
      }),
      WSA.WSAEACCES,
    )
    peer.close()
    await victim.end()
  },
)
