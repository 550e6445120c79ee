import { childPeer, providerConformance } from '../../conformance/index.ts'
import { trace } from '../../src/providers/wrap/trace.ts'
import { shmProvider } from '../support/shm-provider.ts'
import { tcpAddresses } from '../support/tcp-addresses.ts'

const exempt = {
  'MEM-4': 'the segments of a link hold the registered memory of all its connections, which all belong to one peer',
}

providerConformance('shm, one provider', { create: () => shmProvider(), address: tcpAddresses('IPv4'), exempt })

providerConformance('shm, two providers in one loop, IPv6', {
  create: () => shmProvider(),
  createPair: () => [shmProvider(), shmProvider()],
  address: tcpAddresses('IPv6'),
  exempt,
})

providerConformance('shm, peer in another process', {
  create: () => shmProvider(),
  address: tcpAddresses('IPv4'),
  exempt,
  peer: childPeer(new URL('./peers/shm.js', import.meta.url)),
})

providerConformance('shm, traced', {
  create: () => trace(shmProvider(), () => undefined),
  address: tcpAddresses('IPv4'),
  exempt,
})
