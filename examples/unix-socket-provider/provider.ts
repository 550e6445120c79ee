import { BlockList } from 'node:net'
import { join } from 'node:path'

import { SPI_VERSION, WSA, failure, success } from 'sockswitch/spi'
import type {
  ProviderData,
  Result,
  SanProvider,
  ServedSubnet,
  SocketAddress,
  SocketRequest,
  StartupRequest,
  Status,
  Upcalls,
} from 'sockswitch/spi'
import { MAX_MEMORY_BYTES, REGION_BYTES } from './connection.ts'
import { UnixSocket } from './socket.ts'
import type { Home } from './socket.ts'

const SUBNETS: readonly ServedSubnet[] = [
  { family: 'IPv4', address: '127.0.0.0', prefixLength: 8 },
  { family: 'IPv6', address: '::1', prefixLength: 128 },
]

/**
 * Carries connections between processes of one host over Unix sockets: an example of a provider, made from nothing but what
 * the package exports. It is slower than TCP/IP, and trusts whoever can reach its folder.
 */
export class UnixSocketProvider implements SanProvider, Home {
  readonly name = 'unix-socket'
  readonly sockets = new Set<UnixSocket>()
  readonly #folder: string
  readonly #served = new BlockList()
  #upcalls: Upcalls | undefined
  #startups = 0

  /** @param folder Where listeners are to be met: only processes that may be trusted can get in there. */
  constructor(folder: string) {
    this.#folder = folder
    for (const { family, address, prefixLength } of SUBNETS) {
      this.#served.addSubnet(address, prefixLength, family === 'IPv6' ? 'ipv6' : 'ipv4')
    }
  }

  get upcalls(): Upcalls {
    if (this.#upcalls === undefined) throw new Error('Cannot make an upcall: the provider was not started')
    return this.#upcalls
  }

  startup({ version, upcalls }: StartupRequest): Result<ProviderData> {
    if (version.major !== SPI_VERSION.major) return failure(WSA.WSAVERNOTSUPPORTED)
    this.#upcalls ??= upcalls
    this.#startups += 1
    const limits = { regionBytes: REGION_BYTES, maxMemoryBytes: MAX_MEMORY_BYTES, pieceBytes: 1 << 16 }
    return success({ version: SPI_VERSION, description: `Unix sockets in ${this.#folder}`, limits })
  }

  cleanup(): Status {
    if (this.#startups === 0) return WSA.WSANOTINITIALISED
    this.#startups -= 1
    if (this.#startups === 0) for (const socket of this.sockets) socket.close()
    return 0
  }

  addressList(): Result<readonly ServedSubnet[]> {
    return this.#startups === 0 ? failure(WSA.WSANOTINITIALISED) : success(SUBNETS)
  }

  socket({ family, duplicate }: SocketRequest): Result<UnixSocket> {
    if (this.#startups === 0) return failure(WSA.WSANOTINITIALISED)
    if (!SUBNETS.some((subnet) => subnet.family === family)) return failure(WSA.WSAEAFNOSUPPORT)
    return duplicate === undefined ? UnixSocket.open(this, family) : failure(WSA.WSAEOPNOTSUPP)
  }

  serves({ family, address }: SocketAddress): boolean {
    return this.#served.check(address, family === 'IPv6' ? 'ipv6' : 'ipv4')
  }

  pathOf({ address, port }: SocketAddress): string {
    return join(this.#folder, `${address.replaceAll(':', '_')}-${port}`)
  }
}
