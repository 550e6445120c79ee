import { childPeer, providerConformance } from '../../conformance/index.ts'
import { trace } from '../../src/providers/wrap/trace.ts'
import { shmProvider as provider } from '../support/shm-provider.ts'
import type { ShmProvider } from '../../src/providers/shm/index.ts'
import { tcpAddresses } from '../support/tcp-addresses.ts'
import { PATIENCE } from '../support/waiting.ts'

/** Nobody waits long for a process that does not come. */
const shmProvider = (): ShmProvider => provider({ limits: { moveMs: 500 } })

const exempt = {
  'MEM-4':
    'the segments of a link hold the registered memory of all its connections, which all belong to one peer',
}

providerConformance('shm, one provider', {
  create: () => shmProvider(),
  address: tcpAddresses('IPv4'),
  exempt,
  deadlineMs: 10_000 * PATIENCE,
})

providerConformance('shm, two providers in one loop, IPv6', {
  create: () => shmProvider(),
  createPair: () => [shmProvider(), shmProvider()],
  address: tcpAddresses('IPv6'),
  exempt,
  deadlineMs: 10_000 * PATIENCE,
})

providerConformance('shm, peer in another process', {
  create: () => shmProvider(),
  address: tcpAddresses('IPv4'),
  exempt,
  deadlineMs: 10_000 * PATIENCE,
  peer: childPeer(new URL('./peers/shm.js', import.meta.url)),
})

providerConformance('shm, traced', {
  create: () => trace(shmProvider(), () => undefined),
  address: tcpAddresses('IPv4'),
  exempt,
  deadlineMs: 10_000 * PATIENCE,
})
