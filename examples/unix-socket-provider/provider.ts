import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { join } from 'node:path'

import { SPI_VERSION, WSA, failure, isWildcard, success } from 'sockswitch/spi'
import type {
  AddressFamily,
  ConnectionRequest,
  ProviderData,
  Result,
  SanProvider,
  SanSocket,
  ServedSubnet,
  SocketAddress,
  SocketRequest,
  StartupRequest,
  Status,
} from 'sockswitch/spi'
import { Startups, SubnetSet } from 'sockswitch/san'
import type { Attempt, Carrier, ConnectionOwner, Listener } from 'sockswitch/san'
import { Channel } from './channel.ts'
import { BOUNDS } from './connection.ts'
import { UnixAttempt, UnixRequest } from './meeting.ts'

const SUBNETS: readonly ServedSubnet[] = [
  { family: 'IPv4', address: '127.0.0.0', prefixLength: 8 },
  { family: 'IPv6', address: '::1', prefixLength: 128 },
]
const WILDCARDS: Readonly<Record<AddressFamily, string>> = { IPv4: '0.0.0.0', IPv6: '::' }

/**
 * Carries connections between processes of one host over Unix sockets: an example of a provider, made from nothing but what
 * the package exports. It is slower than TCP/IP, and trusts whoever can reach its folder.
 */
export class UnixSocketProvider implements SanProvider, Carrier {
  readonly name = 'unix-socket'
  readonly startups = new Startups()
  readonly bounds = BOUNDS
  readonly minMemoryBytes = 4
  readonly #folder: string
  readonly #served = new SubnetSet(SUBNETS)
  readonly #servers = new Map<Listener, Server>()

  /** @param folder Where listeners are to be met: only processes that may be trusted can get in there. */
  constructor(folder: string) {
    this.#folder = folder
  }

  // --- SanProvider --------------------------------------------------------------------------------------------------

  startup(request: StartupRequest): Result<ProviderData> {
    const status = this.startups.begin(request)
    if (status !== 0) return failure(status)
    const description = `Unix sockets in ${this.#folder}`
    return success({ version: SPI_VERSION, description, limits: BOUNDS })
  }

  cleanup(): Status {
    return this.startups.end()
  }

  addressList(): Result<readonly ServedSubnet[]> {
    return success(SUBNETS)
  }

  socket(request: SocketRequest): Result<SanSocket> {
    if (request.duplicate !== undefined) return failure(WSA.WSAEOPNOTSUPP)
    return this.startups.socket(this, request)
  }

  // --- Carrier ------------------------------------------------------------------------------------------------------

  readonly schedule = (job: () => void): void => {
    setImmediate(job)
  }

  serves(address: SocketAddress): boolean {
    return this.#served.has(address)
  }

  listen(listener: Listener): Status {
    const server = createServer((socket) => {
      new UnixRequest(new Channel(socket), listener)
    })
    // Somebody else has the name: nobody will come, and TCP/IP serves.
    server.on('error', () => undefined)
    server.listen(this.#doorOf(listener.address))
    this.#servers.set(listener, server)
    return 0
  }

  unlisten(listener: Listener): void {
    this.#servers.get(listener)?.close()
    this.#servers.delete(listener)
  }

  connect(owner: ConnectionOwner, request: ConnectionRequest): Result<Attempt> {
    const { local: to, remote: from } = request
    if (to.family !== from.family || isWildcard(to) || to.port === 0) return failure(WSA.WSAENETUNREACH)
    const doors = [to, { ...to, address: WILDCARDS[to.family] }].map((address) => this.#doorOf(address))
    return success(new UnixAttempt(owner, request, doors))
  }

  /** Where a listener bound to the address can be met. */
  #doorOf({ address, port }: SocketAddress): string {
    return join(this.#folder, `${address.replaceAll(':', '_')}-${port}`)
  }
}
