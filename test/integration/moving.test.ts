import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { on, once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { FD_CONNECT, WSA } from '../../src/spi/index.ts'
import type { Result } from '../../src/spi/index.ts'
import type { Link } from '../../src/providers/shm/link.ts'
import { MAX_EXPECTED, drawTicket } from '../../src/providers/shm/moving.ts'
import type { ShmProvider } from '../../src/providers/shm/index.ts'
import { Summons, summon } from '../../src/providers/shm/summons.ts'
import { NetworkEvent } from '../../src/switch/network-event.ts'
import { Session } from '../../src/switch/session/session.ts'
import { createSwitch } from '../../src/switch/switch.ts'
import { Pattern } from '../support/pattern.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { tcpAddresses } from '../support/tcp-addresses.ts'
import { within } from '../support/waiting.ts'
import { PEER_HELLO } from './mover.ts'
import type { Cargo, Order, Word } from './mover.ts'

const PATIENCE_MS = 30_000
const LIMITS = { regionBytes: 1216, maxMemoryBytes: 1 << 20, pieceBytes: 1 << 16, duplicates: true }
const PROGRAM = fileURLToPath(import.meta.resolve(`./mover${import.meta.url.slice(-3)}`))

/** A process that holds the connection, or will. */
class Mover {
  readonly child: ChildProcess
  readonly #words: AsyncIterator<[Word], never>

  constructor() {
    this.child = fork(PROGRAM, { serialization: 'advanced' })
    this.#words = on(this.child, 'message') as unknown as AsyncIterator<[Word], never>
  }

  async ask(order: Order): Promise<Word> {
    this.child.send(order)
    return await this.hear()
  }

  async hear(): Promise<Word> {
    const { value } = await within(this.#words.next(), PATIENCE_MS, 'an answer of the other process')
    return value[0]
  }

  async handOver(to: Mover): Promise<Cargo> {
    const word = await this.ask({ do: 'hand over', processId: to.child.pid ?? 0 })
    assert.ok(word.is === 'packed', JSON.stringify(word))
    return word.cargo
  }

  async takeOver(cargo: Cargo): Promise<void> {
    assert.deepEqual(await this.ask({ do: 'take over', cargo }), { is: 'taken over' })
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const exit = once(this.child, 'exit')
    this.child.kill('SIGKILL')
    await exit
  }
}

/** A client of an echo: writes as much of a pattern as fits, and compares what comes back. */
class Client {
  readonly session: Session
  readonly #pattern = new Pattern(11)
  sent = 0
  heard = 0
  /** Stop writing here. */
  limit = Infinity
  #waiting: (() => void)[] = []

  constructor(session: Session) {
    this.session = session
    session.attach({ readable: this.#pump, writable: this.#pump })
    this.#pump()
  }

  readonly #pump = (): void => {
    for (let chunk = this.session.read(1 << 16); chunk !== undefined; chunk = this.session.read(1 << 16)) {
      assert.equal(this.#pattern.damageIn(chunk, this.heard), undefined, 'the first wrong byte')
      this.heard += chunk.length
    }
    // No more under way than the rings of both directions hold, so that the echo never waits for us.
    while (this.sent < this.limit && this.sent - this.heard < 600_000) {
      const taken = this.session.write([this.#pattern.slice(this.sent, 50_000)])
      if (taken <= 0) break
      this.sent += taken
    }
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async until(heard: () => boolean): Promise<void> {
    while (!heard()) {
      const told = new Promise<void>((resolve) => {
        this.#waiting.push(resolve)
      })
      await within(told, PATIENCE_MS, () => `more, with ${this.sent} bytes sent and ${this.heard} heard`)
    }
  }
}

async function connected(
  first: Mover,
  moveMs = 30_000,
): Promise<{ client: Client; links: () => number; close: () => void }> {
  const provider = shmProvider({ limits: { moveMs } })
  const theSwitch = createSwitch({ san: [provider] })
  const addresses = tcpAddresses('IPv4')
  const [server, local] = [await addresses('listener'), await addresses('client')]
  assert.deepEqual(await first.ask({ do: 'listen', address: server }), { is: 'ready' })
  const made = provider.socket({ family: 'IPv4' })
  assert.ok(made.ok)
  const socket = made.value
  assert.equal(socket.bind(local), 0)
  const outcome = new Promise<number>((resolve) => {
    const event = new NetworkEvent(provider.schedule, () => {
      const events = socket.enumNetworkEvents(event)
      if (events.ok) resolve(events.value.connectStatus)
    })
    socket.eventSelect(event, FD_CONNECT)
  })
  const accepted = first.hear()
  socket.connect(server, new Uint8Array())
  assert.equal(await within(outcome, PATIENCE_MS, 'the connect to end'), 0)
  const memory = socket.memory()
  assert.ok(memory.ok)
  const parts = {
    socket,
    memory: memory.value,
    limits: LIMITS,
    peerHello: PEER_HELLO,
    role: 'initiator',
  } as const
  const client = new Client(new Session(parts))
  assert.deepEqual(await accepted, { is: 'accepted' })
  return {
    client,
    links: () => provider.stats.links,
    close: () => {
      theSwitch.close()
    },
  }
}

test('WSD-DUP-2, -3, -19, -22 scenario 27: a connection over shared memory moves between processes while data flow, and every byte arrives', async () => {
  const movers = [new Mover(), new Mover()] as const
  const { client, links, close } = await connected(movers[0])
  try {
    for (let i = 0; i < 6; i++) {
      const [from, to] = i % 2 === 0 ? movers : ([movers[1], movers[0]] as const)
      const before = client.heard
      await client.until(() => client.heard > before + 1_000_000)
      await to.takeOver(await from.handOver(to))
    }
    client.limit = client.sent
    await client.until(() => client.heard === client.sent)
    assert.ok(client.sent > 6_000_000)
    assert.equal(links(), 3, 'ours to the first process, and one that each of the two has opened, once')
  } finally {
    client.session.close()
    close()
    for (const mover of movers) await mover.end()
  }
})

test('WSD-DUP-26, -28 the old owner may be killed once it has handed over; when the next one never comes the peer reads a reset', async () => {
  const movers = [new Mover(), new Mover(), new Mover()] as const
  const { client, close } = await connected(movers[0], 3000)
  try {
    await client.until(() => client.heard > 100_000)
    const cargo = await movers[0].handOver(movers[1])
    await movers[0].end()
    await movers[1].takeOver(cargo)
    const before = client.heard
    await client.until(() => client.heard > before + 1_000_000)
    await movers[1].handOver(movers[2])
    await movers[1].end()
    await client.until(() => client.session.available === 0 && client.session.readEnd() !== 'more')
    assert.equal(client.session.readEnd(), 'reset')
  } finally {
    client.session.close()
    close()
    for (const mover of movers) await mover.end()
  }
})

for (const end of ['end', 'reset'] as const) {
  test(`WSD-DUP-27 a peer that closes while it stands still: the next owner reads the ${end}`, async () => {
    const movers = [new Mover(), new Mover()] as const
    const { client, close } = await connected(movers[0])
    try {
      await client.until(() => client.heard > 100_000)
      client.limit = client.sent
      await client.until(() => client.heard === client.sent)
      const cargo = await movers[0].handOver(movers[1])
      if (end === 'end') client.session.close()
      else client.session.reset()
      await movers[1].takeOver(cargo)
      assert.deepEqual(await movers[1].hear(), { is: 'over', end })
    } finally {
      close()
      for (const mover of movers) await mover.end()
    }
  })
}

test('WSD-DUP-28 a peer that is cut off while it stands still is found out at once', async () => {
  const movers = [new Mover(), new Mover()] as const
  const { client, close } = await connected(movers[0])
  try {
    await client.until(() => client.heard > 100_000)
    const cargo = await movers[0].handOver(movers[1])
    client.session.socket.close()
    assert.deepEqual(await movers[1].ask({ do: 'take over', cargo }), {
      is: 'failed',
      why: `resumed with ${String(WSA.WSAECONNRESET)}`,
    })
  } finally {
    close()
    for (const mover of movers) await mover.end()
  }
})

test('a peer that says of all its connections that they move costs a bounded number of descriptors', () => {
  const provider = shmProvider()
  const socket = { isParked: true, rejoin: () => undefined, abandoned: () => undefined }
  const ends: (() => void)[] = []
  const first = drawTicket()
  for (let i = 0; i < 100; i++) {
    const stop = provider.passages.expect(i === 0 ? first : drawTicket(), socket)
    if (stop !== undefined) ends.push(stop)
  }
  assert.equal(ends.length, MAX_EXPECTED)
  ends.pop()?.()
  assert.equal(provider.passages.expect(first, socket), undefined, 'a name that somebody else waits under')
  for (const end of ends) end()
})

/** Whatever was on its way before has been dealt with. */
async function turnOf(provider: ShmProvider): Promise<void> {
  await new Promise<void>(provider.schedule)
  await new Promise(setImmediate)
}

test(
  'who comes before the peer has opened hears when it does, without waiting for a timer',
  { timeout: 30_000 },
  async () => {
    const provider = shmProvider({ clock: { now: () => 0, after: () => () => undefined } })
    const ticket = drawTicket()
    const whom = { isParked: true, rejoin: () => undefined, abandoned: () => undefined }
    let results: Result<Link>[] = []
    const opened = new Promise<void>((resolve) => {
      provider.passages.knock({ processId: process.pid, peerPid: process.pid, ticket }, new Set(), (link) => {
        results = [...results, link]
        resolve()
      })
    })
    await turnOf(provider)
    assert.deepEqual(results, [], 'nobody has opened')
    const stop = provider.passages.expect(ticket, whom)
    await opened
    assert.deepEqual(
      results.map(({ ok }) => ok),
      [true],
    )
    stop?.()
    provider.passages.close()
    for (const link of provider.links) link.fail(WSA.WSA_OPERATION_ABORTED)
  },
)

test('only the process that is waited for can say that it has opened', { timeout: 30_000 }, async () => {
  const provider = shmProvider()
  const { native } = provider
  let stranger = 0
  const [name, later] = [drawTicket().summons, drawTicket().summons]
  const deaf = new Summons(provider, name, process.ppid, () => {
    stranger += 1
  })
  const heard = new Promise<void>((resolve) => {
    const summons = new Summons(provider, later, process.pid, () => {
      summons.close()
      resolve()
    })
  })
  summon(native, name)
  summon(native, later)
  await heard
  await turnOf(provider)
  assert.equal(stranger, 0)
  deaf.close()
})
