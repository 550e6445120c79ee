import { SOCKET_OPTIONS, WSA, failure, success } from '../spi/index.ts'
import type { Result, SanSocket, SocketAddress, SocketOption } from '../spi/index.ts'
import type { StartedProvider } from './started-provider.ts'

/**
 * Makes the hidden SAN socket that accompanies a TCP socket: create, bind to the very same address and port, replay the
 * recorded options the provider can know. Whatever fails, the companion is closed and TCP/IP goes on alone.
 *
 * @source WSD-COMP-1 to -13
 */
export function createCompanion(
  started: StartedProvider,
  local: SocketAddress,
  options: ReadonlyMap<SocketOption, number>,
): Result<SanSocket> {
  const created = started.provider.socket({ family: local.family })
  if (!created.ok) return created
  const companion = created.value
  const bound = companion.bind(local)
  if (bound !== 0) {
    companion.close()
    return failure(bound)
  }
  for (const [option, value] of options) {
    if (SOCKET_OPTIONS[option] !== 'provider') continue
    const status = companion.setSockOpt(option, value)
    // An option the provider does not support is skipped; any other failure ends the companion (WSD-COMP-11, -13).
    if (status !== 0 && status !== WSA.WSAENOPROTOOPT) {
      companion.close()
      return failure(status)
    }
  }
  return success(companion)
}
