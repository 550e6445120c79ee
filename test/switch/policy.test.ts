/** What the user wants: asked once per connect, listen and accept, and obeyed. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { WSA } from '../../src/spi/index.ts'
import type { ProbeStep, SanProvider, Status } from '../../src/spi/index.ts'
import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import type { Action, Policy, Role } from '../../src/switch/policy.ts'
import { settle } from './fake-clock.ts'
import { CLIENT, ELSEWHERE, Host, SERVER, sanOver } from './host.ts'

type Actions = Partial<Record<Role, Action>>

/** Says what `actions` say, and notes what it was asked. */
function policyOf(actions: Actions): Policy & { readonly asked: unknown[] } {
  const asked: unknown[] = []
  return {
    asked,
    decide(role, { family, address }, port) {
      asked.push([role, { family, address }, port])
      return { action: actions[role] ?? 'switch' }
    },
  }
}

/** Two hosts: one listens, the other has connected to it. */
async function meet(server: Actions, client: Actions, probe?: () => readonly ProbeStep[]) {
  const network = new LoopbackNetwork()
  const policies = { server: policyOf(server), client: policyOf(client) }
  const provider: SanProvider = Object.assign(sanOver(network), probe && { probe })
  const hosts = {
    server: new Host({ network, policy: policies.server }),
    client: new Host({ network, policy: policies.client, providers: [provider] }),
  }
  const listening = hosts.server.listen(SERVER)
  const attempt = hosts.client.connect(SERVER)
  await settle()
  return { hosts, policies, listening, attempt, again: () => hosts.client.connect(SERVER) }
}

function step(status: Status): readonly ProbeStep[] {
  return [{ what: 'peer', status, detail: '' }]
}

/** Everything published on a channel during the test. */
function published(t: TestContext, name: string): unknown[] {
  const messages: unknown[] = []
  const note = (message: unknown): void => {
    messages.push(message)
  }
  subscribe(name, note)
  t.after(() => unsubscribe(name, note))
  return messages
}

const { family, address } = SERVER
const CLIENT_END = { family: CLIENT.family, address: CLIENT.address }

describe('rules', () => {
  test('each is asked once: where to, where bound, where from; always with the port of the listener', async () => {
    const { policies, attempt, listening } = await meet({}, {})
    assert.equal(attempt.outcome.kind, 'san')
    assert.equal(listening.arrivals.length, 1)
    assert.deepEqual(policies.client.asked, [['connect', { family, address }, SERVER.port]])
    assert.deepEqual(policies.server.asked, [
      ['listen', { family, address }, SERVER.port],
      ['accept', CLIENT_END, SERVER.port],
    ])
  })

  test('a connect that is to stay does, with the reason, and no provider is asked', async () => {
    const { hosts, attempt } = await meet({}, { connect: 'stay' })
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'rule', status: 0 })
    assert.deepEqual(
      hosts.client.journal.labels().filter((label) => label.startsWith('san.')),
      ['san.startup', 'san.addressList'],
    )
    assert.equal(hosts.client.switch.stats.reasons.rule, 1)
  })

  test('what the face knows comes before rules, and those before routes', async () => {
    const policy = policyOf({ connect: 'stay' })
    const host = new Host({ policy })
    assert.deepEqual(host.connect(SERVER, { stay: 'shared' }).outcome, {
      kind: 'tcpip',
      reason: 'shared',
      status: 0,
    })
    assert.deepEqual(policy.asked, [])
    assert.deepEqual(host.connect(ELSEWHERE).outcome, { kind: 'tcpip', reason: 'rule', status: 0 })
    await settle()
  })

  test('a listener that is to stay does, with the reason', async () => {
    const { hosts, listening, attempt } = await meet({ listen: 'stay' }, {})
    assert.deepEqual([listening.status, listening.socket.providers, listening.socket.reason], [0, [], 'rule'])
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-not-switched', status: 0 })
    assert.equal(hosts.server.switch.stats.reasons.rule, 1)
  })

  test('a peer whom an accept rule turns away goes on over TCP/IP, and remembers it', async (t) => {
    const stayed = published(t, 'sockswitch:stay')
    const { hosts, listening, attempt, again } = await meet({ accept: 'stay' }, {})
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-rule', status: 0 })
    assert.deepEqual([listening.arrivals, listening.socket.reason], [[], undefined])
    assert.deepEqual(stayed, [
      { reason: 'rule', role: 'accept', address: CLIENT },
      { reason: 'peer-rule', role: 'connect', address: SERVER },
    ])
    hosts.client.journal.clear()
    assert.deepEqual(again().outcome, { kind: 'tcpip', reason: 'peer-rule', status: 0 })
    assert.equal(hosts.client.journal.count('san.socket'), 0)
  })
})

describe('observing', () => {
  test('a connect that would be switched stays, and is counted', async () => {
    const { hosts, attempt, listening } = await meet({}, { connect: 'observe' }, () => step(0))
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'observed', status: 0 })
    assert.deepEqual(hosts.client.switch.stats.observed, { connects: 1, accepts: 0 })
    assert.deepEqual(listening.arrivals, [])
  })

  test('a connect that would stay anyway stays for that reason', async () => {
    const { hosts, attempt } = await meet({}, { connect: 'observe' }, () => step(WSA.WSAEACCES))
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-other-user', status: 0 })
    assert.deepEqual(hosts.client.switch.stats.observed, { connects: 0, accepts: 0 })
  })

  test('the peer is looked for again only after a while', async () => {
    let probes = 0
    const { hosts, again } = await meet({}, { connect: 'observe' }, () => {
      probes += 1
      return step(0)
    })
    again()
    assert.equal(probes, 1)
    hosts.client.clock.advance(500)
    again()
    assert.equal(probes, 2)
    assert.equal(hosts.client.switch.stats.observed.connects, 3)
  })

  test('an observed listener turns peers away, and counts them', async () => {
    const { hosts, listening, attempt } = await meet({ listen: 'observe' }, {})
    assert.deepEqual(attempt.outcome, { kind: 'tcpip', reason: 'peer-rule', status: 0 })
    assert.deepEqual([listening.arrivals, listening.socket.reason], [[], 'observed'])
    assert.deepEqual(hosts.server.switch.stats.observed, { connects: 0, accepts: 1 })
  })
})

test('what becomes of connections is published', async (t) => {
  const connects = published(t, 'sockswitch:connect')
  const accepts = published(t, 'sockswitch:accept')
  await meet({}, {})
  assert.deepEqual(connects, [{ provider: 'san', local: CLIENT, remote: SERVER }])
  assert.deepEqual(accepts, [{ provider: 'san', local: SERVER, remote: CLIENT }])
})
