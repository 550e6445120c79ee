import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { SPI_VERSION, WSA } from '../../src/spi/index.ts'
import type { Result } from '../../src/spi/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { decodePacked } from '../../src/switch/session/packed.ts'
import { Session } from '../../src/switch/session/session.ts'
import { UpcallTable } from '../../src/switch/upcall-table.ts'
import { Pattern } from '../support/pattern.ts'
import { FakeClock, settle } from './fake-clock.ts'
import { CLIENT, Host, SERVER, SUBNET, LIMITS } from './host.ts'
import { loopback } from '../../src/providers/loopback/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import type { LoopbackOptions } from '../../src/providers/loopback/index.ts'
import { End } from './session-end.ts'

/** A process of its own, as far as the provider can tell. */
function processOn(network: LoopbackNetwork, processId: number, options: LoopbackOptions = {}): Host {
  const limits = { ...LIMITS, duplicates: true, ...options.limits }
  return new Host({
    network,
    providers: [loopback({ ...options, network, subnets: [SUBNET], limits, processId })],
  })
}

interface World {
  readonly clock: FakeClock
  readonly network: LoopbackNetwork
  readonly hosts: readonly [Host, Host, Host]
  /** The client's end and the server's. */
  readonly client: End
  readonly server: End
}

const PIDS = [101, 102, 103] as const
/** Application memory is read where it is. */
const RDMA: LoopbackOptions = { limits: { rdma: { maxBytes: 1 << 20, thresholdBytes: 100 } } }

/** Three processes; the first is connected to the second. */
async function world(options: LoopbackOptions = {}): Promise<World> {
  const clock = new FakeClock()
  const network = new LoopbackNetwork(clock)
  const [one, two, three] = PIDS.map((pid) => processOn(network, pid, options))
  assert.ok(one !== undefined && two !== undefined && three !== undefined)
  const listening = two.listen(SERVER)
  const attempt = one.connect(SERVER, { local: CLIENT })
  await settle()
  const server = listening.ends[0]
  assert.ok(server !== undefined)
  return { clock, network, hosts: [one, two, three], client: attempt.end, server }
}

/** Suspends `end` for process `pid`; what came of it, once it has. */
function suspend(end: End, pid: number): { readonly status: number; readonly results: Result<Uint8Array>[] } {
  const results: Result<Uint8Array>[] = []
  const status = end.session.suspend(pid, (result) => {
    results.push(result)
  })
  return { status, results }
}

/** Hands `end` to `host`. */
async function move(end: End, host: Host, pid: number): Promise<End> {
  const { status, results } = suspend(end, pid)
  assert.equal(status, 0)
  await settle(8)
  const [packed] = results
  assert.ok(packed?.ok)
  return await resume(host, packed.value)
}

async function resume(host: Host, packed: Uint8Array): Promise<End> {
  const results: Result<Session>[] = []
  host.switch.resume('san', 'IPv4', packed, (result) => {
    results.push(result)
  })
  await settle(8)
  const [result] = results
  assert.ok(result?.ok, JSON.stringify(result))
  return new End(result.value)
}

describe('a session moves to another process', () => {
  for (const mover of ['client', 'server'] as const) {
    const stays = mover === 'client' ? 'server' : 'client'
    test(`WSD-DUP-19, -20, -21, -22 and goes on there in both directions (${mover})`, async () => {
      const { hosts, ...ends } = await world()
      const there = await move(ends[mover], hosts[2], PIDS[2])
      assert.equal(ends[mover].session.state, 'closed')
      there.say('from there')
      await settle()
      assert.deepEqual(ends[stays].hear(), { text: 'from there', then: 'more' })
      ends[stays].say('and back')
      await settle()
      assert.deepEqual(there.hear(), { text: 'and back', then: 'more' })
      there.session.close()
      await settle()
      assert.deepEqual(ends[stays].hear(), { text: '', then: 'end' })
      ends[stays].session.close()
      await settle()
    })

    test(`WSD-DUP-12 RACE-32 with everything unread on both sides, urgent bytes and all (${mover})`, async () => {
      const { hosts, ...ends } = await world()
      const pattern = new Pattern(3)
      const size = 20_000
      assert.equal(ends[stays].session.write([pattern.slice(0, size)]), size)
      assert.equal(ends[mover].session.read(1234)?.length, 1234)
      ends[stays].session.sendUrgent(Buffer.from('!'))
      ends[stays].say('tail')
      assert.equal(ends[mover].session.write([pattern.slice(0, size)]), size)
      const there = await move(ends[mover], hosts[2], PIDS[2])
      assert.equal(there.session.readUrgent(), 33)
      const heard = there.readAll()
      assert.equal(pattern.damageIn(heard.subarray(0, size - 1234), 1234), undefined)
      assert.equal(heard.subarray(size - 1234).toString(), 'tail')
      assert.equal(pattern.damageIn(ends[stays].readAll(), 0), undefined)
      assert.deepEqual([there.session.bytesRead, there.session.bytesWritten], [size + 4, size])
    })
  }

  test('WSD-DUP-8, -9, -10, -11 RACE-33 in this order: asked, stood still, duplicated, closed', async () => {
    const { hosts, client, server } = await world()
    hosts[0].journal.clear()
    hosts[1].journal.clear()
    const { results } = suspend(client, PIDS[2])
    assert.deepEqual(hosts[0].journal.labels(), ['san.rdmaWrite', 'san.signal'])
    await settle(8)
    assert.ok(results[0]?.ok)
    assert.equal(server.session.isMoving, true)
    const labels = hosts[0].journal.labels().filter((label) => label !== 'san.rdmaWrite')
    const after = labels.slice(labels.indexOf('san.duplicate'))
    assert.equal(after[1], 'san.close')
    assert.equal(hosts[0].journal.count('san.duplicate'), 1)
    assert.equal(hosts[1].journal.count('san.close'), 0)
  })

  test('WSD-DUP-16, -17 the receive of the old owner ends with success and no bytes; its socket is only closed', async () => {
    const { hosts, client } = await world()
    hosts[0].journal.clear()
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    assert.ok(results[0]?.ok)
    const ends = hosts[0].journal.all('san^completeOverlappedRequest').map(({ args }) => args.slice(1))
    assert.deepEqual(ends.at(-1), [0, 0])
    const labels = hosts[0].journal.labels()
    const calls = labels
      .slice(labels.indexOf('san.duplicate') + 1)
      .filter((label) => label.startsWith('san.'))
    assert.deepEqual(calls, ['san.close'])
  })

  test('WSD-DUP-13, -14 scenario 27: while it stands still the peer reads what it has, and its writes wait', async () => {
    const { hosts, client, server } = await world()
    client.say('read me')
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    const [packed] = results
    assert.ok(packed?.ok)
    assert.deepEqual(server.hear(), { text: 'read me', then: 'more' })
    const before = server.writableCalls
    assert.equal(server.session.write([Buffer.from('later')]), 0)
    assert.equal(server.session.sendUrgent(Buffer.from('!')), 0)
    await settle()
    assert.equal(server.writableCalls, before)
    const there = await resume(hosts[2], packed.value)
    assert.ok(server.writableCalls > before)
    server.say('now')
    await settle()
    assert.deepEqual(there.hear(), { text: 'now', then: 'more' })
  })

  test('WSD-DUP-2, -3 from process to process and back, and every byte arrives', async () => {
    const { hosts, client, server } = await world()
    const pattern = new Pattern(5)
    let [sent, read] = [0, 0]
    let owner = client
    for (let i = 0; i < 12; i++) {
      sent += owner.session.write([pattern.slice(sent, 5000 + 997 * i)])
      if (i % 3 === 1) {
        const heard = server.readAll()
        assert.equal(pattern.damageIn(heard, read), undefined)
        read += heard.length
      }
      const to = i % 3
      owner = await move(owner, hosts[to] as Host, PIDS[to] as number)
    }
    owner.session.shutdown()
    await settle()
    const rest = server.readAll()
    assert.equal(pattern.damageIn(rest, read), undefined)
    assert.equal(read + rest.length, sent)
    assert.equal(server.session.readEnd(), 'end')
  })

  test('with half of it shut, either half', async () => {
    for (const shut of ['client', 'server'] as const) {
      const { hosts, ...ends } = await world()
      ends[shut].say('last')
      ends[shut].session.shutdown()
      await settle()
      if (shut === 'server') assert.deepEqual(ends.client.hear(), { text: 'last', then: 'end' })
      const there = await move(ends.client, hosts[2], PIDS[2])
      if (shut === 'client') {
        assert.equal(there.session.write([Buffer.from('x')]), -WSA.WSAESHUTDOWN)
        assert.deepEqual(ends.server.hear(), { text: 'last', then: 'end' })
        ends.server.say('answer')
        await settle()
        assert.deepEqual(there.hear(), { text: 'answer', then: 'more' })
      } else {
        assert.equal(there.session.readEnd(), 'end')
        there.say('answer')
        await settle()
        assert.deepEqual(ends.server.hear(), { text: 'answer', then: 'more' })
      }
    }
  })

  for (const first of ['initiator', 'acceptor']) {
    test(`RACE-34 both at once, the ${first} a little earlier: the initiator first, then the acceptor`, async () => {
      const { hosts, client, server } = await world()
      client.say('c')
      server.say('s')
      await settle()
      const early = first === 'acceptor' ? suspend(server, PIDS[0]) : undefined
      const one = suspend(client, PIDS[2])
      const other = early ?? suspend(server, PIDS[0])
      await settle(8)
      assert.deepEqual([one.results.length, other.results.length], [1, 0])
      assert.ok(one.results[0]?.ok)
      const newClient = await resume(hosts[2], one.results[0].value)
      await settle(8)
      assert.ok(other.results[0]?.ok)
      const newServer = await resume(hosts[0], other.results[0].value)
      assert.deepEqual([newClient.hear().text, newServer.hear().text], ['s', 'c'])
      newClient.say('hello')
      await settle()
      assert.deepEqual(newServer.hear(), { text: 'hello', then: 'more' })
    })
  }

  test('WSD-DUP-13 a peer that stands still reads to the end of the stream, too', async () => {
    const { client, server } = await world()
    client.say('last')
    client.session.shutdown()
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    assert.ok(results[0]?.ok)
    assert.deepEqual(server.hear(), { text: 'last', then: 'end' })
  })

  test('RACE-33 a large send that crosses the wish is read first', async () => {
    const { client, server } = await world(RDMA)
    const { results } = suspend(client, PIDS[2])
    const ends: number[] = []
    assert.equal(
      server.session.sendLarge(Buffer.alloc(5000), (status) => ends.push(status)),
      0,
    )
    await settle(8)
    assert.deepEqual([results, ends], [[], []])
    assert.equal(client.readAll().length, 5000)
    await settle(8)
    assert.equal(results[0]?.ok, true)
    assert.deepEqual(ends, [0])
  })

  test('WSD-DUP-12 large sends go on over the new memory', async () => {
    const { hosts, client, server } = await world(RDMA)
    const ends: number[] = []
    const send = (): number => server.session.sendLarge(Buffer.alloc(5000), (status) => ends.push(status))
    assert.equal(send(), 0)
    assert.equal(client.readAll().length, 5000)
    await settle()
    const there = await move(client, hosts[2], PIDS[2])
    assert.equal(send(), 0)
    await settle()
    assert.equal(there.readAll().length, 5000)
    await settle()
    assert.deepEqual(ends, [0, 0])
  })
})

/** How many SAN sockets of `host` its switch has closed. */
function closes(host: Host): number {
  return host.journal.labels().filter((label) => label === 'san.close').length
}

describe('a peer that closes while it stands still', () => {
  for (const [how, then, farewell] of [
    ['close', 'end', 'with everything read'],
    ['close', 'reset', 'with bytes unread'],
    ['reset', 'reset', 'with a reset'],
  ] as const) {
    test(`WSD-DUP-27 ${farewell}: the next owner reads what was unread, then the ${then}`, async () => {
      const { hosts, client, server } = await world()
      server.say('unread')
      client.say('heard')
      const { results } = suspend(client, PIDS[2])
      await settle(8)
      if (farewell !== 'with bytes unread') assert.equal(server.hear().text, 'heard')
      const told = server.readableCalls + server.writableCalls
      server.session[how]()
      await settle(8)
      const [packed] = results
      assert.ok(packed?.ok)
      hosts[1].journal.clear()
      const there = await resume(hosts[2], packed.value)
      assert.deepEqual(there.hear(), { text: 'unread', then })
      assert.equal(closes(hosts[1]), 1)
      assert.equal(server.readableCalls + server.writableCalls, told, 'told nothing after its close')
    })
  }

  test('hears of an owner that thinks better of it, and that one of the end', async () => {
    const { hosts, client, server } = await world()
    const { results } = suspend(client, PIDS[2])
    hosts[1].journal.after('san.signal', () => {
      server.session.close()
      assert.equal(client.session.withdraw(), true)
    })
    await settle(12)
    assert.deepEqual(results, [])
    assert.equal(closes(hosts[1]), 1)
    assert.equal(client.session.readEnd(), 'end')
  })

  test('WSD-DUP-28 gives its socket back when no next owner comes, in time', async () => {
    const { clock, hosts, client, server } = await world()
    suspend(client, PIDS[2])
    await settle(8)
    server.session.close()
    await settle(8)
    assert.equal(closes(hosts[1]), 0)
    clock.advance(1000)
    await settle(8)
    assert.equal(closes(hosts[1]), 1)
  })

  test('WSD-DUP-28 gives its socket back at once when nobody can come any more', async () => {
    const { clock, hosts, client, server } = await world()
    suspend(client, PIDS[2])
    await settle(8)
    clock.advance(1000)
    await settle(8)
    assert.equal(server.session.readEnd(), 'reset')
    assert.equal(closes(hosts[1]), 0)
    server.session.close()
    assert.equal(closes(hosts[1]), 1)
  })

  for (const nth of [2, 3, 4]) {
    test(`and whose receive ${String(nth)} its provider refuses: gives its socket back, once, and its provider can end`, async () => {
      const clock = new FakeClock()
      const network = new LoopbackNetwork(clock)
      const [one, three] = [processOn(network, PIDS[0]), processOn(network, PIDS[2])]
      const limits = { ...LIMITS, duplicates: true }
      const failing = fault(loopback({ network, subnets: [SUBNET], limits, processId: PIDS[1] }), {
        plan: [{ call: 'receive', error: 'WSAENOBUFS', nth }],
        clock,
      })
      const two = new Host({ network, providers: [failing] })
      const listening = two.listen(SERVER)
      const attempt = one.connect(SERVER, { local: CLIENT })
      await settle()
      const [server] = listening.ends
      assert.ok(server !== undefined)
      const { results } = suspend(attempt.end, PIDS[2])
      await settle(8)
      server.session.close()
      if (results[0]?.ok === true) three.switch.resume('san', 'IPv4', results[0].value, () => undefined)
      await settle(8)
      clock.advance(1000)
      await settle(8)
      assert.equal(closes(two), 1)
      two.switch.close()
      assert.equal(closes(two), 1)
    })
  }
})

describe('a hand-over that comes to nothing', () => {
  test('WSD-DUP-18, -29 works once, in the process that it is for, and nowhere else', async () => {
    const { hosts, client } = await world()
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    const [packed] = results
    assert.ok(packed?.ok)
    const answers: (number | 'session')[] = []
    const tell = (result: Result<Session>): void => {
      answers.push(result.ok ? 'session' : result.error)
    }
    hosts[1].switch.resume('san', 'IPv4', packed.value, tell)
    await settle(8)
    hosts[2].switch.resume('nobody', 'IPv4', packed.value, tell)
    hosts[2].switch.resume('san', 'IPv4', packed.value.subarray(0, 50), tell)
    await settle(8)
    hosts[2].switch.resume('san', 'IPv4', packed.value, tell)
    await settle(8)
    hosts[2].switch.resume('san', 'IPv4', packed.value, tell)
    await settle(8)
    assert.deepEqual(answers, [WSA.WSAEINVAL, WSA.WSAEOPNOTSUPP, WSA.WSAEFAULT, 'session', WSA.WSAEINVAL])
  })

  test('WSD-DUP-26, -27, -28 whose next process never comes ends as a reset for the peer, in time', async () => {
    const { clock, client, server } = await world()
    client.say('still there')
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    assert.ok(results[0]?.ok)
    clock.advance(1000)
    await settle(8)
    assert.deepEqual(server.hear(), { text: 'still there', then: 'reset' })
    assert.equal(server.session.write([Buffer.from('x')]), -WSA.WSAECONNRESET)
  })

  test('whose peer has gone meanwhile is told so in the next process', async () => {
    const { hosts, client } = await world()
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    const [packed] = results
    assert.ok(packed?.ok)
    hosts[1].switch.close()
    const answers: Result<Session>[] = []
    hosts[2].switch.resume('san', 'IPv4', packed.value, (result) => answers.push(result))
    await settle(8)
    assert.deepEqual(answers, [{ ok: false, error: WSA.WSAECONNRESET }])
  })

  test('where the next process hears nothing of the peer, and ends its provider: it fails then', async () => {
    const clock = new FakeClock()
    const network = new LoopbackNetwork(clock)
    const [one, two] = [processOn(network, PIDS[0]), processOn(network, PIDS[1])]
    const limits = { ...LIMITS, duplicates: true }
    const deaf = fault(loopback({ network, subnets: [SUBNET], limits, processId: PIDS[2] }), {
      plan: [{ call: 'receive', error: 'WSAENOBUFS' }],
      clock,
    })
    const three = new Host({ network, providers: [deaf] })
    two.listen(SERVER)
    const attempt = one.connect(SERVER, { local: CLIENT })
    await settle()
    const { results } = suspend(attempt.end, PIDS[2])
    await settle(8)
    assert.ok(results[0]?.ok)
    const answers: Result<Session>[] = []
    three.switch.resume('san', 'IPv4', results[0].value, (result) => {
      answers.push(result)
    })
    await settle(8)
    assert.deepEqual(answers, [])
    three.switch.close()
    assert.deepEqual(answers, [{ ok: false, error: WSA.WSAECONNRESET }])
  })

  test('does not look at the new memory before its new owner has said that it goes on', async () => {
    const { network, client, server } = await world()
    client.say('before ')
    assert.equal(server.hear().text, 'before ')
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    const [bytes] = results
    assert.ok(bytes?.ok)
    const packed = decodePacked(bytes.value)
    assert.ok(packed !== undefined)
    const limits = { ...LIMITS, duplicates: true }
    const provider = loopback({ network, subnets: [SUBNET], limits, processId: PIDS[2] })
    assert.ok(provider.startup({ version: SPI_VERSION, upcalls: new UpcallTable() }).ok)
    const made = provider.socket({ family: 'IPv4', duplicate: packed.duplicate })
    assert.ok(made.ok)
    const socket = made.value
    await settle()
    const memory = socket.memory()
    assert.ok(memory.ok)
    // A signal that says nothing, as an old one that is late.
    assert.equal(socket.signal(), 0)
    await settle()
    assert.deepEqual(server.hear(), { text: '', then: 'more' })
    assert.equal(server.session.isMoving, true)
    const { peerHello, role } = packed
    const there = new End(
      new Session({ socket, memory: memory.value, limits, peerHello, role, resumed: packed }),
    )
    await settle(8)
    there.say('after')
    await settle()
    assert.deepEqual(server.hear(), { text: 'after', then: 'more' })
  })

  test('because the provider fails goes on here, over the same memory', async () => {
    const { hosts, client, server } = await world()
    hosts[0].journal.after('san.duplicate', () => undefined)
    client.say('one ')
    server.say('two ')
    Object.defineProperty(client.session.socket, 'duplicate', {
      value: () => ({ ok: false, error: WSA.WSAENOBUFS }),
    })
    const { results } = suspend(client, PIDS[2])
    await settle(8)
    assert.deepEqual(results, [{ ok: false, error: WSA.WSAENOBUFS }])
    client.say('three')
    server.say('four')
    await settle()
    assert.deepEqual(server.hear(), { text: 'one three', then: 'more' })
    assert.deepEqual(client.hear(), { text: 'two four', then: 'more' })
  })

  test('because whoever asked thinks better of it, at any moment; both go on, and a later one works', async () => {
    for (const moment of ['the peer has not heard', 'the peer stands still', 'too late'] as const) {
      const { hosts, client, server } = await world()
      client.say('one ')
      server.say('two ')
      const { results } = suspend(client, PIDS[2])
      let again: ReturnType<typeof suspend> | undefined
      const thinkBetter = (): void => {
        assert.equal(client.session.withdraw(), true)
        client.say('three ')
        again = suspend(client, PIDS[2])
      }
      if (moment === 'the peer has not heard') thinkBetter()
      if (moment === 'the peer stands still') {
        hosts[1].journal.after('san.signal', () => {
          assert.equal(server.session.isMoving, true)
          thinkBetter()
        })
      }
      await settle(12)
      if (moment === 'too late') {
        assert.equal(client.session.withdraw(), false)
        assert.equal(results.length, 1)
        continue
      }
      assert.deepEqual(results, [], 'nobody is told')
      assert.ok(again?.results[0]?.ok)
      const there = await resume(hosts[2], again.results[0].value)
      there.say('four')
      server.say('five')
      await settle()
      assert.equal(server.hear().text, 'one three four')
      assert.equal(there.hear().text, 'two five')
    }
  })

  test('because either side closes before it is over', async () => {
    for (const closer of ['client', 'server'] as const) {
      const { client, server } = await world()
      const { results } = suspend(client, PIDS[2])
      ;(closer === 'client' ? client : server).session.close()
      await settle(8)
      const error = closer === 'client' ? WSA.WSA_OPERATION_ABORTED : WSA.WSAECONNRESET
      assert.deepEqual(results, [{ ok: false, error }])
    }
  })
})

describe('an owner that closes when it is told that the session goes on', () => {
  test('WSD-DUP-8, -17 writes nothing into memory that is not its own any more, and its wish fails', async () => {
    const { hosts, client, server } = await world()
    const one = suspend(client, PIDS[2])
    const other = suspend(server, PIDS[0])
    await settle(8)
    assert.ok(one.results[0]?.ok)
    server.onReadable = () => {
      server.session.close()
    }
    hosts[1].journal.clear()
    const there = await resume(hosts[2], one.results[0].value)
    const labels = hosts[1].journal.labels().filter((label) => label.startsWith('san.'))
    assert.equal(labels.at(-1), 'san.close')
    assert.deepEqual(other.results, [{ ok: false, error: WSA.WSA_OPERATION_ABORTED }])
    assert.equal(server.writableCalls, 0)
    assert.equal(there.session.readEnd(), 'end')
  })
})

describe('a hand-over is not begun', () => {
  test('WSD-DUP-6 where it cannot be, before any byte is at risk', async () => {
    const cannot = await world({ limits: { duplicates: false } })
    assert.equal(suspend(cannot.client, 1).status, WSA.WSAEOPNOTSUPP)
    const { client, server } = await world()
    assert.equal(suspend(client, 1).status, 0)
    assert.equal(suspend(client, 1).status, WSA.WSAEALREADY)
    client.session.close()
    assert.equal(suspend(client, 1).status, WSA.WSAENOTCONN)
    await settle()
    assert.equal(server.session.readEnd(), 'end')
  })

  test('WSD-DUP-7 while a large send of either side is under way', async () => {
    const { client, server } = await world(RDMA)
    assert.equal(
      client.session.sendLarge(Buffer.alloc(5000), () => undefined),
      0,
    )
    assert.equal(suspend(client, 1).status, WSA.WSAEWOULDBLOCK)
    assert.equal(suspend(server, 1).status, WSA.WSAEWOULDBLOCK)
    assert.equal(server.readAll().length, 5000)
    await settle()
    assert.equal(suspend(server, 1).status, 0)
  })
})
