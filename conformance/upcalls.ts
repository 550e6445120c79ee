import assert from 'node:assert/strict'

import { assertStatus, clause } from './check.ts'
import type { Check } from './check.ts'
import { ROLES } from './fixture.ts'
import type { Fixture } from './fixture.ts'

/** Lives through everything that leads to an upcall; every test of the suite watches for violations, this one seeks them. */
async function live(fixture: Fixture): Promise<void> {
  const { upcalls } = fixture.near
  for (const role of ROLES) {
    const pair = await fixture.connectPair(role)
    await fixture.peer.signal(pair.far)
    const kept = fixture.post(pair.near)
    pair.near.getOverlappedResult(kept)
    assertStatus(await fixture.completion(kept), 'success', 'a receive polled and announced')

    const posted = fixture.post(pair.near)
    assertStatus(pair.near.signal(), 'success', 'signal')
    await fixture.peer.signal(pair.far)
    assertStatus(await fixture.completion(posted), 'success', 'a receive')

    const last = fixture.post(pair.near)
    const signals = [fixture.peer.signal(pair.far), fixture.peer.signal(pair.far)]
    assertStatus(pair.near.close(), 'success', 'close')
    await Promise.all(signals)
    await fixture.peer.close(pair.far)
    await fixture.closed(pair.handle)
    await fixture.roundTrip()
    assert.equal(upcalls.completions(last).length, 1)
  }
}

function violations(fixture: Fixture, clauseId: string): readonly string[] {
  return fixture.near.upcalls.violations.filter(({ clause }) => clause === clauseId).map(({ what }) => what)
}

/** What holds for upcalls at all times. */
export const upcallChecks: readonly Check[] = [
  clause('UP-1 no upcall is made from inside a down-call on the same socket', async (fixture) => {
    await live(fixture)
    assert.deepEqual(violations(fixture, 'UP-1'), [])
  }),

  clause('UP-2 no upcall with a handle follows its closeSocketHandle (WSD-CLOSE-6)', async (fixture) => {
    await live(fixture)
    assert.deepEqual(violations(fixture, 'UP-2'), [])
  }),
]
