import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import { LoopbackNetwork } from '../../src/providers/loopback/index.ts'
import { fault } from '../../src/providers/wrap/index.ts'
import { FakeClock, settle } from '../switch/fake-clock.ts'
import { CLIENT, Host, SERVER, sanOver } from '../switch/host.ts'
import type { Attempt, Listening } from '../switch/host.ts'

const CONNECTS = 6

/** Both ends of `CONNECTS` connects over providers in which lawful things go wrong, as `seed` decides. */
async function endure(seed: number, rate: number): Promise<void> {
  const faults = new FakeClock()
  const network = new LoopbackNetwork()
  const ends = [seed, seed + 1].map((each) => {
    const wrapped = fault(sanOver(network), { seed: each, rate, clock: faults, print: () => undefined })
    return new Host({ network, providers: [wrapped] })
  })
  const [server, client] = ends
  assert.ok(server !== undefined && client !== undefined)
  const pass = async (ms: number): Promise<void> => {
    for (let i = 0; i < ms; i++) {
      await settle(8)
      for (const clock of [faults, ...ends.map((host) => host.clock)]) clock.advance(1)
    }
    await settle(8)
  }

  const listening = server.listen(SERVER)
  const attempts = Array.from({ length: CONNECTS }, (_, i) =>
    client.connect(SERVER, { local: { ...CLIENT, port: 1000 + i } }),
  )
  await pass(60)
  for (const attempt of attempts) assert.notEqual(attempt.outcome.kind, 'failed')
  await talk(attempts, listening, pass)

  for (const attempt of attempts) if (attempt.outcome.kind === 'san') attempt.end.session.close()
  for (const end of listening.ends) end.session.close()
  listening.socket.close()
  await pass(20)
  for (const { journal } of ends) {
    const made = journal.all('san^createSocketHandle').length
    assert.equal(journal.count('san^closeSocketHandle'), made, 'switch descriptors are left')
  }
}

/** Every connection over the SAN reached the other application, and carries a message each way. */
async function talk(attempts: readonly Attempt[], listening: Listening, pass: (ms: number) => Promise<void>) {
  const carried = attempts.filter(({ outcome }) => outcome.kind === 'san')
  assert.equal(listening.arrivals.length, carried.length)
  const message = 'm'.repeat(3000)
  for (const end of [...carried.map((attempt) => attempt.end), ...listening.ends]) {
    let left = Buffer.from(message)
    const push = (): void => {
      const taken = end.session.write([left])
      assert.ok(taken >= 0)
      left = left.subarray(taken)
    }
    push()
    end.writable = () => {
      if (left.length > 0) push()
    }
  }
  const heard = new Map([...carried.map((attempt) => attempt.end), ...listening.ends].map((end) => [end, '']))
  for (let i = 0; i < 8; i++) {
    for (const [end, text] of heard) heard.set(end, text + end.readAll().toString())
    await pass(4)
  }
  for (const text of heard.values()) assert.equal(text, message)
}

test('whatever a provider may do wrong, a connect ends once, a connection carries everything, and nothing is left', async () => {
  await fc.assert(fc.asyncProperty(fc.nat({ max: 0xffff_ffff }), fc.constantFrom(0.05, 0.2, 0.5), endure), {
    numRuns: 25,
    includeErrorInReport: true,
  })
})
