import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'

import type { AddressSource } from '../../conformance/index.ts'

/**
 * Addresses for a provider that trusts only whoever owns the TCP listener: where something is to listen, a TCP server
 * listens already, as the switch would have it. The servers stay for the life of the process.
 */
export function tcpAddresses(family: 'IPv4' | 'IPv6'): AddressSource {
  const host = family === 'IPv4' ? '127.0.0.1' : '::1'
  const wildcard = family === 'IPv4' ? '0.0.0.0' : '::'
  return async (use) => {
    const server = createServer().unref()
    server.listen(0, use === 'wildcard' ? wildcard : host)
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    return { family, address: host, port }
  }
}
