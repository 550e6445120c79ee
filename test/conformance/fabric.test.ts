import { after, test } from 'node:test'

import { childPeer, providerConformance } from '../../conformance/index.ts'
import type { Peer } from '../../conformance/index.ts'
import { trace } from '../../src/providers/wrap/trace.ts'
import { FABRIC_UNDER_TEST, fabricAddresses, fabricProvider, noFabric } from '../support/fabric-provider.ts'

const skip = noFabric()
/** Some tests make ten links, which an emulated machine takes a second each for. */
const DEADLINE_MS = FABRIC_UNDER_TEST === 'verbs' ? 60_000 : 10_000

/** Most of a peer's start is waiting for libfabric to wake up: the next ones start meanwhile. */
function startedEarly(start: () => Promise<Peer>, count = 2): () => Promise<Peer> {
  const spares = Array.from({ length: count }, start)
  after(async () => {
    await Promise.all(spares.map(async (spare) => (await spare).end()))
  })
  return async () => {
    spares.push(start())
    return await (spares.shift() ?? start())
  }
}

if (skip !== false) {
  test('fabric', { skip }, () => undefined)
} else {
  providerConformance(`fabric over ${FABRIC_UNDER_TEST}, one provider`, {
    create: () => fabricProvider(),
    deadlineMs: DEADLINE_MS,
    address: fabricAddresses('IPv4'),
  })

  providerConformance(`fabric over ${FABRIC_UNDER_TEST}, two providers in one loop`, {
    create: () => fabricProvider(),
    deadlineMs: DEADLINE_MS,
    createPair: () => [fabricProvider(), fabricProvider()],
    address: fabricAddresses(FABRIC_UNDER_TEST === 'tcp' ? 'IPv6' : 'IPv4'),
  })

  providerConformance(`fabric over ${FABRIC_UNDER_TEST}, peer in another process`, {
    create: () => fabricProvider(),
    deadlineMs: DEADLINE_MS,
    address: fabricAddresses('IPv4'),
    peer: startedEarly(childPeer(new URL('./peers/fabric.js', import.meta.url))),
  })

  providerConformance(`fabric over ${FABRIC_UNDER_TEST}, traced`, {
    create: () => trace(fabricProvider(), () => undefined),
    deadlineMs: DEADLINE_MS,
    address: fabricAddresses('IPv4'),
  })
}
